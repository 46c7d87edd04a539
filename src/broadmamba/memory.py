"""Memory that is not enough, told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from broadmamba.errors import InputError


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Say in one sentence that memory is exhausted.

    Args:
        what: the memory is for.

    Raises:
        InputError: it is exhausted.
    """
    told = f"there is not enough memory for {what}"
    try:
        yield
    except MemoryError:
        raise InputError(told) from None
    except RuntimeError as error:
        if "allocate memory" in str(error) or "size calculation overflowed" in str(error):  # PyTorch has no own error
            raise InputError(told) from None
        raise
