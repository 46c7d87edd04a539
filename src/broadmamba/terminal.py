"""What is printed for people: a terminal shows what a file says, and never obeys it."""

from __future__ import annotations

import re

# control characters (line breaks and tabs too), reversals of direction, and halves of characters
_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text on one line, with an escape such as `\x1b` in place of each character that a terminal would obey."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
