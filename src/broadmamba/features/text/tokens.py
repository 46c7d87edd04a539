"""Passages as token ids: which token belongs to which turn, what is cut, and how a batch is padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from broadmamba.errors import InputError
from broadmamba.features.text.passages import Passage

TokenIds = tuple[list[int], list[int]]
"""The token ids of a passage, and for each token the position of its turn."""

TOKENS = 48
"""Tokens of an utterance that a feature of token ids holds; 0.2% of MELD's and 4% of IEMOCAP's utterances have more."""

_CHARACTERS_A_TOKEN = 32
"""Far more than tokens have on average; what lies beyond this times the token limit is cut beforehand."""


class TurnTokens:
    """Joins the turns of a passage with the special tokens of an encoder, each turn with its own end token.

    A passage of one turn has exactly the tokens that the encoder was trained on for a single text.

    Args:
        tokenizer: of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._before, self._after = _special_tokens(tokenizer)
        found: int | None = tokenizer.pad_token_id
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
        room = limit - len(self._before) - len(turns) * len(self._after)
        longest = _cap([len(turn) for turn in turns], room)
        ids, owners = list(self._before), [0] * len(self._before)
        for position, turn in enumerate(turns):
            # without special tokens, an empty text has none
            own = turn[:longest] + self._after or [self.padding]
            ids += own
            owners += [position] * len(own)
        return ids, owners


def ids_of(tokenizer: Any, texts: str | Sequence[str], **options: Any) -> Any:
    """What a tokenizer makes of a text or of several, unpadded.

    Raises:
        InputError: its file is damaged in a way that shows only now.
    """
    try:
        return tokenizer(texts, padding=False, **options)["input_ids"]
    except BaseException as error:
        if not is_panic(error):
            raise
        raise InputError(f"its tokenizer is damaged ({error})") from None


def is_panic(error: BaseException) -> bool:
    """Whether compiled code gave up, which is no `Exception`."""
    return type(error).__name__ == "PanicException"


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Token ids (rows, longest) and which of them are no padding."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])
    return ids, torch.arange(longest) < torch.tensor([[len(row)] for row in rows])


def turn_mask(owners: Sequence[int], length: int) -> Tensor:
    """(turns, length): which tokens belong to which turn."""
    padded = torch.tensor([*owners, *[-1] * (length - len(owners))])
    return torch.arange(owners[-1] + 1).unsqueeze(1) == padded


def token_limit(tokenizer: Any, model: Any) -> int:
    """How many tokens the encoder reads: what tokenizer, configuration and position table all allow.

    Raises:
        InputError: not even one besides the special tokens.
    """
    limits: list[int] = [
        tokenizer.model_max_length,
        getattr(model.config, "max_position_embeddings", None) or 512,
    ]
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, torch.nn.Embedding):
            unused = 0 if table.padding_idx is None else table.padding_idx + 1  # RoBERTa counts from there
            limits.append(table.num_embeddings - unused)
    special = sum(map(len, _special_tokens(tokenizer)))
    if not all(isinstance(limit, (int, float)) and limit > special for limit in limits):
        raise InputError(f"expected an encoder that reads more than its {special} special tokens, found {limits}")
    return int(min(limits))


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and after a text.

    Raises:
        InputError: it puts something else in place of the text.
    """
    for text in ("a", *sorted(tokenizer.get_vocab())):  # some vocabularies have no letters
        inner: list[int] = ids_of(tokenizer, text, add_special_tokens=False)
        whole: list[int] = ids_of(tokenizer, text)
        if inner:
            break
    for start in range(len(whole)):
        if inner and whole[start : start + len(inner)] == inner:
            return whole[:start], whole[start + len(inner) :]
    raise InputError("expected a tokenizer that puts special tokens before and after a text, found another")


def _cap(lengths: Sequence[int], room: int) -> int:
    """The length to which turns are cut so that all have room; those that are shorter stay whole."""
    left = max(room, 0)
    for waiting, length in zip(range(len(lengths), 0, -1), sorted(lengths), strict=True):
        if length * waiting > left:
            return left // waiting
        left -= length
    return max(lengths)
