"""What an installation needs and may have: its packages, its optional parts, and what is said where one is missing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broadmamba.errors import MissingExtraError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = {
    "recording": "recordings: decoding, speech to text, who spoke when, faces",
    "praat": "the audio feature prosody; licence GPL-3",
    "opensmile": "the audio features is10, egemaps and compare; licence: research only",
    "hub": "models of the Hugging Face hub by owner/name",
    "train": "training, export, text encoders of your own",
    "studies": "the tables and figures of the paper",
}
"""Extra of the package → what it is for."""

_EXTRA_OF = {
    "torch": "train",
    "transformers": "train",
    "onnx": "train",
    "onnxscript": "train",
    "matplotlib": "studies",
    "sklearn": "studies",
}
"""Module → the extra that brings it, where whole parts of broadmamba are made with it."""


_INSTEAD = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu")}
"""Package → those that do, where another one does too."""


def missing_extra(what: str, error: ImportError) -> MissingExtraError | None:
    """The error to raise for a module that is not installed; None where no extra would bring it.

    Args:
        what: needs the module, such as a command.
        error: tells which module it is.
    """
    module = (error.name or "").partition(".")[0]
    if module not in _EXTRA_OF:
        return None
    return MissingExtraError(f"{what} needs {module}: pip install 'broadmamba[{_EXTRA_OF[module]}]'")


@dataclass(frozen=True, slots=True)
class Package:
    """A package that broadmamba, or one of its extras, needs.

    Attributes:
        name: in the registry.
        wanted: its versions that do, such as `>=1.26,<3`.
        found: the version that is installed, or None.
        fits: whether what is installed is one of these.
    """

    name: str
    wanted: str
    found: str | None
    fits: bool


def needed_packages(extra: str = "") -> list[Package]:
    """What broadmamba says of itself that it needs, for an extra beside what it always needs; nothing is imported.

    Args:
        extra: a name of `EXTRAS`; without one, what is always needed.

    Raises:
        MissingExtraError: broadmamba is not installed but runs out of a folder, or is installed as it was before.
    """
    from importlib.metadata import PackageNotFoundError, metadata

    from packaging.requirements import Requirement

    try:
        stated = metadata("broadmamba")
    except PackageNotFoundError:
        raise MissingExtraError("broadmamba runs without being installed, expected it to be: pip install .") from None
    if extra and extra not in stated.get_all("Provides-Extra", []):
        raise MissingExtraError(f"the broadmamba that is installed has no extra {extra}: pip install --upgrade .")
    packages = []
    for wanted in map(Requirement, stated.get_all("Requires-Dist", [])):
        always, chosen = _applies(wanted, ""), _applies(wanted, extra)
        if not chosen or (extra and always):
            continue
        if wanted.name == "broadmamba":  # an extra that holds others
            packages += [package for other in sorted(wanted.extras) for package in needed_packages(other)]
        else:
            packages.append(_found(wanted))
    return packages


def _applies(wanted: Requirement, extra: str) -> bool:
    return wanted.marker is None or wanted.marker.evaluate({"extra": extra})


def _found(wanted: Requirement) -> Package:
    from importlib.metadata import PackageNotFoundError, version

    for name in _INSTEAD.get(wanted.name, (wanted.name,)):
        with suppress(PackageNotFoundError):
            found = version(name)
            fits = wanted.specifier.contains(found, prereleases=True)
            return Package(wanted.name, str(wanted.specifier), found, fits)
    return Package(wanted.name, str(wanted.specifier), None, False)
