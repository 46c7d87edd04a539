"""Small corpora whose labels can be learnt, and settings with which a training lasts a fraction of a second."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.training.config import TrainingConfig
from broadmamba.training.fit import fit

LABELS = ("calm", "glad", "upset")
WIDTHS = {"text": 6, "audio": 5, "video": 4}
SIZES = {"train": 24, "dev": 8, "test": 8}


def specs(modalities: Sequence[str] = tuple(WIDTHS), gaps: bool = False) -> dict[str, FeatureSpec]:
    """Modality → the spec of its one feature; with gaps, that of audio allows them."""
    return {
        m: FeatureSpec(
            name=f"tiny-{m}",
            modality=m,
            width=WIDTHS[m],
            version="1",
            pooling="mean",
            sha256=f"{number}" * 64,
            columns=tuple(f"{m}{i}" for i in range(WIDTHS[m])),
            gaps=gaps and m == "audio",
        )
        for number, m in enumerate(modalities)
    }


def make_corpus(
    seed: int = 0,
    *,
    modalities: Sequence[str] = ("text", "audio"),
    sizes: Mapping[str, int] = SIZES,
    missing: float = 0.0,
    gaps: float = 0.0,
    unlabelled: float = 0.0,
    repeated: float = 0.0,
    noise: float = 0.7,
) -> Corpus:
    """A corpus in which each class has its own mean in every modality.

    Args:
        seed: of everything random; the means of classes are the same for every seed.
        modalities: which it has, one feature each.
        sizes: split → conversations.
        missing: share of utterances that lack a modality, each modality on its own.
        gaps: share of single values of audio that are missing.
        unlabelled: share of utterances without a label.
        repeated: share of utterances outside train whose text stands in train.
        noise: standard deviation within a class; the means of classes are about 2 apart in each column.
    """
    random = np.random.default_rng(seed)
    means = {m: np.random.default_rng(99).normal(0, 1.5, (len(LABELS), width)) for m, width in WIDTHS.items()}
    conversations: list[Conversation] = []
    splits: dict[str, tuple[str, ...]] = {}
    classes: list[int] = []
    for split, count in sizes.items():
        ids = []
        for number in range(count):
            id = f"{split}-{number}"
            ids.append(id)
            said = []
            for place in range(int(random.integers(1, 9))):
                classes.append(int(random.integers(len(LABELS))))
                text = f"text {id} {place}"
                if split != "train" and random.random() < repeated:
                    text = "text train-0 0"
                label = None if random.random() < unlabelled else LABELS[classes[-1]]
                speaker = ("Ann", "Ben", None)[int(random.integers(3))]
                said.append(Utterance(f"{id}-{place}", text, speaker, label=label))
            conversations.append(Conversation(id, tuple(said)))
        splits[split] = tuple(ids)
    features = {}
    for m, spec in specs(modalities, gaps > 0).items():
        values = means[m][classes] + noise * random.normal(size=(len(classes), spec.width))
        if spec.gaps:
            values[random.random(values.shape) < gaps] = np.nan
        values[random.random(len(values)) < missing] = np.nan
        features[spec.name] = Feature(spec, values.astype(np.float32))
    return Corpus("synthetic", LabelSet(LABELS), tuple(conversations), splits, features)


def tiny_config(**changes: Any) -> TrainingConfig:
    """Settings of a tiny model; `model` and `loss` add to its own."""
    model = {"d_model": 8, "d_state": 4, "n": 2, "m": 2, "d_z": 3, "d_h": 3, "dropout": 0.1}
    values: dict[str, Any] = {"epochs": 5, "batch_size": 8, "learning_rate": 2e-2, "patience": 50, **changes}
    return TrainingConfig.from_dict({**values, "model": {**model, **values.get("model", {})}})


def with_values(corpus: Corpus, change: Mapping[str, np.ndarray]) -> Corpus:
    """The corpus with other values of some features, by feature name."""
    features = {name: Feature(f.spec, change.get(name, f.values)) for name, f in corpus.features.items()}
    return replace(corpus, features=features)


def rows_of(corpus: Corpus, split: str) -> np.ndarray:
    """`(utterances,)` bool: which rows of the corpus' features belong to a split."""
    return np.array([c.id in corpus.splits[split] for c in corpus.conversations for _ in c])


WORDS = {label: [f"w{10 * number + i}" for i in range(2)] for number, label in enumerate(LABELS)}
"""Label → the words that the tiny encoder knows and that are said with it."""


def make_text_corpus(encoder: Path, seed: int = 0) -> Corpus:
    """A corpus whose words tell the label, with the feature that an encoder of `tiny_encoders` makes of them."""
    random = np.random.default_rng(seed)
    plain = make_corpus(seed, modalities=("text",))

    def speak(conversation: Conversation) -> Conversation:
        said = (" ".join(random.choice(WORDS[u.label or ""], 3)) for u in conversation)
        return replace(
            conversation, utterances=tuple(replace(u, text=t) for u, t in zip(conversation, said, strict=True))
        )

    conversations = tuple(map(speak, plain.conversations))
    found = TextEncoder.load(str(encoder))
    feature = Feature(found.spec, found.encode([u.text for c in conversations for u in c]))
    return replace(plain, conversations=conversations, features={found.spec.name: feature})


def make_text_model(folder: Path) -> tuple[Path, Path]:
    """The folders of a tiny text encoder and of a model that was trained on its feature."""
    sys.path.append(str(Path(__file__).parent / "features"))
    from tiny_encoders import build_encoder

    encoder = build_encoder("bert", folder / "encoder")
    fitted = fit(make_text_corpus(encoder), tiny_config(epochs=10, model={"fusion": "class"}))
    fitted.checkpoint.save(folder / "model")
    return encoder, folder / "model"


def make_untaught_model(specs: Sequence[FeatureSpec], folder: Path) -> Path:
    """A tiny model that reads features of these specs, and has learnt nothing."""
    corpus = make_corpus(5, modalities=("text",))
    random = np.random.default_rng(0)
    features = {
        spec.name: Feature(spec, random.normal(size=(len(corpus.utterances), spec.width)).astype(np.float32))
        for spec in specs
    }
    fit(replace(corpus, features=features), tiny_config(epochs=1)).checkpoint.save(folder)
    return folder
