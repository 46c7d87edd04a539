"""Everything that the command line prints goes through here.

What files say is shown and never obeyed (`broadmamba.terminal.printable`); signs that the output's encoding lacks are
replaced; what is for programs is UTF-8 whatever the locale; and an output that cannot be written is one sentence.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from broadmamba.errors import InputError
from broadmamba.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console

_LACKED = "broadmamba-lacked"
_INSTEAD = {"…": "...", "→": "->", "±": "+/-", "–": "-", "—": "-", "×": "x", "·": "-", "’": "'", "−": "-", "≥": ">="}


class _Stream(io.TextIOWrapper):
    """One of the process's own streams, which is not closed when the object goes."""

    def close(self) -> None:
        with suppress(OSError, InputError):
            self.flush()


class _Output(_Stream):
    """Standard output; what it cannot take is told as any file's."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _unwritable(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _unwritable(error) from None


class _Messages(_Stream):
    """Standard error; that nobody can read it stops no work."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def prepare_streams() -> None:
    """Make standard output and standard error what this module says; done once, before anything is printed."""
    codecs.register_error(_LACKED, _replaced)
    # a closed one would else be the number of the next file that is opened, and that file be printed into
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)  # so that results are not lost unsaid
    for name, number, kind in (("stdout", 1, _Output), ("stderr", 2, _Messages)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, kind(open(number, "wb", closefd=False), "utf-8", _LACKED))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__"):  # which keeps the file open
            setattr(sys, name, kind(stream.buffer, stream.encoding, _LACKED, line_buffering=stream.line_buffering))
        elif isinstance(stream, io.TextIOWrapper):  # somebody else's, such as a test's
            stream.reconfigure(errors=_LACKED)


def finish_streams() -> None:
    """Let nothing be said when the process ends of what could not be written: that was said before."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
            if isinstance(stream, _Messages):
                stream.buffer.flush()
        except (OSError, InputError):
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: object) -> None:
    """Print a line on standard error."""
    print(printable(str(text)), file=sys.stderr, flush=True)


def show(text: object) -> None:
    """Print a line on standard output."""
    print(printable(str(text)))


def hand_over(content: str) -> None:
    """Print content for programs: UTF-8 bytes as they are, whatever the locale."""
    from broadmamba.storage import utf8

    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(utf8(content))
        sys.stdout.buffer.flush()
    except OSError as error:
        raise _unwritable(error) from None


def console(stderr: bool = False) -> Console:
    """A console for tables and progress bars, to which a text is a text: no markup, no control characters."""
    from rich.console import Console
    from rich.text import Text

    class Plain(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(_encodable(printable(text), self.encoding), **options)

    return Plain(stderr=stderr, markup=False, highlight=False, emoji=False)


def _encodable(text: str, encoding: str) -> str:
    """The text with the signs that an encoding has; replaced here, so that columns are as wide as what is printed."""
    return text.encode(encoding, _LACKED).decode(encoding)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """What is printed for signs that the encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_INSTEAD.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def _unwritable(error: OSError) -> Exception:
    if error.errno == errno.EPIPE:  # the reader, such as `head`, has seen enough
        return error
    return InputError(f"standard output: cannot be written ({error.strerror or error})")
