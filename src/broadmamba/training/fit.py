"""Training one model: gradient steps on train, selection on dev, and nothing else.

`fit` takes a corpus and reads its `train` and `dev` splits by these names. There is no argument through which the
test split could reach it.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from broadmamba.baselines.systems import make, system
from broadmamba.bundle.inputs import assemble
from broadmamba.data.batching import Prepared
from broadmamba.data.corpus import Corpus, Split
from broadmamba.data.identity import split_sha256
from broadmamba.data.normalise import Normaliser
from broadmamba.data.spec import MODALITIES, FeatureSpec
from broadmamba.errors import CheckpointError, InputError
from broadmamba.evaluation.calibration import fit_temperature
from broadmamba.evaluation.metrics import Metrics, measure
from broadmamba.evaluation.scoring import evaluate, score
from broadmamba.model.interface import EmotionModel
from broadmamba.model.network import BroadMamba
from broadmamba.training.checkpoint import Checkpoint, check_encoder, check_ids
from broadmamba.training.config import TrainingConfig
from broadmamba.training.refit import refit_readouts
from broadmamba.training.ridge import summed
from broadmamba.training.state import stored_state, write_state

SAVE_EVERY = 10.0
"""Seconds between saved states: what a kill may cost."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training split gave.

    Attributes:
        epoch: from 1.
        loss: mean over the steps of what is minimised (`total`) and of each of its terms.
        dev: figures of the model that selection looks at.
        watched: what a watcher said of the same model; selection never reads it.
    """

    epoch: int
    loss: Mapping[str, float]
    dev: Mapping[str, float]
    watched: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Fitted:
    """The selected model and how it came about.

    Attributes:
        checkpoint: of the epoch with the best dev W-F1, the earliest of equals; calibrated on dev.
        epoch: which that was.
        dev: its figures.
        history: every epoch.
        seconds: that training took, over all parts of an interrupted one.
    """

    checkpoint: Checkpoint
    epoch: int
    dev: Metrics
    history: tuple[Epoch, ...]
    seconds: float


def fit(
    corpus: Corpus,
    config: TrainingConfig,
    *,
    seed: int = 0,
    state: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    watch: Callable[[Checkpoint], Mapping[str, float]] | None = None,
) -> Fitted:
    """Train one model.

    Args:
        corpus: with splits `train` and `dev`.
        config: all settings.
        seed: of weights, dropout and the order of batches.
        state: file in which unfinished training is kept; if it exists, training goes on from there, to the same
            result, bit for bit, as if it had not been interrupted.
        on_epoch: told after each epoch.
        watch: given a copy of the model after each epoch, once selection has looked; what it says is kept in the
            history, and nothing that it does changes the training.

    Raises:
        InputError: the corpus lacks a split, a feature or labels.
        CheckpointError: the state is damaged, or of a training on other data or with other settings.
    """
    train, dev = corpus.split("train"), corpus.split("dev")
    blank = untrained(train, config, seed)
    trainer = _Trainer(blank, blank.prepare_split(train), blank.prepare_split(dev), config, seed, watch)
    if state is not None:
        names = [spec.name for specs in blank.features.values() for spec in specs]
        trainer.identity = [config.to_dict(), seed, *(split_sha256(split, names) for split in (train, dev))]
        if state.exists():
            trainer.load(state)
    saved = time.monotonic()
    while not trainer.finished:
        record = trainer.run_epoch()
        if on_epoch:
            on_epoch(record)
        if state is not None and time.monotonic() - saved > SAVE_EVERY:
            trainer.save(state)
            saved = time.monotonic()
    return trainer.result()


def choose_features(split: Split, config: TrainingConfig) -> dict[str, tuple[FeatureSpec, ...]]:
    """Modality → the features to train on, as the settings name them, or all of the corpus that the system reads.

    Raises:
        InputError: a feature is not in the corpus or belongs to another modality, or there is none at all.
    """
    names = dict(config.features)
    if not names:
        tokens = system(config.system).model.reads_tokens
        for feature in (one for one in split.features.values() if one.spec.ids == tokens):
            names[feature.spec.modality] = (*names.get(feature.spec.modality, ()), feature.spec.name)
    if not names:
        like = "--text minilm --pooling tokens" if system(config.system).model.reads_tokens else "--text minilm"
        found = f"no feature that {config.system} reads" if split.features else "no features yet"
        raise InputError(f"the corpus has {found}; extract one first, such as: broadmamba extract CORPUS {like}")
    for modality, wanted in names.items():
        for name in wanted:
            if name not in split.features:
                raise InputError(
                    f"the corpus has no feature {name!r}; it has {', '.join(split.features) or 'none'} "
                    f"(features are made by: broadmamba extract CORPUS --{modality} …)"
                )
            if split.features[name].spec.modality != modality:
                raise InputError(f"feature {name!r} is {split.features[name].spec.modality}, not {modality}")
    return {m: tuple(split.features[name].spec for name in names[m]) for m in MODALITIES if names.get(m)}


def untrained(train: Split, config: TrainingConfig, seed: int) -> Checkpoint:
    """A model before its first step, with the normalisation measured on the training split.

    Raises:
        InputError: a feature is not there, or there is none at all.
    """
    specs = choose_features(train, config)
    check_ids(config.system, specs, config.speaker_relative)
    values = assemble(specs, train.features, train.conversations, config.speaker_relative)
    normalisers = {m: Normaliser.fit(x, m) for m, x in values.items() if not any(spec.ids for spec in specs[m])}
    widths = {m: x.shape[1] for m, x in values.items()}
    torch.manual_seed(seed)
    model = make(config.system, config.model_config(widths, len(train.labels)))
    check_encoder(model, specs)
    return Checkpoint(config.system, model, train.labels, specs, normalisers, config.speaker_relative)


class _Trainer:
    """The state of a training, and its steps."""

    def __init__(
        self,
        blank: Checkpoint,
        train: Prepared,
        dev: Prepared,
        config: TrainingConfig,
        seed: int,
        watch: Callable[[Checkpoint], Mapping[str, float]] | None,
    ) -> None:
        if not (train.labels >= 0).any() or not (dev.labels >= 0).any():
            raise InputError("training needs labelled utterances in both train and dev")
        self.blank, self.train, self.dev, self.config = blank, train, dev, config
        self.watch = watch
        self.model = blank.model
        self.averaged = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.average))  # type: ignore[no-untyped-call]
            if config.average
            else None
        )
        self.order = torch.Generator().manual_seed(seed)
        state_space = [p for n, p in self.model.named_parameters() if "sequence." in n and p.requires_grad]
        others = [p for n, p in self.model.named_parameters() if "sequence." not in n and p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": state_space, "weight_decay": 0.0},
                {"params": others, "weight_decay": config.weight_decay},
            ],
            lr=config.learning_rate,
            fused=True,
        )
        steps = config.epochs * math.ceil(len(train.lengths) / config.batch_size)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: warm_cosine(step, steps))
        self.history: list[Epoch] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_epoch = 0
        self.identity: list[Any] = []
        self.begun = time.perf_counter()

    @property
    def finished(self) -> bool:
        done = len(self.history)
        return done >= self.config.epochs or done - self.best_epoch >= self.config.patience

    def run_epoch(self) -> Epoch:
        """One pass over train, one look at dev."""
        loss = self._pass()
        if self.config.refit:
            kept = self._kept()
            assert isinstance(kept, BroadMamba), "the settings allow refit for no other"
            refit_readouts(kept, self.train, self.config.loss.ridge)
        metrics = self._measure(self._kept())
        dev = {"weighted_f1": metrics.weighted_f1, "accuracy": metrics.accuracy}
        best = max((e.dev["weighted_f1"] for e in self.history), default=-1.0)
        record = Epoch(len(self.history) + 1, loss, dev)
        if metrics.weighted_f1 > best:
            self.best_epoch = record.epoch
            self.best = {k: v.detach().clone() for k, v in self._kept().state_dict().items()}
        if self.watch:
            with torch.random.fork_rng(devices=[]):
                record = replace(record, watched=self.watch(replace(self.blank, model=copy.deepcopy(self._kept()))))
        self.history.append(record)
        return record

    def _pass(self) -> dict[str, float]:
        self.model.train()
        sums: dict[str, float] = {}
        steps = 0
        for _, batch in self.train.batches(self.config.batch_size, self.order):
            losses = self.model.loss(self.model(batch), batch, self.config.loss)
            if not losses.total.isfinite():
                raise InputError(
                    f"training broke down in epoch {len(self.history) + 1}: the loss is {losses.total.item()}; "
                    "a lower learning rate may help"
                )
            self.optimizer.zero_grad()
            losses.total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            self.optimizer.step()
            self.schedule.step()
            if self.averaged is not None:
                self.averaged.update_parameters(self.model)
            for name, value in {"total": losses.total, **losses.terms}.items():
                sums[name] = sums.get(name, 0.0) + value.item()
            steps += 1
        return {name: value / steps for name, value in sums.items()}

    def _kept(self) -> EmotionModel:
        """The model that dev judges: the running mean of weights, or the weights themselves."""
        kept = self.model if self.averaged is None else self.averaged.module
        assert isinstance(kept, EmotionModel)
        return kept

    def _measure(self, model: EmotionModel) -> Metrics:
        return evaluate(model.eval(), self.dev, self.blank.labels, model.config.modalities)

    def result(self) -> Fitted:
        """The model of the best epoch, its probabilities calibrated on dev."""
        self.model.load_state_dict(self.best)
        uncalibrated = score(self.model.eval(), self.dev, self.blank.modalities).probabilities
        truth = self.dev.labels.numpy()
        model = self.model
        ridge = summed(model, self.train) if isinstance(model, BroadMamba) else {}
        checkpoint = replace(self.blank, temperature=fit_temperature(truth, uncalibrated), ridge=ridge)
        dev = measure(checkpoint.labels, truth, checkpoint.score(self.dev).probabilities)
        return Fitted(checkpoint, self.best_epoch, dev, tuple(self.history), time.perf_counter() - self.begun)

    def save(self, path: Path) -> None:
        """Keep everything that the next step depends on."""
        content = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.order.get_state(),
            "random": torch.get_rng_state(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "history": [asdict(e) for e in self.history],
            "identity": self.identity,
            "seconds": time.perf_counter() - self.begun,
        }
        write_state(path, content)

    def load(self, path: Path) -> None:
        """Go back to what `save` kept.

        Raises:
            CheckpointError: the file is damaged or of another training.
        """
        with stored_state(path) as content:
            if content["identity"] != self.identity:
                raise CheckpointError(
                    f"{path}: was left by a training on other data or with other settings; remove it to start anew"
                )
            self.model.load_state_dict(content["model"])
            if self.averaged is not None:
                self.averaged.load_state_dict(content["averaged"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.schedule.load_state_dict(content["schedule"])
            self.order.set_state(content["order"])
            torch.set_rng_state(content["random"])
            self.best, self.best_epoch = content["best"], content["best_epoch"]
            self.history = [Epoch(**e) for e in content["history"]]
            self.begun -= content["seconds"]


def warm_cosine(step: int, steps: int) -> float:
    """Share of the highest learning rate: up over the first tenth, then down along a cosine to zero."""
    warm = min(1.0, (step + 1) / max(1.0, 0.1 * steps))
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
