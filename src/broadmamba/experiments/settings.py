"""The settings of each system on each corpus: where all start from, and what an equal search on dev chose."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from broadmamba.training.config import TrainingConfig
from broadmamba.training.options import changed

OTHERS = "others"
"""Name of the settings of corpora that are not known by name."""


@dataclass(frozen=True)
class CorpusSettings:
    """How systems are trained on a corpus.

    Attributes:
        start: settings that every system begins with.
        trials: what the search on dev tries for every system, each a change of the start; the first changes nothing.
        kinds: system → settings in which its start differs.
        chosen: system → the trial that was best on dev.
        single: systems whose start alone takes longer than all trials of another: they are given no other.
    """

    start: Mapping[str, Any]
    trials: Mapping[str, Mapping[str, Any]]
    kinds: Mapping[str, Mapping[str, Any]]
    chosen: Mapping[str, str]
    single: Sequence[str] = ()

    def tried(self, system: str) -> list[str]:
        """Names of the trials that a system is given."""
        return list(self.trials)[:1] if system in self.single else list(self.trials)

    def lacking(self, system: str, features: Collection[str]) -> list[str]:
        """Features that a system alone reads, such as token ids, and that are not among the given ones."""
        own = self.kinds.get(system, {}).get("features", {})
        return [name for group in own.values() for name in group if name not in features]

    def trial(self, system: str, name: str, features: Mapping[str, tuple[str, ...]]) -> TrainingConfig:
        """The settings of one trial of a system.

        Args:
            system: its name.
            name: of the trial.
            features: modality → features in place of those of the start; empty for those.

        Raises:
            InputError: a setting is unknown or not allowed.
        """
        kind = self.kinds.get(system, {})
        start = TrainingConfig.from_dict({**self.start, "system": system})
        if features:
            start = changed(start, {"features": dict(features)})
        return changed(start, {**kind, **self.trials[name]})

    def config(self, system: str, features: Mapping[str, tuple[str, ...]]) -> TrainingConfig:
        """The settings that a system is reported with."""
        return self.trial(system, self.chosen.get(system, next(iter(self.trials))), features)


def corpus_settings(corpus: str) -> CorpusSettings:
    """The settings for a corpus by its name; a corpus that is not known by name gets those of `others`."""
    folder = resources.files("broadmamba.experiments") / "settings"
    file = folder / f"{corpus}.toml"
    if not file.is_file():
        file = folder / f"{OTHERS}.toml"
    return CorpusSettings(**tomllib.loads(file.read_text(encoding="utf-8")))
