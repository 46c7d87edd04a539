"""Who speaks in a line `Name: text`."""

from __future__ import annotations

import re

_LONGEST_NAME = 40
_MOST_WORDS = 4
_PREFIX = re.compile(rf"([^:：]{{1,{_LONGEST_NAME}}})(?::(?=\s|$)|：)")
_MANNER = re.compile(r"\([^()]*\)\s*$")
_FORBIDDEN = re.compile(r"[,;!?…\"“”<>{}=\\|@]")
_TITLE = re.compile(r"(?:\w{1,4}|\w(?:\.\w)+)\.")
_PARTICLES = frozenset(
    [
        "al",
        "and",
        "bin",
        "d'",
        "da",
        "de",
        "del",
        "der",
        "di",
        "in",
        "la",
        "le",
        "of",
        "the",
        "to",
        "van",
        "von",
    ]
)


def split_speaker(line: str) -> tuple[str | None, str]:
    """Take a speaker's name off the start of a line.

    A prefix is a speaker only if it is plausible: a colon with white space (or nothing) after it, and before
    it at most 40 characters and four words, one of which begins with a letter. One word may be lower-case; of
    several, each begins with a capital or a digit (or is a particle such as `von`), so that `I have one
    question: why?` has no speaker. Sentence punctuation rules a name out, except a full stop after a title or
    an initial (`Dr. Lee`). `10: 30` and `https://…` are no speakers. A single word such as `Remember: milk`
    cannot be told from a name and is read as one. How it is said, as in `Anna (whispers)`, is left out.

    Returns:
        The name or None, and the rest of the line without white space around it.
    """
    line = line.strip()
    prefix = _PREFIX.match(line)
    name = _MANNER.sub("", prefix.group(1)).strip() if prefix else ""
    if prefix and _plausible(name):
        return name, line[prefix.end() :].lstrip()
    return None, line


def _plausible(name: str) -> bool:
    words = name.split()
    if len(words) > _MOST_WORDS or _FORBIDDEN.search(name):
        return False
    if not any(word[0].isalpha() and "." not in word for word in words):
        return False
    if any("." in word and not _TITLE.fullmatch(word) for word in words):
        return False
    return len(words) == 1 or all(not _in_lower_case(word) or word in _PARTICLES for word in words)


def _in_lower_case(word: str) -> bool:
    return word.lstrip("(['’-")[:1].islower()
