"""A tokenizer out of its `tokenizer.json`, without transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from broadmamba.errors import InputError
from broadmamba.features.text.tokens import is_panic
from broadmamba.storage import read_text

_MOST = 2**27  # bytes; a real one has a fifth of that at the most


class TokenizerFile:
    """Called as a tokenizer of transformers is, as far as `TurnTokens` calls it.

    Args:
        tokenizer: of the package `tokenizers`; its padding is switched off.
        before: ids of the special tokens before a text.
        after: ids of those after it.
        padding: the id that a batch is padded with.
    """

    def __init__(self, tokenizer: Any, before: Sequence[int], after: Sequence[int], padding: int) -> None:
        self._tokenizer = tokenizer
        self._before, self._after = list(before), list(after)
        self._cut_from = (tokenizer.truncation or {}).get("direction", "right")
        self.pad_token_id: int | None = padding
        tokenizer.no_padding()
        tokenizer.no_truncation()

    @classmethod
    def load(cls, path: Path, before: Sequence[int], after: Sequence[int], padding: int) -> Self:
        """Read the file.

        Raises:
            InputError: it is missing, too large or damaged.
        """
        if path.is_file() and (size := path.stat().st_size) > _MOST:
            raise InputError(f"{path}: the file has {size} bytes, expected at most {_MOST}")
        text = read_text(path)
        try:
            return cls.parse(text, before, after, padding)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, text: str, before: Sequence[int], after: Sequence[int], padding: int) -> Self:
        """Read the content of such a file.

        Raises:
            InputError: it is damaged.
        """
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_str(text), before, after, padding)
        except BaseException as error:  # it raises plain exceptions, and may give up altogether
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            raise InputError(f"expected a tokenizer, found a damaged one ({error})") from None

    def get_vocab(self) -> Mapping[str, int]:
        """Token → id."""
        vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return vocabulary

    def __call__(
        self, text: str | Sequence[str], *, add_special_tokens: bool = True, max_length: int | None = None, **_: Any
    ) -> dict[str, Any]:
        """The ids of a text or of several, as `input_ids`; none has more than `max_length` without special tokens.

        They are cut here, since to set that in the tokenizer fails while another thread uses it.
        """
        texts = [text] if isinstance(text, str) else list(text)
        found = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        if max_length is not None:
            kept = slice(-max_length, None) if self._cut_from == "left" else slice(max_length)
            found = [ids[kept] for ids in found]
        if add_special_tokens:
            found = [[*self._before, *ids, *self._after] for ids in found]
        return {"input_ids": found[0] if isinstance(text, str) else found}
