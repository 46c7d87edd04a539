"""Which encoding bytes are in that are no UTF-8: known, guessed, or UTF-8 with a few bytes damaged."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from typing import NamedTuple

from broadmamba.media.transcripts import western

_CANDIDATES = [
    *("cp1252", "cp1250", "iso8859_2", "cp852", "cp1257", "cp1254", "mac_roman", "cp850", "cp437"),
    *("cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "mac_cyrillic", "cp1253", "iso8859_7"),
    *("cp1256", "iso8859_6", "cp1255", "cp874", "gb18030", "big5", "cp932", "euc_jp", "cp949"),
]
# a word with bytes beyond ASCII; no encoding has bytes up to 0x3F (white space, digits, <, >) within a letter
_ODD_WORD = re.compile(rb"[^\x00-\x3f]*[\x80-\xff][^\x00-\x3f]*")
_MARKUP = re.compile(r"<[^<>]*>|\"\w+\"\s*:")
_MOST_GUESSED = 20_000  # bytes; more say nothing new
_MOST_NAMED = 3
# when a guess is as good as knowing: measured on short talk in 20 languages, none of which was then read wrongly
_LEAST_BYTES = 30
_MOST_CHAOS = 0.02
_LEAST_COHERENCE = 0.3
_LEAST_MARGIN = 0.1  # in chaos, between the best reading and any other

_ODD = re.compile(r"[^\x00-\x7f]+")
_TELLING = 3  # sequences of UTF-8, which no text in an encoding of single bytes has by chance
_LEAST_NULS = 0.1  # of the bytes of UTF-16, in which each space, digit and line break has one

_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_HALF = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
# what stands after a capital in Windows-1252, so that the two bytes say nothing: quotation marks, dashes, a space
_AFTER_CAPITAL = frozenset(b"\x85\x91\x92\x93\x94\x96\x97\xa0\xab\xbb\x84\x82\xb4\xb0")
_RARE = re.compile(r"[\u0180-\u0385\u03cf-\u03ff\u0460-\u048f\u0492-\u05cf\u05eb-\u05ff\u0700-\u08ff]")
_OTHERS_A_DAMAGE = 4


class Guess(NamedTuple):
    """What encoding some bytes may be in.

    Attributes:
        encoding: its name, or None where nobody can be sure.
        names: of those that would make sense, best first.
    """

    encoding: str | None
    names: list[str]


def guess(content: bytes) -> Guess:
    """The encoding of text that is neither UTF-8 nor marked.

    Only words with bytes beyond ASCII are judged: in a file of times and markup they are few, and in an encoding
    that fits worse they would not weigh.
    """
    from charset_normalizer import from_bytes

    try:
        if western.is_western(_MARKUP.sub(" ", content.decode(western.ENCODING))):
            return Guess(western.ENCODING, [western.ENCODING])
    except UnicodeDecodeError:
        pass
    payload = b" ".join(_ODD_WORD.findall(content))[:_MOST_GUESSED]
    found = list(from_bytes(payload, cp_isolation=_CANDIDATES, threshold=0.4))
    names = [match.encoding for match in found[:_MOST_NAMED]]
    if not found or len(payload) - len(payload.translate(None, bytes(range(128, 256)))) < _LEAST_BYTES:
        return Guess(None, names)
    best, *others = found
    alone = all(match.chaos >= best.chaos + _LEAST_MARGIN for match in others if str(match) != str(best))
    sure = alone and best.chaos <= _MOST_CHAOS and best.coherence >= _LEAST_COHERENCE
    return Guess(best.encoding if sure else None, names)


def unmarked(content: bytes) -> str | None:
    """The encoding of text with NUL bytes or escapes: UTF-16 or UTF-32 without a mark, or Japanese for mail."""
    if content.count(0) > _LEAST_NULS * len(content):
        names = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
        fitting = [name for name in names if _is_plain(_decoded(content, name))]
        return fitting[0] if len(fitting) == 1 else None
    escaped = b"\x1b$" in content or b"\x1b(" in content
    return "iso2022_jp_2" if escaped and _decoded(content, "iso2022_jp_2") else None


def mended(content: bytes) -> tuple[str, list[int]] | None:
    """The text of UTF-8 in which some bytes are damaged, with U+FFFD for each, and where; None if it is no UTF-8.

    UTF-8 is known by sequences that no other encoding has by chance. They outnumber the damage.
    """
    content = _SURROGATES.sub(_joined, content)
    content = _HALF.sub(b"\xff", content)
    found = Counter(match[0] for match in _SEQUENCE.finditer(content))
    telling = sum(many for sequence, many in found.items() if not _AFTER_CAPITAL.issuperset(sequence[1:]))
    text = content.decode("utf-8", "replace")
    damaged = _damaged(content, text)
    letters = [sequence.decode() for sequence in found]
    latin = all(unicodedata.name(letter, "LATIN").startswith("LATIN") or not letter.isalpha() for letter in letters)
    needed = len(damaged) * (1 if latin else _OTHERS_A_DAMAGE)
    if telling < max(1, needed) or any(map(_RARE.match, letters)):
        return None
    return text, damaged


def is_known(encoding: str) -> bool:
    """Whether there is a text encoding of this name."""
    try:
        "".encode(encoding)
        codecs.lookup(encoding)
    except (LookupError, ValueError):
        return False
    return True


def is_surely_utf8(content: bytes, stated: str) -> bool:
    """Whether text is UTF-8 although it was stated to be in an encoding in which it would make no sense."""
    text = _decoded(content, "utf-8")
    if text is None or "\x00" in text:
        return False
    wide = len("1".encode(stated)) > 1
    single = len(bytes(range(128, 256)).decode(stated, "replace")) == 128
    return wide or (single and sum(map(len, _ODD.findall(text))) >= _TELLING)


def _damaged(content: bytes, text: str) -> list[int]:
    """Where a decoded text has U+FFFD that was not in the bytes."""
    own = b"\xef\xbf\xbd"
    if own not in content:
        return [match.start() for match in re.finditer("\ufffd", text)]
    places, position = [], 0
    for part in re.split(b"(%b)" % own, content):
        decoded = part.decode("utf-8", "replace")
        if part != own:
            places += [position + match.start() for match in re.finditer("\ufffd", decoded)]
        position += len(decoded)
    return places


def _joined(pair: re.Match[bytes]) -> bytes:
    return pair[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16").encode()


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_plain(text: str | None) -> bool:
    """Whether a text has a space, a digit or a line break as all have, and nothing that no text has."""
    if text is None or not re.search(r"[ 0-9\n\r]", text):
        return False
    return all(unicodedata.category(sign) not in ("Cn", "Co", "Cs") for sign in set(text) - set("\t\n\r")) and not (
        re.search(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]", text)
    )
