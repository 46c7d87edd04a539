"""The one checkpoint format: a folder with `config.json`, `model.safetensors` and a model card, `README.md`.

Everything that gives a number its meaning is inside: the order of labels, the specs of the features, and their
normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from broadmamba.baselines.systems import make, system
from broadmamba.baselines.token_encoder import TokenSystem
from broadmamba.data.batching import Prepared, prepare
from broadmamba.data.conversation import Conversation, LabelSet
from broadmamba.data.corpus import Feature, Split
from broadmamba.data.normalise import Normaliser, relative_to_speaker
from broadmamba.data.spec import MODALITIES, FeatureSpec
from broadmamba.errors import BroadMambaError, CheckpointError, IncompatibleError, InputError
from broadmamba.evaluation.calibration import COLDEST, HOTTEST, scale
from broadmamba.evaluation.scoring import Scores, score
from broadmamba.locks import temporary_folder
from broadmamba.model.interface import EmotionModel
from broadmamba.model.limits import LARGEST, MOST_NUMBERS
from broadmamba.model.settings import ModelConfig
from broadmamba.storage import map_arrays, read_json, save_arrays, write_json, write_text
from broadmamba.training.card import model_card

FORMAT = "broadmamba-model"
VERSION = 3

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_NEW = ".new"

_MOST_SETTINGS = 2**24
"""Bytes of `config.json`; a real one has some ten thousand."""

_NUMPY = {torch.float32: "float32", torch.float64: "float64", torch.int64: "int64", torch.bool: "bool"}
"""Type of a weight → its name in NumPy."""

ENCODER = "encoder"
"""Folder inside a model's, where the fine-tuned text encoder is that the model goes with."""

IDENTITY = ("name", "modality", "width", "pooling", "sha256", "columns")
"""What two specs must share for a model to read the one in place of the other."""


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
    """

    system: str
    model: EmotionModel
    labels: LabelSet
    features: Mapping[str, tuple[FeatureSpec, ...]]
    normalisers: Mapping[str, Normaliser]
    speaker_relative: tuple[str, ...] = ()
    temperature: float = 1.0
    provenance: Mapping[str, Any] = field(default_factory=dict)

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
        given = assemble(self.features, features, conversations, self.speaker_relative)
        if not given:
            names = ", ".join(spec.name for specs in self.features.values() for spec in specs)
            raise IncompatibleError(f"the model reads {names}; found {', '.join(features) or 'no feature'}")
        return prepare(conversations, self.labels, self.normalisers, given)

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
        scores = score(self.model, prepared, self.modalities)
        finite = np.isfinite(np.concatenate([scores.probabilities, scores.modality_weights], axis=1))
        whole = np.asarray(finite.all(axis=1))
        if not whole.all():
            raise InputError(
                f"the model {name or self.system} gives non-finite values for {int((~whole).sum())} of {len(whole)} "
                "utterances: its weights are too large, or the features are"
            )
        return replace(scores, probabilities=scale(scores.probabilities, self.temperature))

    def save(self, path: Path | str) -> None:
        """Write the folder; a kill at any moment leaves the model that was there or the new one, whole.

        The files are written into a folder beside those that they replace, which takes the name `.new` when it is
        whole: from then on it is what `load` reads, until the last of its files has been moved.
        """
        path = Path(path)
        _move_new(path)
        arrays = {f"model.{k}": v.detach().cpu().numpy() for k, v in self.model.state_dict().items()}
        for m, normaliser in self.normalisers.items():
            arrays |= {f"normaliser.{m}.mean": normaliser.mean, f"normaliser.{m}.scale": normaliser.scale}
        with temporary_folder(path) as folder:
            made = folder / "model"
            save_arrays(made / WEIGHTS, arrays)
            write_text(made / CARD, model_card(self.system, self.labels, self.features, self.provenance))
            write_json(
                made / CONFIG,
                {
                    "format": FORMAT,
                    "version": VERSION,
                    "system": self.system,
                    "labels": list(self.labels),
                    "speaker_relative": list(self.speaker_relative),
                    "temperature": self.temperature,
                    "features": {m: [spec.to_dict() for spec in specs] for m, specs in self.features.items()},
                    "model": self.model.config.to_dict(),
                    "provenance": dict(self.provenance),
                },
            )
            try:
                made.replace(path / _NEW)
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
        _move_new(path)

    @classmethod
    def load(cls, path: Path | str) -> Checkpoint:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the folder is no checkpoint, or is damaged.
        """
        path = Path(path)
        if not _file(path, CONFIG).is_file():
            raise CheckpointError(f"{path}: expected a model folder with {CONFIG}, found none")
        try:
            values = read_json(_file(path, CONFIG), _MOST_SETTINGS)
            if not isinstance(values, dict) or (values.get("format"), values.get("version")) != (
                FORMAT,
                VERSION,
            ):
                raise InputError(f"expected format {FORMAT!r} version {VERSION}")
            if not isinstance(values["provenance"], dict):
                raise InputError(f"provenance is {values['provenance']!r:.40}, expected an object")
            features = {m: tuple(map(FeatureSpec.from_dict, specs)) for m, specs in values["features"].items()}
            relative = _texts(values, "speaker_relative")
            check_ids(values["system"], features, relative)
            config = system(values["system"]).config.from_dict(values["model"])
            arrays = map_arrays(_file(path, WEIGHTS))
            model = _model(values["system"], config, arrays)
            normalisers = {
                m: _normaliser(arrays, m, width)
                for m, width in config.widths.items()
                if not any(spec.ids for spec in features.get(m, ()))
            }
            names = _texts(values, "labels")
            if len(names) != config.classes:
                raise InputError(
                    f"{len(names)} labels ({', '.join(names[:20])}) for a model of {config.classes} classes"
                )
            labels = LabelSet(names)
            temperature = _temperature(values)
            check_encoder(model, features)
            _check_fit(config, features, normalisers, relative)
            _check_numbers(model)
        except (BroadMambaError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{path}: damaged or of another version: {reason[:300]}") from None
        return cls(
            values["system"], model.eval(), labels, features, normalisers, relative, temperature, values["provenance"]
        )


def assemble(
    wanted: Mapping[str, Sequence[FeatureSpec]],
    found: Mapping[str, Feature],
    conversations: Sequence[Conversation],
    speaker_relative: Sequence[str],
) -> dict[str, NDArray[np.float32]]:
    """Put the features of each modality side by side.

    Args:
        wanted: modality → specs.
        found: features by name.
        conversations: what the rows belong to.
        speaker_relative: modalities that get distances from the speaker's mean besides.

    Returns:
        Modality → `(U, width)`; a modality of which no feature was found is left out.

    Raises:
        IncompatibleError: a feature of the same name has another spec, or only part of a modality is there.
    """
    chosen: dict[str, NDArray[np.float32]] = {}
    for m, specs in wanted.items():
        missing = [spec.name for spec in specs if spec.name not in found]
        if len(missing) == len(specs):
            continue
        if missing:
            raise IncompatibleError(
                f"{m} needs {', '.join(s.name for s in specs)} together; {', '.join(missing)} is not there"
            )
        for spec in specs:
            other = found[spec.name].spec
            differing = [key for key in IDENTITY if getattr(spec, key) != getattr(other, key)]
            if differing:
                pairs = (f"{key} {getattr(spec, key)!r:.60} and {getattr(other, key)!r:.60}" for key in differing)
                raise IncompatibleError(
                    f"feature {spec.name!r}: the model was trained on {spec.describe()}, found {other.describe()}; "
                    f"they differ in {', '.join(pairs)}"
                )
        values = np.concatenate([found[spec.name].values for spec in specs], axis=1)
        chosen[m] = relative_to_speaker(values, conversations) if m in speaker_relative else values
    return chosen


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


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = values[key]
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InputError(f"{key} is {found!r:.40}, expected a list of texts")
    return tuple(found)


def _temperature(values: Mapping[str, Any]) -> float:
    found = values["temperature"]
    if not isinstance(found, (int, float)) or isinstance(found, bool) or not COLDEST <= found <= HOTTEST:
        raise InputError(f"temperature is {found!r:.40}, expected a number from {COLDEST} to {HOTTEST}")
    return float(found)


def _check_fit(
    config: ModelConfig,
    features: Mapping[str, Sequence[FeatureSpec]],
    normalisers: Mapping[str, Normaliser],
    speaker_relative: Sequence[str],
) -> None:
    """Refuse parts of a checkpoint that are fine alone and do not fit each other."""
    if set(features) != set(config.modalities):
        raise InputError(
            f"features for {', '.join(features) or 'nothing'}, where the model reads {', '.join(config.modalities)}"
        )
    if unknown := [m for m in speaker_relative if m not in MODALITIES]:  # known ones that the model lacks do no harm
        raise InputError(f"speaker_relative has {', '.join(unknown)}, known are {', '.join(MODALITIES)}")
    for m, width in config.widths.items():
        made = sum(spec.width for spec in features[m]) * (2 if m in speaker_relative else 1)
        if any(spec.modality != m for spec in features[m]) or made != width:
            named = ", ".join(f"{spec.modality} {spec.describe()}" for spec in features[m])
            raise InputError(f"the features of {m} are {named or 'none'}, where the model reads a width of {width}")
        if m not in normalisers:
            continue
        normaliser = normalisers[m]
        if not (
            np.isfinite(normaliser.mean).all() and (normaliser.scale > 0).all() and (normaliser.scale < np.inf).all()
        ):
            raise InputError(f"the normalisation of {m} has non-finite values or a scale of 0")


def _check_numbers(model: EmotionModel) -> None:
    for name, tensor in model.state_dict().items():
        if not tensor.isfinite().all():
            raise InputError(f"the weights of {name} have non-finite values")


def _model(name: str, config: ModelConfig, arrays: Mapping[str, NDArray[Any]]) -> EmotionModel:
    """The model with its weights; one that is not that of the weights is refused before it takes memory."""
    own = {key.removeprefix("model."): values for key, values in arrays.items() if key.startswith("model.")}
    # parameters may share a tensor, and a layer may be made before another takes its place
    numbers = min(MOST_NUMBERS, 2 * sum(values.size for values in own.values()) + LARGEST)
    model = make(name, config, numbers, 2 * len(own) + 100)
    expected = {key: (tuple(value.shape), _NUMPY[value.dtype]) for key, value in model.state_dict().items()}
    found = {key: (values.shape, values.dtype.name) for key, values in own.items()}
    for key in sorted({*expected, *found}):
        if expected.get(key) != found.get(key):
            told = (f"{it[0]} of {it[1]}" if it else "none" for it in (found.get(key), expected.get(key)))
            raise InputError("the weights of {} are {}, expected {}".format(key, *told))
    model.load_state_dict({key: torch.from_numpy(np.array(values)) for key, values in own.items()})
    return model


def _normaliser(arrays: Mapping[str, NDArray[Any]], modality: str, width: int) -> Normaliser:
    parts = [arrays[f"normaliser.{modality}.{part}"] for part in ("mean", "scale")]
    if any(values.shape != (width,) or values.dtype.kind != "f" for values in parts):
        raise InputError(f"the normalisation of {modality} is {parts[0].shape}, expected {width} numbers")
    return Normaliser(*map(np.array, parts))


def _file(path: Path, name: str) -> Path:
    """Where a file of a model lies: what was written last may not have been moved to its place."""
    return path / _NEW / name if (path / _NEW / name).is_file() else path / name


def _move_new(path: Path) -> None:
    """Move a model that was written whole to its place; the settings go last."""
    if not (path / _NEW).is_dir():
        return
    try:
        for name in (WEIGHTS, CARD, CONFIG):
            if (path / _NEW / name).is_file():
                (path / _NEW / name).replace(path / name)
        (path / _NEW).rmdir()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
