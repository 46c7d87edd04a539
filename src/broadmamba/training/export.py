"""From a trained model to a bundle that runs anywhere: with a graph, and with its text encoder."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from broadmamba.baselines.systems import OURS
from broadmamba.bundle.folder import Bundle, is_bundle, is_version_3
from broadmamba.data.corpus import Corpus
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import IncompatibleError, InputError
from broadmamba.export.text_encoder import export_text_encoder
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.tuned import is_tuned
from broadmamba.locks import remove_leftovers, temporary_folder
from broadmamba.model.network import BroadMamba
from broadmamba.storage import refuse_replacing
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.ridge import summed
from broadmamba.training.version3 import load_version_3

_BESIDE = "encoder"
"""Where an older model folder has the fine-tuned text encoder that it goes with."""

_log = logging.getLogger(__name__)


def export_model(
    model: Path, out: Path, encoder: str | None = None, weights: str = "int8", corpus: Corpus | None = None
) -> None:
    """Write a bundle that needs no torch, and no other file.

    Args:
        model: a model folder, of this version or of version 3.
        out: folder of the bundle; a bundle that is there is replaced once the new one is whole.
        encoder: the text encoder of the model's text features, where it is neither known nor in the model's folder: a
            folder or a Hugging Face id.
        weights: of the text encoder, `int8` (a quarter of the size) or `float32`.
        corpus: that the model was trained on: its broad nodes are summed up anew, which older models lack.

    Raises:
        InputError: the model is a compared system, or the bundle cannot be written.
        CheckpointError: the model's folder is damaged.
        IncompatibleError: the encoder or the corpus is not the one that the model was trained with.
    """
    refuse_replacing([out], [model])
    remove_leftovers(out)
    if out.is_dir() and any(out.iterdir()) and not is_bundle(out):
        raise InputError(f"{out}: expected a new folder or a bundle to replace, found something else")
    older = is_version_3(model) and not is_bundle(model)
    checkpoint = load_version_3(model) if older else Checkpoint.load(model)
    if checkpoint.system != OURS:
        raise InputError(
            f"{model}: a model of {checkpoint.system} cannot be exported, only Broad Mamba can; to predict with it "
            "takes the extra train"
        )
    if corpus is not None:
        assert isinstance(checkpoint.model, BroadMamba), "which the name of the system says"
        train = checkpoint.prepare_split(corpus.split("train"))
        checkpoint = replace(checkpoint, ridge=summed(checkpoint.model, train))
    bundle = None if older else Bundle.load(model)
    with temporary_folder() as folder:
        encoders = {}
        for spec in checkpoint.features.get("text", ()):
            own = bundle.text_encoder(spec.name) if bundle and not encoder else None
            if own is None and (found := _encoder(spec, encoder, model / _BESIDE)):
                own = folder / spec.name
                export_text_encoder(found, own, weights)
            if own is not None:
                encoders[spec.name] = own
        checkpoint.save(out, encoders)


def _encoder(spec: FeatureSpec, source: str | None, beside: Path) -> TextEncoder | None:
    """The encoder that made a feature; None where it is nowhere to be found, as of features made elsewhere."""
    try:
        return TextEncoder.for_spec(spec, source, beside if is_tuned(beside) else None)
    except IncompatibleError as error:
        if source:
            raise
        _log.warning("the bundle goes without a text encoder, so that %s has to be given: %s", spec.name, error)
        return None
