"""Entry point: the commands, and how an error is told."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Annotated

import typer

from broadmamba import __version__
from broadmamba.caches import gather_caches
from broadmamba.cli.compare import compare
from broadmamba.cli.convert import convert
from broadmamba.cli.doctor import doctor
from broadmamba.cli.evaluate import evaluate
from broadmamba.cli.export import export
from broadmamba.cli.extract import extract
from broadmamba.cli.fetch import fetch
from broadmamba.cli.finetune_text import finetune_text
from broadmamba.cli.predict import predict
from broadmamba.cli.printing import finish_streams, prepare_streams, say, show
from broadmamba.cli.reproduce import reproduce
from broadmamba.cli.train import train
from broadmamba.errors import BroadMambaError
from broadmamba.extras import missing_extra

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_NO_MEMORY = "can't allocate memory"  # how torch says it

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # fills paragraphs, whose lines are those of the source otherwise
)
for command in (predict, convert, extract, finetune_text, train, evaluate, export, compare, reproduce, fetch, doctor):
    app.command(command.__name__.replace("_", "-"))(command)


def _version(wanted: bool) -> None:
    if wanted:
        show(f"broadmamba {__version__}")
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

    told_of_stop = False

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.told_of_stop |= message.startswith("stopped: ")
        say(f"broadmamba: {message}")


def run() -> None:
    """Run the command line; an error that is no bug is one sentence on standard error and exit code 2."""
    prepare_streams()
    gather_caches()
    notices = _Notices(logging.WARNING)
    logging.getLogger("broadmamba").addHandler(notices)
    try:
        code = _run()
        if code == INTERRUPTED:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends what is left at once, and says nothing
            if not notices.told_of_stop:  # long work tells what it keeps
                say("broadmamba: interrupted")
    finally:
        logging.getLogger("broadmamba").removeHandler(notices)
        finish_streams()
    sys.exit(code)


def _run() -> int:
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BroadMambaError as error:
        say(f"broadmamba: {error}")
        return 2
    except ImportError as error:  # of a part that is not installed, or of another package that is broken, else a bug
        missing = missing_extra("this command", error)
        if missing is None and (error.name or "").partition(".")[0] == "broadmamba":
            raise
        broken = f"a package that is needed cannot be imported ({error}); broadmamba doctor tells what is installed"
        say(f"broadmamba: {missing or broken}")
        return 2
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        return 1
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and _NO_MEMORY not in str(error):
            raise
        say(f"broadmamba: the memory of this machine does not suffice ({error or 'out of memory'})")
        return 2
    return 0
