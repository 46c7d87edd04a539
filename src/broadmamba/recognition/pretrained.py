"""Finding a model: a folder, one that comes with the package, or one on the Hugging Face hub."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from importlib import resources
from pathlib import Path

from broadmamba import hub
from broadmamba.data.conversation import near
from broadmamba.errors import InputError

DEFAULT = "meld"
"""The model that comes with the package: trained on words and voices of MELD's dialogues."""

MANIFEST = "manifest.json"
"""What every model folder has, as in `bundle.folder`, which takes time to import: shells ask for names at a key."""

_OF_A_SEED = re.compile(r"seed-\d+")

_ON_HUB = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\w[\w.-]*(?:/\w[\w.-]*)*))?", re.ASCII)
"""`owner/name`, or `owner/name@revision`."""

_SHIPPED = Path(str(resources.files("broadmamba"))) / "pretrained"

_log = logging.getLogger(__name__)


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(folder.name for folder in _SHIPPED.glob("*") if (folder / MANIFEST).is_file())


def find_model(model: str | Path = DEFAULT) -> Path:
    """The folder of a model.

    Args:
        model: a model folder, the name of a model that comes with the package, or `owner/name` on the hub, with
            `@revision` for a branch, a tag or a commit of it. What is in the hub's cache is not downloaded again.

    Raises:
        InputError: it is none of these, or cannot be downloaded.
        CheckpointError: the hub has something else under that name.
        MissingExtraError: the extra `hub` is needed.
    """
    known = shipped_models()
    if str(model) in known:
        return _SHIPPED / str(model)
    if os.path.isdir(model):  # noqa: PTH112 - pathlib's raises an error of its own for a long name
        return Path(model)
    if on_hub := _ON_HUB.fullmatch(str(model)):
        return _from_hub(on_hub[1], on_hub[2])
    raise InputError(
        f"{model!s:.200}: expected a model folder or one of {', '.join(known)}, found neither{near(str(model), known)}"
    )


def name_of(model: str | Path = DEFAULT) -> str:
    """What a model is called: its folder's name, of a run's `runs/seed-0/model` `runs/seed-0`, or its name on the hub.

    Args:
        model: as for `find_model`.
    """
    if not os.path.isdir(model) and _ON_HUB.fullmatch(str(model)):  # noqa: PTH112 - as above
        return str(model)
    folder = Path(os.path.normpath(find_model(model).absolute()))
    if folder.name == "model" and _OF_A_SEED.fullmatch(folder.parent.name):
        return f"{folder.parent.parent.name}/{folder.parent.name}"
    return folder.name


def _from_hub(id: str, revision: str | None) -> Path:
    """The folder in the cache where a model of the hub lies; its manifest says which files it has."""
    from broadmamba.bundle.folder import CARD, damaged
    from broadmamba.bundle.manifest import read_manifest

    with suppress(InputError):  # it is not in the cache, or only a part of it
        folder = hub.cached("model", id, [MANIFEST], revision=revision)
        if all((folder / name).is_file() for name in read_manifest(folder / MANIFEST).files):
            return folder
    _log.warning("the model %s is not in the cache: downloading it from the Hugging Face hub", id)
    folder = hub.download("model", id, [MANIFEST], revision=revision)
    if not (folder / MANIFEST).is_file():
        raise InputError(f"the model {id!r} of the Hugging Face hub has no {MANIFEST}, expected a model of broadmamba")
    try:
        files = read_manifest(folder / MANIFEST).files
    except InputError as error:
        raise damaged(Path(id), error) from None
    return hub.download("model", id, [MANIFEST, CARD, *files], revision=folder.name)
