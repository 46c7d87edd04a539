"""From a corpus and the name of an encoder to the folder of a fine-tuned one, so that a kill costs little."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from broadmamba.data.corpus import Corpus
from broadmamba.data.identity import conversations_sha256
from broadmamba.errors import InputError
from broadmamba.features.text.encoder_files import load_encoder_files
from broadmamba.features.text.tuned import LEARNT, is_tuned, read_provenance, save_tuned
from broadmamba.locks import exclusive, remove_leftovers
from broadmamba.training.environment import environment
from broadmamba.training.finetune import FinetuneConfig, FinetuneEpoch, finetune

_STATE = "state.pt"


def finetune_encoder(
    corpus: Corpus,
    source: str,
    config: FinetuneConfig,
    out: Path,
    *,
    seed: int = 0,
    on_step: Callable[[int, int, int], object] | None = None,
    on_epoch: Callable[[FinetuneEpoch], object] | None = None,
) -> dict[str, Any]:
    """Fine-tune an encoder and write its folder; finished work is not done again, unfinished work goes on.

    Args:
        corpus: with labelled splits train and dev.
        source: of the encoder to begin with: a name, a folder or a Hugging Face id.
        config: all settings.
        out: the folder.
        seed: of everything random.
        on_step: told (epoch, steps done of it, all its steps).
        on_epoch: told after each epoch.

    Returns:
        How it came about: corpus, settings, seed, epochs and dev figures, as in the folder's `encoder.json`.

    Raises:
        InputError: the folder holds another encoder, another process works in it, or see `finetune`.
    """
    with exclusive(out, "fine-tunes an encoder in it"):
        try:
            return _finetune_held(corpus, source, config, out, seed, on_step, on_epoch)
        except KeyboardInterrupt:
            logging.getLogger(__name__).warning(
                "stopped: what was saved is kept in %s, and the same command resumes there", out
            )
            raise


def _finetune_held(
    corpus: Corpus,
    source: str,
    config: FinetuneConfig,
    out: Path,
    seed: int,
    on_step: Callable[[int, int, int], object] | None,
    on_epoch: Callable[[FinetuneEpoch], object] | None,
) -> dict[str, Any]:
    decisive = {
        "corpus": {
            "name": corpus.name,
            "labels": list(corpus.labels),
            "utterances": len(corpus.utterances),
            "sha256": conversations_sha256(corpus),
        },
        "encoder": source,
        "settings": asdict(config),
        "seed": seed,
    }
    state = out / _STATE
    remove_leftovers(out)
    if is_tuned(out):
        provenance = read_provenance(out)
        if isinstance(provenance.get("corpus"), dict) and "sha256" not in provenance["corpus"]:
            raise InputError(
                f"{out}: holds an encoder of an earlier version, which did not note the content of its corpus, so that "
                f"it cannot be told whether this is the same one; choose another folder, or use it by extract --text"
            )
        differing = [key for key, value in decisive.items() if provenance.get(key) != value]
        if differing:
            raise InputError(
                f"{out}: holds an encoder that was fine-tuned with another {differing[0]}; choose another folder"
            )
        state.unlink(missing_ok=True)  # of a kill when all was written
        return provenance
    if (out / LEARNT).exists() and not state.exists():
        raise InputError(f"{out}: expected a new folder, found {LEARNT} of an encoder that is not whole")
    base = load_encoder_files(source)
    found = finetune(corpus, base, config, seed=seed, state=state, on_step=on_step, on_epoch=on_epoch)
    provenance = {
        **decisive,
        "epoch": found.epoch,
        "selection": "best weighted F1 of a linear classifier on dev; the test split is not read",
        "dev": found.dev.to_dict(),
        "history": [asdict(epoch) for epoch in found.history],
        "environment": environment(),
    }
    save_tuned(out, base, source, config.reading, found.learnt, provenance)
    state.unlink(missing_ok=True)
    return provenance
