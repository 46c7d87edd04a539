"""Passages as token ids: which token belongs to which turn, what is cut, and how a batch is padded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.features.text.passages import Passage

TokenIds = tuple[list[int], list[int]]
"""The token ids of a passage, and for each token the position of its turn."""

TOKENS = 48
"""Tokens of an utterance that a feature of token ids holds; 0.2% of MELD's and 4% of IEMOCAP's utterances have more."""

_CHARACTERS_A_TOKEN = 32
"""Far more than tokens have on average; what lies beyond this times the token limit is cut beforehand."""


class Tokenizer(Protocol):
    """What turns texts into token ids: the tokenizers of transformers do, and `TokenizerFile`."""

    @property
    def pad_token_id(self) -> int | None:
        """What a batch is padded with."""

    def get_vocab(self) -> Mapping[str, int]:
        """Token → id."""

    def __call__(self, text: Any, **options: Any) -> Mapping[str, Any]:
        """Under `input_ids`, the ids of a text, or those of each of several."""


class TurnTokens:
    """Joins the turns of a passage with the special tokens of an encoder, each turn with its own end token.

    A passage of one turn has exactly the tokens that the encoder was trained on for a single text.

    Args:
        tokenizer: of the encoder.

    Attributes:
        before: ids of the special tokens before a text.
        after: ids of those after it.
        padding: the id that a batch is padded with.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.before, self.after = special_tokens(tokenizer)
        found = tokenizer.pad_token_id
        self.padding = 0 if found is None else found

    def of(self, passages: Sequence[Passage], limit: int) -> list[TokenIds]:
        """The tokens of each passage, unpadded, at most `limit` of them: the longest turns are cut first."""
        texts = sorted({turn for passage in passages for turn in passage.turns})
        ids = dict(zip(texts, self.plain(texts, limit), strict=True))
        return [self._join([ids[turn] for turn in passage.turns], limit) for passage in passages]

    def plain(self, texts: Sequence[str], limit: int) -> list[list[int]]:
        """At most `limit` ids of each text without special tokens (and padding, which a tokenizer file may ask for)."""
        if not texts:
            return []
        most = limit * _CHARACTERS_A_TOKEN
        whole = [text[:most].encode("utf-8", "replace").decode() for text in texts]  # no half characters
        options = {"truncation": True, "max_length": limit, "return_attention_mask": False}
        found: list[list[int]] = ids_of(self._tokenizer, whole, add_special_tokens=False, **options)
        return found

    def _join(self, turns: Sequence[list[int]], limit: int) -> TokenIds:
        room = limit - len(self.before) - len(turns) * len(self.after)
        longest = _cap([len(turn) for turn in turns], room)
        ids, owners = list(self.before), [0] * len(self.before)
        for position, turn in enumerate(turns):
            # without special tokens, an empty text has none
            own = turn[:longest] + self.after or [self.padding]
            ids += own
            owners += [position] * len(own)
        return ids, owners


def ids_of(tokenizer: Tokenizer, texts: str | Sequence[str], **options: Any) -> Any:
    """What a tokenizer makes of a text or of several, unpadded.

    Raises:
        InputError: its file is damaged in a way that shows only now.
    """
    try:
        return tokenizer(texts, padding=False, **options)["input_ids"]
    except BaseException as error:  # of a text that it cannot take apart, a plain one
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise InputError(f"its tokenizer is damaged ({error})") from None


def is_panic(error: BaseException) -> bool:
    """Whether compiled code gave up, which is no `Exception`."""
    return type(error).__name__ == "PanicException"


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Token ids (rows, longest) and which of them are no padding."""
    lengths = np.array([[len(row)] for row in rows])
    mask = np.arange(lengths.max()) < lengths
    ids = np.full(mask.shape, padding, dtype=np.int64)
    ids[mask] = list(chain.from_iterable(rows))
    return ids, mask


def turn_mask(owners: Sequence[int], length: int) -> NDArray[np.bool_]:
    """(turns, length): which tokens belong to which turn."""
    padded = np.array([*owners, *[-1] * (length - len(owners))])
    mask: NDArray[np.bool_] = np.arange(owners[-1] + 1)[:, None] == padded
    return mask


def batches(lengths: Sequence[int], batch_size: int, tokens: int) -> Iterator[list[int]]:
    """Passages in batches of like length, the longest first.

    Args:
        lengths: tokens of each passage.
        batch_size: at most so many passages a batch.
        tokens: at most so many a batch, padding included, unless one passage alone has more.

    Yields:
        Indices of passages.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        size = min(batch_size, max(1, tokens // lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def special_tokens(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and after a text.

    Raises:
        InputError: it puts something else in place of the text.
    """
    for text in _words(tokenizer):
        inner: list[int] = ids_of(tokenizer, text, add_special_tokens=False)
        whole: list[int] = ids_of(tokenizer, text)
        if inner:
            break
    for start in range(len(whole)):
        if inner and whole[start : start + len(inner)] == inner:
            return whole[:start], whole[start + len(inner) :]
    raise InputError("expected a tokenizer that puts special tokens before and after a text, found another")


def _words(tokenizer: Tokenizer) -> Iterator[str]:
    yield "a"
    yield from sorted(tokenizer.get_vocab())  # some vocabularies have no letters


def _cap(lengths: Sequence[int], room: int) -> int:
    """The length to which turns are cut so that all have room; those that are shorter stay whole."""
    left = max(room, 0)
    for waiting, length in zip(range(len(lengths), 0, -1), sorted(lengths), strict=True):
        if length * waiting > left:
            return left // waiting
        left -= length
    return max(lengths)
