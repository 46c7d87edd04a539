"""What the systems share that train a text encoder: passages of token ids, and an encoder whose upper layers learn.

Learning all of an encoder is not affordable on CPUs. Its embeddings and lower layers stay as they are; the matrices of
the upper ones get low-rank additions (`features/text/lora.py`). The frozen half reads each passage alone and keeps what
came of it, so that a passage is read once in a training; in float32, what is kept is rounded to half precision, always,
so that a result does not depend on what was kept. No dropout acts inside the encoder.

Since the frozen half cannot learn to tell a turn from those around it, the tokens of the turn in question get a learnt
vector where the learning begins.

Shapes: `T` utterances of a batch, packed; `K` tokens that the feature has of an utterance; `W` channels of the encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from broadmamba.baselines.baseline import Baseline, BaselineConfig
from broadmamba.baselines.encoder_block import Block
from broadmamba.baselines.token_passages import Passages, Turns
from broadmamba.data.batching import Batch
from broadmamba.errors import InputError
from broadmamba.features.text.encoder_files import load_encoder_files
from broadmamba.features.text.loading import token_limit
from broadmamba.features.text.lora import adapt
from broadmamba.model.settings import require_whole

BUILDS = ("bert", "roberta", "xlm-roberta", "camembert", "mpnet")
"""Kinds of encoders, as their `config.json` names them, whose layers are known here."""

KEPT_BYTES = 1 << 30
"""What a model keeps of its frozen half, at the most."""

_TOKENS_AT_ONCE = 4096
"""Padded tokens that go through the learning layers at once."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True)
class TokenConfig(BaselineConfig):
    """Settings of the systems that train a text encoder.

    Attributes:
        dropout: on what the classifier reads.
        encoder: a name, a folder or a Hugging Face id, see `load_encoder_files`; the one that made the token ids.
        layers: its upper layers that learn.
        rank: of what is added to each of their matrices.
        limit: tokens of a passage, special ones included.
    """

    dropout: float = 0.1
    encoder: str = "minilm"
    layers: int = 2
    rank: int = 16
    limit: int = 48

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"layers": self.layers, "rank": self.rank})
        require_whole({"limit": self.limit}, 8)
        if set(self.widths) != {"text"}:
            raise InputError(f"widths: expected text alone, as token ids, found {', '.join(self.widths)}")


class PassageEncoder(nn.Module):
    """A text encoder that reads passages of token ids; `layers` upper layers learn.

    Args:
        config: of the system.
        colon: whether a colon stands after the speaker of a turn.

    Raises:
        InputError: the encoder is not there, not of a known build, or reads fewer tokens than `config.limit`.
    """

    def __init__(self, config: TokenConfig, colon: bool) -> None:
        super().__init__()
        # the settings may be those of a model folder that others made
        files = load_encoder_files(config.encoder, named_by_file=True)
        model, tokenizer = files.model, files.tokenizer
        kind = model.config.model_type
        if kind not in BUILDS or getattr(model.config, "position_embedding_type", "absolute") != "absolute":
            raise InputError(f"encoder: {config.encoder} is of the build {kind!r}, expected {', '.join(BUILDS)}")
        if (most := token_limit(tokenizer, model)) < config.limit:
            raise InputError(f"limit: expected at most the {most} tokens that {config.encoder} reads")
        if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
            raise InputError(f"encoder: the tokenizer of {config.encoder} has no tokens that begin and end a text")
        self.sha256 = files.sha256
        self.width: int = model.config.hidden_size
        self.limit = config.limit
        self.embeddings = model.embeddings
        blocks = [Block(layer, model.config.num_attention_heads) for layer in model.encoder.layer]
        cut = max(0, len(blocks) - config.layers)
        self.lower, self.upper = nn.ModuleList(blocks[:cut]), nn.ModuleList(blocks[cut:])
        self.relative = model.encoder if kind == "mpnet" else None
        if self.relative is not None:
            self.relative.layer = nn.ModuleList()
        self.requires_grad_(False)
        for addition in adapt(self.upper, [""], config.rank, 0.0).values():
            nn.init.normal_(addition.B, std=1e-3)  # at zero, A would get no gradient in the first step
        self.mark = nn.Parameter(torch.zeros(self.width))
        found = tokenizer.pad_token_id
        self._padding = 0 if found is None else found
        self._specials = torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id])
        marks = [[_last_id(tokenizer, who), *([_last_id(tokenizer, ":")] if colon else [])] for who in (*_LETTERS, "?")]
        self._marks = torch.tensor(marks)
        self._kept = _shared(files.sha256, cut)
        # the module that is told, since a copy of this one has the same hook
        self.register_load_state_dict_post_hook(lambda it, _: it._forget())  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> Self:
        """As of any module; what is frozen has no dropout."""
        super().train(mode)
        self.embeddings.eval()
        return self

    def _apply(self, *arguments: Any, **options: Any) -> Self:
        self._forget()
        super()._apply(*arguments, **options)  # type: ignore[no-untyped-call]
        return self

    def _forget(self) -> None:
        """Weights may have changed: what was kept is not theirs."""
        self._kept = _Kept()

    def turns(self, text: Tensor, present: Tensor, mask: Tensor, speakers: Tensor) -> Turns:
        """A batch's turns, each after the letter of its speaker, A for who speaks first; `?` for nobody known.

        Args:
            text: `(B, L, K)`, token ids as floats, padding after them.
            present: `(B, L)` bool; where it does not hold, a turn has no words.
            mask: `(B, L)` bool.
            speakers: `(B, L)`.
        """
        marks, specials = self._marks.to(text.device), self._specials.to(text.device)
        ids = text[mask].round().long().clamp(0, self.embeddings.word_embeddings.num_embeddings - 1)
        counting = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        words = ((ids != self._padding) * counting).amax(1) * present[mask]
        who = speakers[mask]
        said = torch.cat([marks[torch.where(who < 0, len(_LETTERS), who % len(_LETTERS))], ids], dim=1)
        count = marks.shape[1] + words
        stream = said[torch.arange(said.shape[1], device=ids.device) < count[:, None]]
        end = count.cumsum(0)
        start = end - count
        many = mask.sum(1)
        after = many.cumsum(0)
        return Turns(
            stream=torch.cat([stream, specials]),
            start=start,
            end=end,
            first=start[(after - many).clamp(max=len(start) - 1)].repeat_interleave(many),
            last=end[(after - 1).clamp(min=0)].repeat_interleave(many),
        )

    def forward(self, read: Passages) -> Tensor:
        """The mean of the states of the tokens of each passage that are the utterance's own: `(T, W)`."""
        like = self.embeddings.word_embeddings.weight
        passages = [row[:n] for row, n in zip(read.ids.cpu().numpy(), read.lengths.tolist(), strict=True)]
        order = sorted(range(len(passages)), key=lambda i: len(passages[i]))
        found = []
        for chosen in _chunks([len(passages[i]) for i in order]):
            states = [self._frozen(passages[i]) for i in order[chosen]]
            x = like.new_zeros(len(states), max(map(len, states)), self.width)
            for row, state in zip(x, states, strict=True):
                row[: len(state)] = torch.from_numpy(state)
            counts = torch.tensor([len(state) for state in states], device=x.device)
            own = read.own[order[chosen], : x.shape[1], None].to(x.dtype)
            x = self._learning(x + own * self.mark, torch.arange(x.shape[1], device=x.device) < counts[:, None])
            found.append((x * own).sum(1) / own.sum(1))  # never none: a turn has at least its speaker's token
        back = torch.tensor(order, device=like.device).argsort()
        return torch.cat(found)[back]

    def _learning(self, x: Tensor, mask: Tensor) -> Tensor:
        """`(T, n, W)` → `(T, n, W)`, through all layers that learn."""
        bias = self._bias(x, mask)
        for block in self.upper:
            x = block(x, bias)
        return x

    def _frozen(self, passage: NDArray[np.int64]) -> NDArray[Any]:
        """`(n,)` → `(n, W)`, the states that the learning layers begin with."""
        key = ("states", passage.astype(np.int32).tobytes())
        if (states := self._kept.values.get(key)) is None:
            x = self._below(passage)[0].cpu()
            states = (x.half() if x.dtype == torch.float32 else x).numpy()
            self._kept.keep(key, states)
        return states

    @torch.no_grad()
    def _below(self, passage: NDArray[np.int64]) -> Tensor:
        """`(n,)` → `(1, n, W)`, through all layers that do not learn."""
        ids = torch.from_numpy(np.ascontiguousarray(passage))[None].to(self.embeddings.word_embeddings.weight.device)
        x: Tensor = self.embeddings(input_ids=ids)
        bias = self._bias(x)
        for block in self.lower:
            x = block(x, bias)
        return x

    @torch.no_grad()
    def alone(self, read: Passages) -> Tensor:
        """The mean of the states of the encoder as it was, of which nothing learns: `(T, W)`.

        Each passage is read alone and once, as in `forward`.
        """
        found = []
        for row, n in zip(read.ids.cpu().numpy(), read.lengths.tolist(), strict=True):
            key = ("mean", row[:n].astype(np.int32).tobytes())
            if (mean := self._kept.values.get(key)) is None:
                x = self._below(row[:n])
                bias = self._bias(x)
                for block in self.upper:
                    x = block(x, bias, plain=True)
                mean = x[0].mean(0).cpu().numpy()
                self._kept.keep(key, mean)
            found.append(mean)
        like = self.embeddings.word_embeddings.weight
        return torch.from_numpy(np.stack(found)).to(like.device, like.dtype)

    def _bias(self, x: Tensor, mask: Tensor | None = None) -> Tensor | None:
        """What is added to the attention's scores, or which tokens are attended; None for all alike."""
        kept = None if mask is None or bool(mask.all()) else mask[:, None, None, :]
        if self.relative is None:
            return kept
        bias: Tensor = self.relative.compute_position_bias(x[:1]).to(x.dtype)
        return bias if kept is None else torch.where(kept, bias, -torch.inf)


class _Kept:
    """What a frozen encoder made of passages, by what it is and the bytes of their ids.

    Models share it as long as their frozen weights are those of the same files: copies, and those of other seeds.
    """

    def __init__(self) -> None:
        self.values: dict[tuple[str, bytes], NDArray[Any]] = {}
        self._bytes = 0

    def __deepcopy__(self, memo: object) -> _Kept:
        return self

    def keep(self, key: tuple[str, bytes], value: NDArray[Any]) -> None:
        """Remember, as long as there is room."""
        if self._bytes + value.nbytes <= KEPT_BYTES:
            self.values[key] = value
            self._bytes += value.nbytes


@lru_cache(maxsize=1)
def _shared(sha256: str, below: int) -> _Kept:
    """For models of one encoder, of which as many layers are frozen."""
    return _Kept()


class TokenSystem(Baseline):
    """A compared system that trains a text encoder.

    Args:
        config: of the system.
        colon: see `PassageEncoder`.
    """

    config: TokenConfig
    reads_tokens = True

    def __init__(self, config: TokenConfig, colon: bool) -> None:
        super().__init__(config)
        self.encoder = PassageEncoder(config, colon)

    def turns(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Turns:
        """The turns of what `read` is given."""
        return self.encoder.turns(features["text"], present["text"], batch.mask, batch.speakers)


def _chunks(lengths: Sequence[int]) -> Iterator[slice]:
    """Stretches of a sorted list of lengths, none with too many padded tokens."""
    begin = 0
    for i, length in enumerate(lengths):
        if i > begin and length * (i - begin + 1) > _TOKENS_AT_ONCE:
            yield slice(begin, i)
            begin = i
    yield slice(begin, len(lengths))


def _last_id(tokenizer: Any, text: str) -> int:
    """The token of a letter; some tokenizers put another before it, for the space that is not there."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, padding=False)["input_ids"]
    return ids[-1]
