"""Finding a model: a folder, or one that comes with the package."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path

from broadmamba.data.conversation import near
from broadmamba.errors import InputError

DEFAULT = "meld"
"""The model that comes with the package: trained on words and voices of MELD's dialogues."""


_OF_A_SEED = re.compile(r"seed-\d+")


_SHIPPED = Path(str(resources.files("broadmamba"))) / "pretrained"


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(folder.name for folder in _SHIPPED.glob("*") if folder.is_dir())


def find_model(model: str | Path = DEFAULT) -> Path:
    """The folder of a model.

    Args:
        model: a model folder, or the name of a model that comes with the package.

    Raises:
        InputError: it is neither.
    """
    known = shipped_models()
    if str(model) in known:
        return _SHIPPED / str(model)
    if not os.path.isdir(model):  # noqa: PTH112 - pathlib's raises an error of its own for a long name
        raise InputError(
            f"{model!s:.200}: expected a model folder or one of {', '.join(known)}, "
            f"found neither{near(str(model), known)}"
        )
    return Path(model)


def name_of(model: str | Path = DEFAULT) -> str:
    """What a model is called: its folder's name, or of a run's `runs/seed-0/model` what tells it apart, `runs/seed-0`.

    Args:
        model: as for `find_model`.
    """
    folder = Path(os.path.normpath(find_model(model).absolute()))
    if folder.name == "model" and _OF_A_SEED.fullmatch(folder.parent.name):
        return f"{folder.parent.parent.name}/{folder.parent.name}"
    return folder.name
