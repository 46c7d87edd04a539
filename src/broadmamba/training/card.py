"""The model card that each model folder carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broadmamba.baselines.systems import OURS
from broadmamba.data.conversation import LabelSet
from broadmamba.data.spec import FeatureSpec
from broadmamba.terminal import printable


def model_card(
    system: str, labels: LabelSet, features: Mapping[str, tuple[FeatureSpec, ...]], provenance: Mapping[str, Any]
) -> str:
    """Markdown that says what a model is, what it reads, how good it was and what it must not be used for."""
    lines = [
        "# Broad Mamba model" if system == OURS else f"# {system} model, trained with broadmamba",
        "",
        "Recognises the perceived emotion of each utterance of a conversation.",
        "",
    ]
    lines += ["## Labels", "", ", ".join(labels), "", "## What it reads", ""]
    lines += [f"- {m}: {_feature(spec)}" for m, specs in features.items() for spec in specs]
    lines += ["", "## How it was made", "", *_provenance(provenance), ""]
    for split in ("dev", "test"):
        if split in provenance.get("results", {}):
            lines += _figures(split, provenance["results"][split])
    lines += _subsets(provenance.get("results", {}))
    lines += [
        "## Limits",
        "",
        "The figures hold for conversations like those it was trained on. What is recognised is how an utterance is",
        "perceived, often acted, and not what a person feels. Errors differ between emotions (see the table) and may",
        "differ between languages, cultures and groups of people, which was not measured. See RESPONSIBLE_USE.md of",
        "the broadmamba project for uses that are prohibited by law or by decency.",
        "",
    ]
    return "\n".join(map(printable, lines))


def _feature(spec: FeatureSpec) -> str:
    trained = "trained on these labels" if spec.trained_on_labels else "not trained on these labels"
    licence = f", licence {spec.licence}" if spec.licence else ""
    pooling = f", pooling {spec.pooling}" if spec.pooling else ""
    return f"{spec.describe()}{pooling}, {trained}{licence}"


def _provenance(provenance: Mapping[str, Any]) -> list[str]:
    if not provenance:
        return ["Not recorded."]
    corpus, results = provenance["corpus"], provenance["results"]
    sizes = ", ".join(f"{count} {name}" for name, count in corpus["utterances"].items())
    versions = ", ".join(f"{k} {v}" for k, v in provenance["environment"].items())
    return [
        f"- Corpus: {corpus['name']} ({sizes} utterances)",
        f"- Seed {provenance['seed']}, epoch {results['epoch']}; selected by {provenance['selection']}",
        f"- Temperature of the probabilities: {results['temperature']:.3f}",
        f"- Environment: {versions}",
        "- All settings stand in `manifest.json` under `provenance`.",
    ]


def _figures(split: str, figures: Mapping[str, Any]) -> list[str]:
    rows = [f"| {name} | {100 * value:.1f} |" for name, value in figures["f1"].items()]
    return [
        f"## Figures on {split}",
        "",
        f"Weighted F1 {100 * figures['weighted_f1']:.1f}, accuracy {100 * figures['accuracy']:.1f}, macro-F1 "
        f"{100 * figures['macro_f1']:.1f}, UAR {100 * figures['uar']:.1f} (all in %), on {figures['utterances']} "
        "utterances. Expected calibration error "
        f"{100 * figures['ece_before_calibration']:.1f} before calibration, {100 * figures['ece']:.1f} after.",
        "",
        "| emotion | F1 |",
        "|---|---|",
        *rows,
        "",
    ]


def _subsets(results: Mapping[str, Any]) -> list[str]:
    """What is left where modalities are missing; nothing for a model of one modality."""
    splits = {split: results[split]["subsets"] for split in ("dev", "test") if "subsets" in results.get(split, {})}
    if not splits:
        return []
    titles = {"weighted_f1": "weighted F1", "accuracy": "accuracy", "macro_f1": "macro-F1", "ece": "calibration error"}
    columns = [(split, figure) for split in splits for figure in titles]
    rows = [
        f"| {' + '.join(subset.split('+'))} | "
        + " | ".join(f"{100 * splits[split][subset][figure]:.1f}" for split, figure in columns)
        + " |"
        for subset in next(iter(splits.values()))
    ]
    return [
        "## With some of its modalities",
        "",
        "All in %, after calibration; the temperature is fitted with all modalities given.",
        "",
        "| given | " + " | ".join(f"{split}: {titles[figure]}" for split, figure in columns) + " |",
        "|---|" + "---|" * len(columns),
        *rows,
        "",
    ]
