"""Finding a model: a folder, or one that comes with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from broadmamba.data.conversation import near
from broadmamba.errors import InputError

DEFAULT = "meld"
"""The model that comes with the package: trained on words and voices of MELD's dialogues."""


def find_model(model: str | Path = DEFAULT) -> Path:
    """The folder of a model.

    Args:
        model: a model folder, or the name of a model that comes with the package.

    Raises:
        InputError: it is neither.
    """
    shipped = Path(str(resources.files("broadmamba"))) / "pretrained"
    known = sorted(folder.name for folder in shipped.glob("*") if folder.is_dir())
    if str(model) in known:
        return shipped / str(model)
    if not Path(model).is_dir():
        raise InputError(
            f"{model}: expected a model folder or one of {', '.join(known)}, found neither{near(str(model), known)}"
        )
    return Path(model)
