"""Praat's TextGrid, in the long and the short form, which differ only in what Praat itself passes over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source, check_seconds
from broadmamba.media.transcripts.tiers import Span, Tier, tier_rows

_HEADER = re.compile(r'(?:File type\s*=\s*)?"ooTextFile', re.IGNORECASE)
_CHRONOLOGICAL = '"Praat chronological TextGrid'
# a string, a flag, a comment, a word, or a quotation mark that nothing closes
_TOKEN = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"|<(\w++)>|![^\n]*+|([^\s"]++)|(")')
_LONGEST_NUMBER = 40  # characters
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")


def is_textgrid(source: Source) -> bool:
    """Whether a text begins as a TextGrid (or another of Praat's objects) does."""
    content = source.text.lstrip()
    return content.startswith(_CHRONOLOGICAL) or _HEADER.match(content) is not None


def textgrid_rows(source: Source) -> list[Row]:
    """Utterances of the tiers of a TextGrid, in the order in which they begin; which tiers, says `tiers.tier_rows`.

    An interval without text is a pause. A point, where points count, is an utterance whose end is not known.

    Raises:
        InputError: it is another object of Praat's or a damaged file, or a time is negative or reversed; the
            message names the line.
    """
    if source.text.lstrip().startswith(_CHRONOLOGICAL):
        raise InputError(
            f"{source.path}: expected a TextGrid as Praat's `Save as text file` writes it, found a chronological one"
        )
    return tier_rows(source, list(_tiers(_Tokens(source))))


class _Tokens:
    """The strings and numbers of a file one after another; as in Praat, all else is for people.

    Attributes:
        line: of the last one, from 1.
    """

    def __init__(self, source: Source) -> None:
        self.line = 1
        self._source = source
        self._values = self._read()

    def _read(self) -> Iterator[str | float]:
        text, position = self._source.text, 0
        for match in _TOKEN.finditer(text):
            self.line += text.count("\n", position, match.start())
            position = match.start()
            string, flag, word, lone = match.groups()
            if lone:
                self.refuse("a text with a closing quotation mark", None)
            elif string is not None:
                yield string.replace('""', '"')
            elif flag is not None:
                yield f"<{flag}>"
            elif word is not None and len(word) <= _LONGEST_NUMBER and _NUMBER.fullmatch(word):
                yield float(word)

    def string(self, what: str) -> str:
        """The next value, which is a string or a flag."""
        value = next(self._values, None)
        return value if isinstance(value, str) else self.refuse(what, value)

    def count(self, what: str) -> range:
        """The next value, which says how many things follow."""
        value = next(self._values, None)
        if not isinstance(value, float) or not value.is_integer() or value < 0:
            self.refuse(what, value)
        return range(int(value))

    def seconds(self, what: str) -> float:
        """The next value, which is a time."""
        value = next(self._values, None)
        if not isinstance(value, float):
            self.refuse(what, value)
        return check_seconds(value, self._source.where(self.line))

    def refuse(self, expected: str, found: object) -> NoReturn:
        shown = "the end of the file" if found is None else repr(found)[:40]
        raise InputError(f"{self._source.where(self.line)}: expected {expected}, found {shown}")


def _tiers(tokens: _Tokens) -> Iterator[Tier]:
    tokens.string("a Praat text file")
    kind = tokens.string("the class of the object")
    if not kind.startswith("TextGrid"):
        tokens.refuse("a TextGrid", kind)
    tokens.seconds("the start of the time domain")
    tokens.seconds("the end of the time domain")
    if tokens.string("<exists> or <absent>") != "<exists>":
        tokens.refuse("<exists>, so tiers", "<absent>")
    for _ in tokens.count("the number of tiers"):
        yield _tier(tokens)


def _tier(tokens: _Tokens) -> Tier:
    form = tokens.string("IntervalTier or TextTier")
    if form not in ("IntervalTier", "TextTier"):
        tokens.refuse("IntervalTier or TextTier", form)
    tier = Tier(tokens.string("the name of the tier"), points=form == "TextTier", pauses=True)
    tokens.seconds("the start of the tier")
    tokens.seconds("the end of the tier")
    for _ in tokens.count("the number of intervals or points"):
        start = tokens.seconds("a time")
        end = None if tier.points else tokens.seconds("a time")
        text = tokens.string("a label").strip()
        tier.spans.append(Span(f"line {tokens.line}", text, start, end, start))
    return tier
