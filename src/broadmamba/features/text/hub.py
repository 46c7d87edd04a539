"""Text encoders of the Hugging Face hub: in its cache, and into it."""

from __future__ import annotations

from pathlib import Path

from broadmamba.errors import InputError
from broadmamba.features.text.encoder_folder import (
    ADDED,
    CONFIG,
    SHARDED_WEIGHTS,
    TOKENIZER,
    TOKENIZER_SETTINGS,
    VOCABULARIES,
)

_WANTED = (CONFIG, "*.safetensors", SHARDED_WEIGHTS, TOKENIZER, *TOKENIZER_SETTINGS, ADDED, *VOCABULARIES, "*.model")
_ELSEWHERE = "*/*"
"""Files in folders of the repository: other formats, other parts of a larger system."""


def cached_encoder(id: str) -> Path:
    """The folder in the cache where the files of an encoder lie; the network is not used.

    Raises:
        InputError: there is none.
    """
    return _snapshot(id, offline=True)


def download_encoder(id: str) -> Path:
    """Download the files of an encoder that are not in the cache.

    Returns:
        The folder in the cache where they lie.

    Raises:
        InputError: the hub cannot be reached, knows no such encoder, or the cache cannot be written.
    """
    _check_hub(id)
    return _snapshot(id, offline=False)


def _snapshot(id: str, offline: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        found = snapshot_download(
            id, allow_patterns=list(_WANTED), ignore_patterns=[_ELSEWHERE], local_files_only=offline
        )
    except Exception as error:  # of the hub's client or of whichever HTTP library it uses
        raise InputError(
            f"the text encoder {id!r} cannot be had from the Hugging Face hub ({_reason(error)})"
        ) from None
    finally:
        if shown:
            enable_progress_bars()
    return Path(found)


def _check_hub(id: str) -> None:
    """One request, since its client tries again for minutes where there is no network."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import get_session

    try:
        get_session().head(hf_hub_url(id, CONFIG), timeout=10)
    except Exception as error:  # of whichever HTTP library the installed version uses
        raise InputError(
            f"the text encoder {id!r} is no folder here, not in the Hugging Face cache, "
            f"and the hub cannot be reached ({_reason(error)})"
        ) from None


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
