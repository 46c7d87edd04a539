"""What aligners and annotators write where nobody says anything: one list for all formats."""

from __future__ import annotations

import re

# in brackets of any kind, or after an exclamation mark, they are marks whatever their case
_BRACKETED = frozenset(
    [
        "", ".", "..", "...", "-", "--", "---", "…",
        "eps", "epsilon", "sil", "silence", "silent", "sl", "sp", "p", "p:", "pause", "pau", "blank", "blank_audio",
        "s", "/s", "enter", "exit", "unk", "oov", "blk", "pad", "space",
        "spn", "spoken_noise", "vocalized-noise", "noise", "nsn", "ns", "nib", "usb", "v-noise",
    ]
)  # fmt: skip
# without brackets they could be words, so only as programs write them: `Sil` is a name
_BARE = frozenset(
    ["", "sil", "sp", "spn", "nsn", "SIL", "SP", "SPN", "NSN", "#", "##", "_", "__", "+", "…", "...", "0."]
)
_MARK = re.compile(r"<([^<>]*)>|\[([^\[\]]*)\]|\(([^()]*)\)|\{([^{}]*)\}|!(\w+)")
_TIMED = re.compile(r"[0-9]*[.,]?[0-9]+\s*(?:s|sec|seconds|ms)?")
_LONGEST = 30  # characters of a mark


def is_silence(text: str) -> bool:
    """Whether a word, or the whole label of an interval, says that nothing was said, or nothing that is known.

    These are the empty text; `sil`, `sp`, `spn`, `#`, `_`, `+` and `0.` as programs write them; and in brackets
    `<eps>`, `<sil>`, `[silence]`, `(pause)`, `(.)`, `(0.8)`, `<p:>`, `<s>`, `!SIL`, `<unk>`, `<noise>` and the like.
    Laughter, breath and coughs are heard from a person, and stay.
    """
    text = text.strip()
    if text in _BARE:
        return True
    mark = _MARK.fullmatch(text) if len(text) <= _LONGEST else None
    if mark is None:
        return False
    inside = mark[mark.lastindex or 0].strip()
    timed = text.startswith("(") and _TIMED.fullmatch(inside) is not None
    return timed or re.sub(r"\s+", "_", inside.lower()) in _BRACKETED
