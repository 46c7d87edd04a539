"""A model in training's hands: the network with torch, and all that goes into its bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from broadmamba.baselines.systems import make, system
from broadmamba.baselines.token_encoder import TokenSystem
from broadmamba.bundle.folder import Bundle, damaged, save_bundle
from broadmamba.bundle.inputs import model_rows
from broadmamba.bundle.manifest import Manifest, checked_manifest
from broadmamba.bundle.ridge import RidgeStatistics
from broadmamba.data.batching import Prepared, prepare
from broadmamba.data.conversation import Conversation, LabelSet
from broadmamba.data.corpus import Feature, Split
from broadmamba.data.normalise import Normaliser
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import BroadMambaError, IncompatibleError, InputError
from broadmamba.evaluation.scores import Scores
from broadmamba.evaluation.scoring import score
from broadmamba.export.network import network_graph
from broadmamba.model.interface import EmotionModel
from broadmamba.model.limits import LARGEST, MOST_NUMBERS
from broadmamba.model.network import BroadMamba
from broadmamba.model.settings import ModelConfig
from broadmamba.training.card import model_card

_NUMPY = {torch.float32: "float32", torch.float64: "float64", torch.int64: "int64", torch.bool: "bool"}
"""Type of a weight → its name in NumPy."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained model with all that it needs to be used.

    Attributes:
        system: the kind of model, a name of `broadmamba.baselines.systems.SYSTEMS`.
        model: the network, in evaluation mode.
        labels: the order of classes.
        features: modality → specs of its features, side by side in this order.
        normalisers: modality → what was fitted on the training split; token ids have none.
        speaker_relative: modalities whose values are joined by their distance from the speaker's mean.
        temperature: of the probabilities, fitted on dev; see `broadmamba.evaluation.calibration`.
        provenance: corpus, settings, seed, versions and dev figures; only told, never read back.
        ridge: modality → AᵀA and AᵀY over the training split; empty where nobody has summed them up.
    """

    system: str
    model: EmotionModel
    labels: LabelSet
    features: Mapping[str, tuple[FeatureSpec, ...]]
    normalisers: Mapping[str, Normaliser]
    speaker_relative: tuple[str, ...] = ()
    temperature: float = 1.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    ridge: Mapping[str, RidgeStatistics] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in their fixed order."""
        return self.model.config.modalities

    def prepare(self, conversations: Sequence[Conversation], features: Mapping[str, Feature]) -> Prepared:
        """Check that features fit this model, and normalise them.

        Args:
            conversations: what the rows of the features belong to.
            features: by name; a modality of which none is given is missing throughout.

        Raises:
            IncompatibleError: a feature has another spec, part of a modality is missing, or all of them are.
        """
        rows = model_rows(self.features, self.normalisers, self.speaker_relative, conversations, features)
        return prepare(conversations, self.labels, rows)

    def prepare_split(self, split: Split) -> Prepared:
        """Check that a split of a corpus fits this model, and prepare it.

        Raises:
            IncompatibleError: the labels differ in name or order, or see `prepare`.
        """
        if split.labels != self.labels:
            raise IncompatibleError(
                f"the model knows the labels {', '.join(self.labels)} in this order, "
                f"the corpus has {', '.join(split.labels)}"
            )
        return self.prepare(split.conversations, split.features)

    def score(self, prepared: Prepared, name: str = "") -> Scores:
        """Predictions for prepared conversations, with calibrated probabilities.

        Args:
            prepared: as `prepare` gives them.
            name: of the model, for the message of an error.

        Raises:
            InputError: the model gives non-finite values.
        """
        return score(self.model, prepared, self.modalities).calibrated(self.temperature, name or self.system)

    def save(self, path: Path | str, encoders: Mapping[str, Path] | None = None) -> None:
        """Write the model as a bundle: see `save_bundle`. Broad Mamba has a graph, which runs without torch.

        Args:
            path: of the folder.
            encoders: name of a text feature → folder of its exported encoder.
        """
        state = {name: value.detach().cpu().numpy() for name, value in self.model.state_dict().items()}
        graph = None
        if isinstance(self.model, BroadMamba):
            graph = network_graph(self.model.config, {name: value.shape for name, value in state.items()})
        card = model_card(self.system, self.labels, self.features, self.provenance)
        save_bundle(Path(path), self._manifest(), state, self.normalisers, card, graph, self.ridge, encoders)

    def _manifest(self) -> Manifest:
        return checked_manifest(
            {
                "system": self.system,
                "labels": list(self.labels),
                "speaker_relative": list(self.speaker_relative),
                "temperature": float(self.temperature),
                "features": {m: [spec.to_dict() for spec in specs] for m, specs in self.features.items()},
                "model": self.model.config.to_dict(),
                "provenance": dict(self.provenance),
            }
        )

    @classmethod
    def load(cls, path: Path | str) -> Checkpoint:
        """Read a model folder.

        Raises:
            CheckpointError: the folder is no model, is damaged, or is of another version.
        """
        bundle = Bundle.load(path)
        ridge = bundle.ridge()
        try:
            return cls.of(bundle.manifest, bundle.weights, bundle.normalisers, ridge)
        except (BroadMambaError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise damaged(bundle.path, error) from None

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        weights: Mapping[str, NDArray[Any]],
        normalisers: Mapping[str, Normaliser],
        ridge: Mapping[str, RidgeStatistics],
    ) -> Checkpoint:
        """A model out of the parts of a folder.

        Raises:
            InputError: they do not fit each other.
        """
        relative = tuple(manifest.speaker_relative)
        check_ids(manifest.system, manifest.specs, relative)
        config = system(manifest.system).config.from_dict(manifest.settings)
        model = _model(manifest.system, config, weights)
        check_encoder(model, manifest.specs)
        return cls(
            manifest.system,
            model.eval(),
            manifest.label_set,
            manifest.specs,
            normalisers,
            relative,
            manifest.temperature,
            manifest.provenance,
            ridge,
        )


def check_ids(name: str, features: Mapping[str, Sequence[FeatureSpec]], speaker_relative: Sequence[str]) -> None:
    """Refuse token ids where a system would take them for quantities, and all else where it reads token ids.

    Args:
        name: of the system.
        features: modality → specs that it would read.
        speaker_relative: modalities that get distances from the speaker's mean.

    Raises:
        InputError: they do not go together.
    """
    specs = [spec for all_specs in features.values() for spec in all_specs]
    names = ", ".join(spec.name for spec in specs)
    if system(name).model.reads_tokens:
        if len(specs) != 1 or not specs[0].ids or speaker_relative:
            raise InputError(
                f"{name} trains a text encoder itself and reads one feature of token ids alone, found {names or 'none'}"
                f"{' and speaker_relative' if speaker_relative else ''}; such a feature is made by: "
                "broadmamba extract CORPUS --text minilm --pooling tokens"
            )
    elif ids := [spec.name for spec in specs if spec.ids]:
        raise InputError(f"{name} cannot read token ids ({ids[0]}); they are for systems that train a text encoder")


def check_encoder(model: EmotionModel, features: Mapping[str, Sequence[FeatureSpec]]) -> None:
    """Refuse token ids of another encoder than the one that the model trains.

    Raises:
        InputError: they are of another.
    """
    if isinstance(model, TokenSystem) and features["text"][0].sha256 != model.encoder.sha256:
        raise InputError(
            f"the encoder {model.config.encoder} (SHA-256 {model.encoder.sha256[:12]}…) cannot read the token ids of "
            f"another, {features['text'][0].describe()}"
        )


def _model(name: str, config: ModelConfig, weights: Mapping[str, NDArray[Any]]) -> EmotionModel:
    """The model with its weights; one that is not that of the weights is refused before it takes memory."""
    # parameters may share a tensor, and a layer may be made before another takes its place
    numbers = min(MOST_NUMBERS, 2 * sum(values.size for values in weights.values()) + LARGEST)
    model = make(name, config, numbers, 2 * len(weights) + 100)
    expected = {key: (tuple(value.shape), _NUMPY[value.dtype]) for key, value in model.state_dict().items()}
    found = {key: (values.shape, values.dtype.name) for key, values in weights.items()}
    for key in sorted({*expected, *found}):
        if expected.get(key) != found.get(key):
            told = (f"{it[0]} of {it[1]}" if it else "none" for it in (found.get(key), expected.get(key)))
            raise InputError("the weights of {} are {}, expected {}".format(key, *told))
    model.load_state_dict({key: torch.from_numpy(np.array(values)) for key, values in weights.items()})
    return model
