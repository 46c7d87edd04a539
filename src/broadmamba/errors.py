"""The few errors that broadmamba raises on purpose.

Each message is one sentence that says what was found, what was expected and where. The command line prints it
and exits with code 2; from Python they are ordinary exceptions with one common base.
"""

from __future__ import annotations

_LONGEST = 1000


class BroadMambaError(Exception):
    """Base of every error that broadmamba raises on purpose."""

    def __str__(self) -> str:
        """The message, without its middle where what was found is so long that nobody could read it."""
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 300]} … {text[-200:]}"


class InputError(BroadMambaError):
    """A file, value or argument from outside is not what was expected."""


class PassingError(InputError):
    """Something could not be read for a reason that may pass: memory or the disk is full, a file is gone."""


class IncompatibleError(BroadMambaError):
    """Two things that are fine alone do not fit together, such as a model and a corpus of other labels."""


class CheckpointError(BroadMambaError):
    """A model or run folder is damaged, truncated or of an unknown version."""


class MissingExtraError(BroadMambaError):
    """An optional part is needed that is not installed; the message says which extra to install."""
