"""Fine-tuning a text encoder on the labels of a corpus: small additions to its matrices, chosen on dev.

As in the literature of the field (COSMIC: RoBERTa fine-tuned on the training labels, then frozen), except that an
utterance is read with the turns around it, and that what is learnt takes a few megabytes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.data.batching import UNLABELLED
from broadmamba.data.corpus import Corpus, Split
from broadmamba.data.identity import split_sha256
from broadmamba.errors import CheckpointError, InputError
from broadmamba.evaluation.metrics import Metrics, measure
from broadmamba.features.text.encoder_files import EncoderFiles
from broadmamba.features.text.loading import token_limit
from broadmamba.features.text.lora import adapt, additions_to_arrays
from broadmamba.features.text.passages import Passage, Reading
from broadmamba.features.text.tokens import TurnTokens, pad, turn_mask
from broadmamba.model.limits import LARGEST
from broadmamba.model.settings import require_whole
from broadmamba.training.fit import SAVE_EVERY, warm_cosine
from broadmamba.training.split_encoder import SplitEncoder, upper_layers
from broadmamba.training.state import stored_state, write_state


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Settings of a fine-tuning.

    Attributes:
        reading: how much of a conversation is read with an utterance.
        rank: of the additions (`lora.py`).
        layers: upper layers that learn; those below are frozen and run once for each passage.
        epochs: passes over the training split.
        learning_rate: highest value of a cosine schedule that warms up over the first tenth.
        dropout: on the inputs of the additions; twice of it on what the classifier reads.
        smoothing: share of a label that is spread over all.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        batch_tokens: padded tokens a step.
    """

    reading: Reading = field(default_factory=lambda: Reading(context=8, speakers=True))
    rank: int = 16
    layers: int = 6
    epochs: int = 6
    learning_rate: float = 1e-3
    dropout: float = 0.1
    smoothing: float = 0.0
    weight_decay: float = 1e-2
    clip: float = 1.0
    batch_tokens: int = 512

    def __post_init__(self) -> None:
        require_whole({name: getattr(self, name) for name in ("rank", "layers", "epochs", "batch_tokens")})
        if self.rank > LARGEST:
            raise InputError(f"rank: expected at most {LARGEST}, found {self.rank}")
        for name, largest in (("learning_rate", 1.0), ("clip", 1e6), ("weight_decay", 1e3)):
            if not 0 <= getattr(self, name) <= largest:
                raise InputError(f"{name}: expected a number from 0 to {largest:g}, found {getattr(self, name)!r}")
        if not 0 <= self.dropout < 0.5 or not 0 <= self.smoothing < 1:
            raise InputError(
                f"expected a dropout from 0 to below 0.5 and a smoothing from 0 to below 1, "
                f"found {self.dropout!r} and {self.smoothing!r}"
            )


@dataclass(frozen=True)
class FinetuneEpoch:
    """What one pass over the training split gave.

    Attributes:
        epoch: from 1.
        loss: mean cross-entropy over the steps.
        dev: weighted F1 of the classifier on dev.
    """

    epoch: int
    loss: float
    dev: float


@dataclass(frozen=True, eq=False)
class Finetuned:
    """What was learnt, of the epoch with the best dev W-F1, the earliest of equals.

    Attributes:
        learnt: of `lora.additions_to_arrays`.
        epoch: which that was.
        dev: its figures, of a linear classifier that is not kept.
        history: every epoch.
    """

    learnt: Mapping[str, NDArray[np.float32]]
    epoch: int
    dev: Metrics
    history: tuple[FinetuneEpoch, ...]


def finetune(
    corpus: Corpus,
    encoder: EncoderFiles,
    config: FinetuneConfig,
    *,
    seed: int = 0,
    state: Path | None = None,
    on_step: Callable[[int, int, int], object] | None = None,
    on_epoch: Callable[[FinetuneEpoch], object] | None = None,
) -> Finetuned:
    """Fine-tune a text encoder; only the splits `train` and `dev` are read.

    Args:
        corpus: with labelled utterances in both.
        encoder: its model is changed: load it anew for another use.
        config: all settings.
        seed: of the additions, dropout and the order of passages.
        state: file in which unfinished work is kept; if it exists, work goes on from there, to the same result as if
            it had not been interrupted.
        on_step: told (epoch, steps done of it, all its steps) after each step.
        on_epoch: told after each epoch.

    Raises:
        InputError: the corpus lacks a split or labels, or training broke down.
        CheckpointError: the state is damaged or of another fine-tuning.
    """
    tuner = _Tuner(corpus, encoder, config, seed)
    if state is not None and state.exists():
        tuner.load(state)
    saved = time.monotonic()
    while len(tuner.history) < config.epochs:
        for done, steps in tuner.run_epoch():
            if on_step:
                on_step(len(tuner.history) + 1, done, steps)
            if state is not None and time.monotonic() - saved > SAVE_EVERY:
                tuner.save(state)
                saved = time.monotonic()
        if on_epoch:
            on_epoch(tuner.history[-1])
    return tuner.result()


_Frozen = tuple[Tensor, list[int]]
"""What the lower layers make of a passage, (tokens, width), and the turn of each token."""

_Piece = tuple[Passage, NDArray[np.int64]]
"""A passage and the labels of its scored turns."""


class _Tuner:
    """The state of a fine-tuning, and its steps."""

    def __init__(self, corpus: Corpus, encoder: EncoderFiles, config: FinetuneConfig, seed: int) -> None:
        self.train, self.dev = corpus.split("train"), corpus.split("dev")
        self.config, self.seed, self.sha256 = config, seed, encoder.sha256
        torch.manual_seed(seed)
        self.tokens = TurnTokens(encoder.tokenizer)
        self.limit = token_limit(encoder.tokenizer, encoder.model)
        names = upper_layers(encoder.model, config.layers)
        self.additions = adapt(encoder.model, names, config.rank, config.dropout)
        self.encoder = SplitEncoder(encoder.model, len(names))
        self.classifier = nn.Linear(self.encoder.width, len(corpus.labels))
        self.frozen: dict[Passage, _Frozen] = {}
        self.labels = {split.name: _class_indices(split) for split in (self.train, self.dev)}
        for name in ("train", "dev"):
            if not corpus.has_labels(name):
                raise InputError(
                    f"fine-tuning needs labels in train and dev, {name} of corpus {corpus.name!r} has none"
                )
        self.learnable = nn.ModuleDict(
            {"classifier": self.classifier, **{name.replace(".", "/"): it for name, it in self.additions.items()}}
        )
        self.optimizer = torch.optim.AdamW(
            [p for p in self.learnable.parameters() if p.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.history: list[FinetuneEpoch] = []
        self.losses: list[float] = []
        self.best: dict[str, Tensor] = {}
        self.best_epoch = 0

    def run_epoch(self) -> Iterator[tuple[int, int]]:
        """One pass over train from the step where it is, then one look at dev; tells steps done and all steps."""
        plan = self._plan(len(self.history) + 1)
        steps = len(plan) * self.config.epochs
        self.encoder.train()
        for pieces in plan[len(self.losses) :]:
            # the plans of other epochs differ by a few steps, which does not matter to the schedule
            share = warm_cosine(len(self.history) * len(plan) + len(self.losses), steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.learning_rate * share
            self.losses.append(self._step(pieces))
            yield len(self.losses), len(plan)
        metrics = self.measure()
        best = max((epoch.dev for epoch in self.history), default=-1.0)
        self.history.append(FinetuneEpoch(len(self.history) + 1, float(np.mean(self.losses)), metrics.weighted_f1))
        self.losses = []
        if metrics.weighted_f1 > best:
            self.best_epoch = len(self.history)
            self.best = {name: value.clone() for name, value in self._learnt().items()}

    def _step(self, pieces: Sequence[_Piece]) -> float:
        logits = self._logits([passage for passage, _ in pieces])
        labels = torch.from_numpy(np.concatenate([labels for _, labels in pieces]))
        loss = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, label_smoothing=self.config.smoothing)
        if not loss.isfinite():
            raise InputError(
                f"fine-tuning broke down in epoch {len(self.history) + 1}: the loss is {loss.item()}; "
                "a lower learning rate may help"
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.learnable.parameters(), self.config.clip)
        self.optimizer.step()
        return loss.item()

    def _logits(self, passages: Sequence[Passage]) -> Tensor:
        """(turns, classes) of the scored turns of all passages."""
        frozen = [self.frozen[passage] for passage in passages]
        states = nn.utils.rnn.pad_sequence([states for states, _ in frozen], batch_first=True)
        lengths = torch.tensor([[len(owners)] for _, owners in frozen])
        last = self.encoder(states, torch.arange(states.shape[1]) < lengths)
        rows = []
        for state, (_, owners), passage in zip(last, frozen, passages, strict=True):
            turns = torch.from_numpy(turn_mask(owners, states.shape[1])[-passage.scored :]).to(state.dtype)
            rows.append(turns @ state / turns.sum(dim=1, keepdim=True))
        # sentence encoders give numbers of about 0.1, which a linear classifier would take epochs to make much of
        scaled = F.layer_norm(torch.cat(rows), (self.encoder.width,))
        dropped = F.dropout(scaled, 2 * self.config.dropout, self.encoder.training)
        logits: Tensor = self.classifier(dropped)
        return logits

    def _freeze(self, passages: Sequence[Passage]) -> None:
        """Run the lower layers on passages that are new to them."""
        fresh = list(dict.fromkeys(passage for passage in passages if passage not in self.frozen))
        for passage, (ids, owners) in zip(fresh, self.tokens.of(fresh, self.limit), strict=True):
            row, mask = map(torch.from_numpy, pad([ids], self.tokens.padding))
            self.frozen[passage] = self.encoder.lower(row, mask)[0], owners

    def _plan(self, epoch: int) -> list[list[_Piece]]:
        """The batches of an epoch, which seed and epoch alone decide."""
        chance = random.Random(f"{self.seed}/{epoch}")
        pieces = [
            (passage, known[start : start + passage.scored])
            for conversation, known in zip(self.train.conversations, self.labels["train"], strict=True)
            for start, passage in self.config.reading.training_passages(conversation, shifted=epoch % 2 == 0)
            if (known[start : start + passage.scored] >= 0).any()
        ]
        self._freeze([passage for passage, _ in pieces])
        chance.shuffle(pieces)
        length = {passage: len(self.frozen[passage][1]) for passage, _ in pieces}
        pieces.sort(key=lambda piece: length[piece[0]] // 32)  # of like length, and of all kinds of conversations
        batches: list[list[_Piece]] = []
        for piece in pieces:
            longest = max(length[passage] for passage, _ in [piece, *batches[-1]]) if batches else 0
            if batches and longest * (len(batches[-1]) + 1) <= self.config.batch_tokens:
                batches[-1].append(piece)
            else:
                batches.append([piece])
        chance.shuffle(batches)
        return batches

    @torch.inference_mode()
    def measure(self) -> Metrics:
        """Figures of the classifier on dev."""
        self.encoder.eval()
        passages = [
            one for conversation in self.dev.conversations for one in self.config.reading.passages(conversation)
        ]
        self._freeze(passages)
        probabilities = [self._logits([passage]).softmax(dim=1).numpy() for passage in passages]
        return measure(self.dev.labels, np.concatenate(self.labels["dev"]), np.concatenate(probabilities))

    def _learnt(self) -> dict[str, Tensor]:
        """All that is trained."""
        return {name: p.detach() for name, p in self.learnable.named_parameters() if p.requires_grad}

    def _put(self, learnt: Mapping[str, Tensor]) -> None:
        parameters = {name: p for name, p in self.learnable.named_parameters() if p.requires_grad}
        if set(learnt) != set(parameters):
            raise InputError("other parameters than these")
        with torch.no_grad():
            for name, value in learnt.items():
                parameters[name].copy_(value)

    def result(self) -> Finetuned:
        """What was learnt up to the best epoch."""
        self._put(self.best)
        return Finetuned(additions_to_arrays(self.additions), self.best_epoch, self.measure(), tuple(self.history))

    def save(self, path: Path) -> None:
        """Keep everything that the next step depends on."""
        content = {
            "settings": self._settings(),
            "learnt": self._learnt(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "losses": self.losses,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "history": [asdict(epoch) for epoch in self.history],
        }
        write_state(path, content)

    def load(self, path: Path) -> None:
        """Go back to what `save` kept.

        Raises:
            CheckpointError: the file is damaged or of another fine-tuning.
        """
        with stored_state(path) as content:
            if content["settings"] != self._settings():
                raise CheckpointError(
                    f"{path}: was left by a fine-tuning of another encoder, on other data or with other settings; "
                    "remove it to start anew"
                )
            self._put(content["learnt"])
            self.optimizer.load_state_dict(content["optimizer"])
            torch.set_rng_state(content["random"])
            self.losses = content["losses"]
            self.best, self.best_epoch = content["best"], content["best_epoch"]
            self.history = [FinetuneEpoch(**epoch) for epoch in content["history"]]

    def _settings(self) -> dict[str, Any]:
        """All that decides what is learnt."""
        splits = [split_sha256(split) for split in (self.train, self.dev)]
        return {"config": asdict(self.config), "seed": self.seed, "encoder": self.sha256, "splits": splits}


def _class_indices(split: Split) -> list[NDArray[np.int64]]:
    """The labels of each conversation as class indices."""
    return [
        np.array([UNLABELLED if u.label is None else split.labels.index(u.label) for u in conversation])
        for conversation in split.conversations
    ]
