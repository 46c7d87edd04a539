"""The folder of a text encoder: checked before anything of it is loaded, and known by all that decides its numbers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broadmamba.errors import InputError
from broadmamba.storage import read_json, sha256

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SHARDED_WEIGHTS = "model.safetensors.index.json"

TOKENIZER = "tokenizer.json"
TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
ADDED = "added_tokens.json"
VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "vocab.bpe", "bpe.codes", "dict.txt")
"""What a tokenizer is made of where there is no `tokenizer.json`; besides, a SentencePiece model, `*.model`."""

_MOST_SETTINGS, _MOST_VOCABULARY = 2**24, 2**27
"""Bytes of one file; those of real encoders have a fifth of that at the most."""

_UNDECISIVE = re.compile(
    r"_?name_or_path|transformers_version|torch_dtype|dtype|architectures|auto_map|_commit_hash|use_cache"
    r"|gradient_checkpointing|initializer_\w+|\w*dropout\w*|\w*drop_prob|id2label|label2id|problem_type|finetuning_task"
    r"|task_specific_params|special_tokens_map_file|tokenizer_file|chat_template|processor_class"
)
"""Settings that no number of a frozen encoder depends on: where it came from, and what only training reads."""

_ATTENTIONS = (None, "eager", "sdpa")
"""Ways to compute attention that need nothing from elsewhere."""


@dataclass(frozen=True, slots=True)
class EncoderFolder:
    """The files of a text encoder, none of them read but its configuration.

    Attributes:
        path: of the folder.
        config: its `config.json`.
        weights: the files of weights, sorted by name.
        tokenizer: the files that the tokenizer is made of, sorted by name.
    """

    path: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    tokenizer: tuple[Path, ...]

    @classmethod
    def open(cls, path: Path) -> EncoderFolder:
        """Look through a folder.

        Raises:
            InputError: a part of an encoder is missing, or something is there that must not be opened.
        """
        if not (path / CONFIG).is_file():
            raise InputError(f"{path}: expected the folder of a text encoder, found no {CONFIG} in it")
        for entry in sorted(path.iterdir()):
            if not (entry.is_file() or entry.is_dir()):
                raise InputError(f"{entry}: expected a file, found a pipe, a device or a link to nothing")
        if (path / "adapter_config.json").exists():
            raise InputError(f"{path}: expected a whole text encoder, found an adapter for one (adapter_config.json)")
        config = _object(path / CONFIG)
        for key in ("attn_implementation", "_attn_implementation", "experts_implementation"):
            if (value := config.get(key)) not in _ATTENTIONS:
                raise InputError(f"{path / CONFIG}: {key} is {value!r:.60}, expected eager or sdpa")
        return cls(path, config, _weights(path), _tokenizer(path))

    def weights_sha256(self) -> str:
        """SHA-256 of the weights; of several files, that of their digests in the order of their names."""
        digests = [sha256(file) for file in self.weights]
        return digests[0] if self.weights[0].name == WEIGHTS else hashlib.sha256("".join(digests).encode()).hexdigest()

    def settings_sha256(self) -> str:
        """SHA-256 of the configuration and the tokenizer, as far as numbers depend on them."""
        try:
            parts: list[Any] = [_decisive(self.config)]
            for file in self.tokenizer:
                settings = file.name in TOKENIZER_SETTINGS
                parts.append([file.name, _decisive(_object(file)) if settings else sha256(file)])
            return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        except RecursionError:
            raise InputError(f"{self.path}: expected the settings of a text encoder, found a nest of them") from None


def _weights(path: Path) -> tuple[Path, ...]:
    """Only safetensors are read: other formats are pickles, which may run code."""
    if (path / WEIGHTS).is_file():
        return (path / WEIGHTS,)
    index = path / SHARDED_WEIGHTS
    if not index.is_file():
        raise InputError(f"{path}: expected the weights in {WEIGHTS}, found no {WEIGHTS}")
    listed = _object(index).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(name, str) for name in listed.values()):
        raise InputError(f"{index}: expected a list of weight files")
    names = sorted(set(listed.values()))
    for name in names:
        if not re.fullmatch(r"[^/\\:]+\.safetensors", name):
            raise InputError(f"{index}: expected names of safetensors files in this folder, found {name!r:.80}")
        if not (path / name).is_file():
            raise InputError(f"{path}: expected the weights in {len(names)} files, found no {name}")
    return tuple(path / name for name in names)


def _tokenizer(path: Path) -> tuple[Path, ...]:
    whole = [path / TOKENIZER] if (path / TOKENIZER).is_file() else []
    made = whole or [file for file in sorted(path.iterdir()) if file.name in VOCABULARIES or file.suffix == ".model"]
    settings = [path / name for name in (*TOKENIZER_SETTINGS, ADDED) if (path / name).is_file()]
    if not made and not any(file.name == TOKENIZER_SETTINGS[0] for file in settings):
        raise InputError(
            f"{path}: expected a text encoder with its tokenizer, found neither {TOKENIZER} nor a vocabulary "
            "such as vocab.txt"
        )
    for file in (*made, *settings):
        if not file.is_file():
            raise InputError(f"{file}: expected a file, found a folder")
        if (size := file.stat().st_size) > _MOST_VOCABULARY:
            raise InputError(f"{file}: the file has {size} bytes, expected at most {_MOST_VOCABULARY}")
    return tuple(sorted((*made, *settings)))


def _object(file: Path) -> dict[str, Any]:
    found = read_json(file, _MOST_SETTINGS)
    if not isinstance(found, dict):
        raise InputError(f"{file}: expected a JSON object, found {type(found).__name__}")
    if "fast_tokenizer_files" in found:
        raise InputError(f"{file}: names other tokenizer files, expected the tokenizer in {TOKENIZER}")
    return found


def _decisive(value: Any) -> Any:
    """Settings without those that decide nothing, at any depth."""
    if isinstance(value, dict):
        return {key: _decisive(inner) for key, inner in value.items() if not _UNDECISIVE.fullmatch(key)}
    return value
