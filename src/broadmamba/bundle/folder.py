"""A model folder, read and written.

manifest.json            what the model is, and the SHA-256 of every other file
model.safetensors        weights, and the normalisation of features
graph.onnx               the network, for ONNX Runtime; compared systems have none
ridge.safetensors        AᵀA and AᵀY of the broad nodes, for adaptation
text/FEATURE/            a text encoder that came with the model
README.md                the model card
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.bundle.inputs import model_rows
from broadmamba.bundle.manifest import MOST_MANIFEST_BYTES, Manifest, read_manifest
from broadmamba.bundle.ridge import RidgeStatistics, ridge_arrays, ridge_statistics
from broadmamba.data.conversation import Conversation, LabelSet
from broadmamba.data.corpus import Feature
from broadmamba.data.normalise import Normaliser
from broadmamba.data.rows import Rows
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import BroadMambaError, CheckpointError, InputError
from broadmamba.locks import temporary_folder
from broadmamba.storage import (
    map_arrays,
    read_bytes,
    read_json,
    save_arrays,
    sha256,
    write_bytes,
    write_json,
    write_text,
)

MANIFEST, WEIGHTS, GRAPH, RIDGE, CARD = (
    "manifest.json",
    "model.safetensors",
    "graph.onnx",
    "ridge.safetensors",
    "README.md",
)
_ENCODERS = "text"
_ENCODER_FILES = frozenset({"encoder.json", "graph.onnx", "tokenizer.json", "weights.safetensors"})
_NEW = ".new"
VERSION_3 = "config.json"
"""What stood in the place of the manifest up to version 3."""

_MOST_BYTES = 2**32
"""Of any file; a model to train has at most half as many."""

_WEIGHT, _NORMALISER = "model.", "normaliser."


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model folder that was opened and checked.

    Attributes:
        path: of the folder.
        manifest: what the model is.
        weights: of the network, by name; mapped into memory, read-only.
        normalisers: modality → what was fitted on the training split; token ids have none.
    """

    path: Path
    manifest: Manifest
    weights: Mapping[str, NDArray[Any]]
    normalisers: Mapping[str, Normaliser]

    @classmethod
    def load(cls, path: Path | str) -> Bundle:
        """Open a model folder.

        Raises:
            CheckpointError: it is none, is damaged, or is of another version.
        """
        path = Path(path)
        try:
            there = is_bundle(path)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
        if not there:
            if is_version_3(path):
                raise CheckpointError(
                    f"{path}: a model of version 3, expected {MANIFEST}; make a bundle of it by: "
                    f"broadmamba export {path} --out BUNDLE"
                )
            raise CheckpointError(f"{path}: expected a model folder with {MANIFEST}, found none")
        try:
            manifest = read_manifest(_file(path, MANIFEST))
            _check_file(path, manifest, WEIGHTS)
            weights, normalisers = split_arrays(manifest, map_arrays(_file(path, WEIGHTS)))
        except BroadMambaError as error:
            raise damaged(path, error) from None
        return cls(path, manifest, weights, normalisers)

    @cached_property
    def labels(self) -> LabelSet:
        """The order of classes."""
        return self.manifest.label_set

    @cached_property
    def features(self) -> Mapping[str, tuple[FeatureSpec, ...]]:
        """Modality → specs of its features, side by side in this order."""
        return self.manifest.specs

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in their fixed order."""
        return self.manifest.modalities

    @property
    def has_graph(self) -> bool:
        """Whether it runs without torch."""
        return GRAPH in self.manifest.files

    def graph(self) -> bytes:
        """The network, as an ONNX model.

        Raises:
            CheckpointError: it is damaged, or the model has none.
        """
        return self._read(GRAPH)

    def ridge(self) -> dict[str, RidgeStatistics]:
        """Modality → AᵀA and AᵀY; empty where the model has none.

        Raises:
            CheckpointError: they are damaged.
        """
        if RIDGE not in self.manifest.files:
            return {}
        try:
            _check_file(self.path, self.manifest, RIDGE)
            widths = {m: self.weights[f"branches.{m}.representation.weight"].shape[1] for m in self.modalities}
            return ridge_statistics(map_arrays(_file(self.path, RIDGE)), widths, self.manifest.model.classes)
        except (BroadMambaError, KeyError, IndexError) as error:
            raise damaged(self.path, error) from None

    def text_encoder(self, feature: str) -> Path | None:
        """The folder of the text encoder that came with the model for a feature, its files checked, or None.

        Raises:
            CheckpointError: one of its files is damaged.
        """
        names = [name for name in self.manifest.files if name.startswith(f"{_ENCODERS}/{feature}/")]
        if not names:
            return None
        try:
            if missing := sorted(_ENCODER_FILES - {Path(name).name for name in names}):
                raise InputError(f"{MANIFEST} names a text encoder of {feature} without its {missing[0]}")
            if len({_file(self.path, name).parent for name in names}) > 1:  # a kill while it was written
                _settle(self.path)
            for name in names:
                _check_file(self.path, self.manifest, name)
        except BroadMambaError as error:
            raise damaged(self.path, error) from None
        return _file(self.path, names[0]).parent

    def rows(self, conversations: Sequence[Conversation], features: Mapping[str, Feature]) -> Rows:
        """Check that features fit this model, and normalise them: see `model_rows`."""
        return model_rows(self.features, self.normalisers, self.manifest.speaker_relative, conversations, features)

    def _read(self, name: str) -> bytes:
        try:
            _check_file(self.path, self.manifest, name)
            content = read_bytes(_file(self.path, name))
        except BroadMambaError as error:
            raise damaged(self.path, error) from None
        return content


def is_bundle(path: Path) -> bool:
    """Whether a folder holds a model of this version; a kill may have left it as `.new` alone."""
    return _file(path, MANIFEST).is_file()


def save_bundle(
    path: Path,
    manifest: Manifest,
    weights: Mapping[str, NDArray[Any]],
    normalisers: Mapping[str, Normaliser],
    card: str,
    graph: bytes | None = None,
    ridge: Mapping[str, RidgeStatistics] | None = None,
    encoders: Mapping[str, Path] | None = None,
) -> None:
    """Write a model folder; a kill at any moment leaves the model that was there or the new one, whole.

    The files are written into a folder beside those that they replace, which takes the name `.new` when it is whole:
    from then on it is what `Bundle.load` reads, until the last of its files has been moved.

    Args:
        path: of the folder.
        manifest: what the model is; its `files` are filled in.
        weights: of the network, by name.
        normalisers: modality → what was fitted on the training split.
        card: the model card.
        graph: the network as an ONNX model.
        ridge: modality → AᵀA and AᵀY.
        encoders: name of a text feature → folder of its exported encoder, which is copied.

    Raises:
        InputError: it cannot be written.
    """
    path = Path(path)
    _settle(path)
    arrays = {f"{_WEIGHT}{name}": values for name, values in weights.items()}
    for m, normaliser in normalisers.items():
        arrays |= {f"{_NORMALISER}{m}.mean": normaliser.mean, f"{_NORMALISER}{m}.scale": normaliser.scale}
    with temporary_folder(path) as folder:
        made = folder / "bundle"
        save_arrays(made / WEIGHTS, arrays)
        if graph is not None:
            write_bytes(made / GRAPH, graph)
        if ridge:
            save_arrays(made / RIDGE, ridge_arrays(ridge))
        for feature, source in (encoders or {}).items():
            for file in sorted(source.iterdir()):
                write_bytes(made / _ENCODERS / feature / file.name, file.read_bytes())
        files = {file.relative_to(made).as_posix(): sha256(file) for file in sorted(made.rglob("*")) if file.is_file()}
        write_text(made / CARD, card)
        write_json(made / MANIFEST, replace(manifest, files=files).to_dict())
        try:
            made.replace(path / _NEW)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    _settle(path)


def split_arrays(
    manifest: Manifest, arrays: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], dict[str, Normaliser]]:
    """The weights of the network and the normalisation, out of `model.safetensors`.

    Raises:
        InputError: there are others, or they have other sizes or non-finite values.
    """
    weights = {name.removeprefix(_WEIGHT): a for name, a in arrays.items() if name.startswith(_WEIGHT)}
    for name, values in weights.items():
        if values.size and not np.isfinite([values.min(), values.max()]).all():  # which take no memory
            raise InputError(f"the weights of {name} have non-finite values")
    normalisers = {}
    for m, width in manifest.model.widths.items():
        if any(spec.ids for spec in manifest.specs[m]):
            continue
        parts = [arrays.get(f"{_NORMALISER}{m}.{part}") for part in ("mean", "scale")]
        if any(values is None or values.shape != (width,) or values.dtype != np.float32 for values in parts):
            found = "none" if parts[0] is None else f"{parts[0].dtype} {parts[0].shape}"
            raise InputError(f"the normalisation of {m} is {found}, expected {width} numbers of float32")
        mean, scale = (np.array(values) for values in parts)
        if not (np.isfinite(mean).all() and (scale > 0).all() and (scale < np.inf).all()):
            raise InputError(f"the normalisation of {m} has non-finite values or a scale of 0")
        normalisers[m] = Normaliser(mean, scale)
    return weights, normalisers


def damaged(path: Path, error: BaseException) -> CheckpointError:
    """What is told of a model folder that cannot be used."""
    reason = " ".join(str(error).split())
    return CheckpointError(f"{path}: damaged or of another version: {reason[:300]}")


def _check_file(path: Path, manifest: Manifest, name: str) -> None:
    file = _file(path, name)
    try:
        size = file.stat().st_size if file.is_file() else None
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from None
    if size is None:
        raise InputError(f"{name} is not there")
    if size > _MOST_BYTES:
        raise InputError(f"{name} has {size} bytes, expected at most {_MOST_BYTES}")
    expected = manifest.files.get(name)
    if expected is None:
        raise InputError(f"{MANIFEST} does not name {name}")
    if (found := sha256(file)) != expected:
        raise InputError(f"the SHA-256 of {name} is {found[:12]}…, expected {expected[:12]}…")


def _file(path: Path, name: str) -> Path:
    """Where a file of a model lies: what was written last may not have been moved to its place."""
    return path / _NEW / name if os.path.isfile(path / _NEW / name) else path / name  # noqa: PTH113 - pathlib's raises


def _settle(path: Path) -> None:
    """Move a model that was written whole to its place, the manifest last, and remove what it replaces."""
    new = path / _NEW
    if not new.is_dir():
        return
    try:
        former = _listed(path / MANIFEST) | ({VERSION_3} if is_version_3(path) else set())
        names = [file.relative_to(new).as_posix() for file in sorted(new.rglob("*")) if file.is_file()]
        for name in sorted(names, key=lambda name: name == MANIFEST):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).replace(path / name)
        for name in former - _listed(path / MANIFEST):
            (path / name).unlink(missing_ok=True)
        for folder in sorted(
            (f for f in [*path.glob(f"{_ENCODERS}/*"), *new.rglob("*"), new] if f.is_dir()), reverse=True
        ):
            if not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def _listed(manifest: Path) -> set[str]:
    """The files that a manifest names; none where it is none."""
    try:
        return set(read_manifest(manifest).files)
    except BroadMambaError:
        return set()


def is_version_3(path: Path) -> bool:
    """Whether a folder has the settings of a model that an earlier version wrote."""
    try:
        values = read_json(path / VERSION_3, MOST_MANIFEST_BYTES)
    except BroadMambaError:
        return False
    return isinstance(values, dict) and values.get("format") == "broadmamba-model"
