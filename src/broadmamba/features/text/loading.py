"""Loading a text encoder out of its folder with transformers, and trying out whether it is one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from broadmamba.errors import InputError, MissingExtraError
from broadmamba.features.text.encoder_folder import TOKENIZER, EncoderFolder
from broadmamba.features.text.tokens import ids_of, is_panic, special_tokens
from broadmamba.model.limits import bounded
from broadmamba.storage import tensor_sizes

_OPTIONS = {"local_files_only": True, "trust_remote_code": False}

_NOT_READ = ("pooler.",)
"""Beginnings of the names of weights that may be missing, since nothing is read off them."""

_SPARE = 2**26
"""Numbers that a model may have beyond those in the file: a pooler, buffers."""

_PROBES = 100
"""Words of a tokenizer's own vocabulary with which it is tried."""


def load_encoder(folder: EncoderFolder, trusted: bool) -> tuple[Any, Any]:
    """Tokenizer and model, the latter in float32 and with dropout off.

    Args:
        folder: of the encoder.
        trusted: whether every file of it is known by its SHA-256, so that nothing needs to be tried.

    Raises:
        InputError: something is missing, damaged or larger than its file, or the parts do not fit together.
        MissingExtraError: the tokenizer needs a package that is not installed.
    """
    if not trusted:
        _check_package(folder)
    with _quiet_transformers():
        try:
            from transformers import AutoModel, AutoTokenizer

            if not trusted:
                _check_size(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder.path, **_OPTIONS)
            model, report = AutoModel.from_pretrained(
                folder.path,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told below
                dtype=torch.float32,
                **_OPTIONS,
            )
        except InputError:
            raise
        except MemoryError:
            raise InputError(f"{folder.path}: there is not enough memory for this text encoder") from None
        except BaseException as error:  # transformers raises nearly anything on damaged files
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{folder.path}: cannot be loaded as a text encoder ({reason})") from None
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(_NOT_READ))
    if missing:
        raise InputError(
            f"{folder.path}: the weights lack tensors of the model: {len(missing)}, such as {missing[0]!r}"
        )
    if other := sorted(str(key) for key, *_ in report["mismatched_keys"]):
        raise InputError(f"{folder.path}: tensors of another size than the model's: {len(other)}, such as {other[0]!r}")
    if model.config.is_encoder_decoder:
        raise InputError(f"{folder.path}: expected an encoder, found an encoder-decoder ({type(model).__name__})")
    model = model.float().eval()
    if not trusted:
        try:
            _check_tokenizer(tokenizer, model)
        except InputError as error:
            raise InputError(f"{folder.path}: {error}") from None
    return tokenizer, model


def _check_package(folder: EncoderFolder) -> None:
    files = {file.name: file for file in folder.tokenizer}
    needed = TOKENIZER not in files and any(file.suffix == ".model" for file in folder.tokenizer)
    if needed and importlib.util.find_spec("sentencepiece") is None:
        raise MissingExtraError(
            f"{folder.path}: its tokenizer is a SentencePiece model, which needs a package: "
            "pip install sentencepiece protobuf"
        )


def _check_size(folder: EncoderFolder) -> None:
    """Refuse a configuration that asks for more than the weights hold, before anything is allocated."""
    from transformers import AutoConfig, AutoModel

    sizes = [count for file in folder.weights for count in tensor_sizes(file).values()]
    config = AutoConfig.from_pretrained(folder.path, **_OPTIONS)
    try:
        with bounded(sum(sizes) + _SPARE, 2 * len(sizes) + 1000), torch.device("meta"):
            AutoModel.from_config(config, trust_remote_code=False)
    except InputError as error:
        raise InputError(f"{folder.path}: {error}") from None


def _check_tokenizer(tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer that is not the model's, as far as that can be told."""
    if not isinstance(longest := tokenizer.model_max_length, (int, float)):
        raise InputError(f"its tokenizer's model_max_length is {longest!r:.40}, expected a number")
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    words = sorted(set(vocabulary) - special, key=lambda word: (vocabulary[word], word))
    if not words:
        raise InputError(f"its tokenizer knows {len(vocabulary)} special tokens and no words")
    table = embeddings(model)
    # transformers adds a mask to tokenizers of BERT's that lack one; none is ever put into a text
    beyond = [id for id in vocabulary.values() if table is not None and id >= table]
    if beyond and not (len(beyond) == 1 and beyond[0] == tokenizer.mask_token_id == len(vocabulary) - 1):
        raise InputError(f"its tokenizer has ids up to {max(beyond)}, the model has embeddings for {table} ids, from 0")
    chosen = words[:: max(1, len(words) // _PROBES)]
    spoken = [text for word in chosen if (text := word.strip("#▁Ġ ").removesuffix("</w>").removesuffix("@@"))]
    found = ids_of(tokenizer, spoken, add_special_tokens=False) if spoken else []
    if spoken and not any(id != tokenizer.unk_token_id for ids in found for id in ids):
        raise InputError(
            f"its tokenizer turns {len(spoken)} words of its own vocabulary, such as {spoken[0]!r:.40}, "
            "into unknown tokens"
        )


def token_limit(tokenizer: Any, model: Any) -> int:
    """How many tokens the encoder reads: what tokenizer, configuration and position table all allow.

    Raises:
        InputError: not even one besides the special tokens.
    """
    limits: list[int] = [
        tokenizer.model_max_length,
        getattr(model.config, "max_position_embeddings", None) or 512,
    ]
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, torch.nn.Embedding):
            unused = 0 if table.padding_idx is None else table.padding_idx + 1  # RoBERTa counts from there
            limits.append(table.num_embeddings - unused)
    special = sum(map(len, special_tokens(tokenizer)))
    if not all(isinstance(limit, (int, float)) and limit > special for limit in limits):
        raise InputError(f"expected an encoder that reads more than its {special} special tokens, found {limits}")
    return int(min(limits))


def embeddings(model: Any) -> int | None:
    """How many token ids the model has embeddings for, where it has a table of them."""
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        return None
    return table.num_embeddings if isinstance(table, nn.Embedding) else None


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
