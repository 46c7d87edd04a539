"""Entry point: the commands, and how an error is told."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from broadmamba import __version__
from broadmamba.caches import gather_caches
from broadmamba.cli.compare import compare
from broadmamba.cli.convert import convert
from broadmamba.cli.evaluate import evaluate
from broadmamba.cli.extract import extract
from broadmamba.cli.fetch import fetch
from broadmamba.cli.finetune_text import finetune_text
from broadmamba.cli.predict import predict
from broadmamba.cli.reproduce import reproduce
from broadmamba.cli.train import train
from broadmamba.errors import BroadMambaError
from broadmamba.terminal import printable

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (predict, convert, extract, finetune_text, train, evaluate, compare, reproduce, fetch):
    app.command(command.__name__.replace("_", "-"))(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"broadmamba {__version__}")
        raise typer.Exit


@app.callback()
def broadmamba(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Emotion recognition in conversation, from words, voice and faces.

    What is recognised is how utterances are perceived, not what people feel: read RESPONSIBLE_USE.md.
    """


class _Notices(logging.Handler):
    """Shows what the user should know, a sentence each: what the package logs as a warning."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"broadmamba: {printable(record.getMessage())}", file=sys.stderr)


def run() -> None:
    """Run the command line; an error that is no bug is one sentence on standard error and exit code 2."""
    gather_caches()
    logging.getLogger("broadmamba").addHandler(_Notices(logging.WARNING))
    try:
        app()
    except BroadMambaError as error:
        print(f"broadmamba: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
