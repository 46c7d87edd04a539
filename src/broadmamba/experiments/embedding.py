"""The fused representation of every test utterance in two dimensions (Fig. 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.experiments.jobs import Job
from broadmamba.training.fit import fit

PERPLEXITY = 30
SEED = 0


def embed(job: Job, corpus: Corpus) -> dict[str, Any]:
    """Train, and project what the emotion classifier reads of each labelled test utterance by t-SNE.

    Returns:
        `x`, `y` and `labels` by utterance, and `perplexity`, `seed`, `silhouette` (of the classes, before projection).

    Raises:
        InputError: scikit-learn is missing.
    """
    try:
        from sklearn.manifold import TSNE
        from sklearn.metrics import silhouette_score
    except ImportError:
        raise InputError("t-SNE needs scikit-learn: pip install 'broadmamba[studies]'") from None

    checkpoint = fit(corpus, job.config, seed=job.seed).checkpoint
    prepared = checkpoint.prepare_split(corpus.split("test"))
    fused, labels = [], []
    with torch.inference_mode():
        for _, batch in prepared.batches(32):
            known = batch.labels >= 0
            fused.append(checkpoint.model(batch).fused[known])
            labels.append(batch.labels[known])
    values, classes = torch.cat(fused).numpy(), torch.cat(labels).numpy()
    places = TSNE(perplexity=PERPLEXITY, random_state=SEED, init="pca").fit_transform(values)
    return {
        "x": np.round(places[:, 0].astype(float), 3).tolist(),
        "y": np.round(places[:, 1].astype(float), 3).tolist(),
        "labels": [checkpoint.labels[int(c)] for c in classes],
        "perplexity": PERPLEXITY,
        "seed": SEED,
        "silhouette": float(silhouette_score(values, classes)),
    }
