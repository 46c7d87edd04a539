"""A run folder: one training a seed, each finished, resumed or begun; and the summary over seeds.

RUNS/config.json                 settings, corpus and features: one folder holds one experiment
RUNS/seed-0/metrics.jsonl        every epoch
RUNS/seed-0/environment.json     versions and machine
RUNS/seed-0/model/               the selected model
RUNS/seed-0/test_predictions.jsonl  what it says of each test utterance, to compare runs
RUNS/seed-0/results.json         dev and test figures; it is there once the seed is finished
RUNS/summary.json                mean and standard deviation over the finished seeds
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from broadmamba.data.corpus import Corpus
from broadmamba.data.identity import conversations_sha256, feature_sha256
from broadmamba.errors import BroadMambaError, InputError
from broadmamba.locks import A_MOMENT, exclusive, remove_leftovers
from broadmamba.schema import ANY, read_checked, schema_of
from broadmamba.storage import read_json, write_json, write_jsonl
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.config import TrainingConfig
from broadmamba.training.environment import environment
from broadmamba.training.fit import Epoch, Fitted, choose_features, fit
from broadmamba.training.predictions import PREDICTIONS, prediction_rows
from broadmamba.training.report import report_split, report_subsets

_LOGGER = logging.getLogger(__name__)

_BEGINS = "writes down what it holds"

SELECTION = "best weighted F1 on dev, where the temperature is fitted; the test split is scored once, afterwards"


def train_seeds(
    corpus: Corpus,
    config: TrainingConfig,
    seeds: Sequence[int],
    out: Path | str,
    *,
    on_epoch: Callable[[int, Epoch], None] | None = None,
) -> dict[str, Any]:
    """Train one model a seed and summarise.

    Finished seeds are not trained again, unfinished ones go on where they stopped. Two processes may work on
    different seeds of one folder at the same time.

    Args:
        corpus: with splits train, dev and, to be reported on, test.
        config: all settings.
        seeds: declared beforehand.
        out: the run folder.
        on_epoch: told the seed and the epoch.

    Returns:
        The summary, as in `summary.json`.

    Raises:
        InputError: train or dev has no labels, the folder holds another experiment, or another process trains a seed.
    """
    out = Path(out)
    specs = choose_features(corpus.split("train"), config)
    corpus = corpus.in_memory([spec.name for chosen in specs.values() for spec in chosen])
    experiment = describe(corpus, config)
    for name in ("train", "dev"):
        corpus.split(name)  # where there is none of that name, it says which there are
        if not corpus.has_labels(name):
            raise InputError(f"training needs labels in train and dev, {name} of corpus {corpus.name!r} has none")
    if not corpus.has_labels("test"):
        what = "no labels in its test split" if "test" in corpus.splits else "no test split"
        _LOGGER.warning("corpus %r has %s: only dev is reported on", corpus.name, what)
    fresh = not out.exists()
    with exclusive(out, _BEGINS, A_MOMENT):
        _claim(out, experiment)
    try:
        for seed in seeds:
            with exclusive(out / f"seed-{seed}", "trains this seed"):
                _train_seed(corpus, config, seed, out / f"seed-{seed}", experiment, on_epoch)
    except BroadMambaError:
        if fresh:
            _withdraw(out)
        raise
    except KeyboardInterrupt:
        _LOGGER.warning("stopped: what was saved is kept in %s, and the same command resumes there", out)
        raise
    with exclusive(out, _BEGINS, A_MOMENT):  # so that the summary that is written last has seen every seed
        _claim(out, experiment)  # once more, in case another process found nothing here and withdrew
        summary = summarise(out)
        write_json(out / "summary.json", summary)
    return summary


def describe(corpus: Corpus, config: TrainingConfig) -> dict[str, Any]:
    """What makes one experiment: the corpus, its features, the settings, and how models are selected."""
    specs = choose_features(corpus.split("train"), config)
    names = [spec.name for chosen in specs.values() for spec in chosen]
    return {
        "corpus": {
            "name": corpus.name,
            "labels": list(corpus.labels),
            "utterances": {name: len(corpus.split(name).utterances) for name in corpus.splits},
            "sha256": conversations_sha256(corpus),
            "features": {name: feature_sha256(corpus.features[name]) for name in names},
        },
        "features": {m: [spec.to_dict() for spec in chosen] for m, chosen in specs.items()},
        "training": config.to_dict(),
        "selection": SELECTION,
    }


def summarise(out: Path | str) -> dict[str, Any]:
    """Mean and standard deviation (n − 1) over the finished seeds of a run folder.

    Raises:
        InputError: no seed is finished, or the results of one are damaged.
    """
    out = Path(out)
    folders = {path.parent.name.removeprefix("seed-"): path for path in out.glob("seed-*/results.json")}
    paths = {int(seed): folders[seed] for seed in folders if seed.isdecimal()}
    if not paths:
        raise InputError(f"{out}: expected finished seeds (seed-*/results.json), found none")
    results = _read_results(dict(sorted(paths.items())))
    by_split: dict[str, Any] = {}
    for split in ("dev", "test"):
        values = [results[seed][split] for seed in sorted(results) if split in results[seed]]
        if values:
            by_split[split] = _spread(values)
    return {"seeds": sorted(results), **by_split, "selection": SELECTION}


_FIGURES = ("weighted_f1", "accuracy", "macro_f1", "uar", "ece", "ece_before_calibration")
_REPORT = {**dict.fromkeys(_FIGURES, float), "f1": {ANY: float}}


def _read_results(paths: Mapping[int, Path]) -> dict[int, dict[str, Any]]:
    """Seed → its results, each with the figures that the first one has; test has the classes and subsets of dev."""
    first = read_checked(next(iter(paths.values())), {"dev": _REPORT, "test": (_REPORT, None)})
    common = {key: first["dev"][key] for key in ("f1", "subsets") if key in first["dev"]}
    schema: dict[str, Any] = {s: schema_of({**first[s], **common}) for s in ("dev", "test") if s in first}
    return {seed: read_checked(path, schema) for seed, path in paths.items()}


def _train_seed(
    corpus: Corpus,
    config: TrainingConfig,
    seed: int,
    folder: Path,
    experiment: Mapping[str, Any],
    on_epoch: Callable[[int, Epoch], None] | None,
) -> None:
    """Train a seed whose folder is held, unless it is finished, and leave nothing but its results."""
    state = folder / "state.pt"
    if not (folder / "results.json").is_file():
        fitted = fit(corpus, config, seed=seed, state=state, on_epoch=on_epoch and (lambda e: on_epoch(seed, e)))
        _write_seed(fitted, corpus, seed, folder, experiment)
    state.unlink(missing_ok=True)
    for place in (folder, folder / "model"):
        remove_leftovers(place)


def _write_seed(fitted: Fitted, corpus: Corpus, seed: int, folder: Path, experiment: Mapping[str, Any]) -> None:
    tested = corpus.has_labels("test")
    reports = {name: _report(fitted.checkpoint, corpus, name) for name in ("dev", *(["test"] if tested else []))}
    results: dict[str, Any] = {
        "seed": seed,
        "epoch": fitted.epoch,
        "temperature": fitted.checkpoint.temperature,
        "training_seconds": fitted.seconds,
        **reports,
    }
    provenance = {**experiment, "seed": seed, "environment": environment(), "results": results}
    replace(fitted.checkpoint, provenance=provenance).save(folder / "model")
    write_jsonl(folder / "metrics.jsonl", [asdict(e) for e in fitted.history])
    write_json(folder / "environment.json", environment())
    if tested:
        write_jsonl(folder / PREDICTIONS, prediction_rows(fitted.checkpoint, corpus, "test"))
    write_json(folder / "results.json", results)  # last: it says that the seed is finished


def _report(checkpoint: Checkpoint, corpus: Corpus, name: str) -> dict[str, Any]:
    """All that is said of a split; a model of several modalities is also measured with some of them."""
    report = report_split(checkpoint, corpus, name)
    if len(report["modalities"]) > 1:
        report["subsets"] = report_subsets(checkpoint, corpus, name)
    return report


def _withdraw(out: Path) -> None:
    """Remove a folder in which nothing came about, so that a second try with other settings may take it."""
    with exclusive(out, _BEGINS, A_MOMENT):
        if not list(out.glob("seed-*")):
            (out / "config.json").unlink(missing_ok=True)
    with suppress(OSError):  # something is in it after all
        out.rmdir()


def _claim(out: Path, experiment: Mapping[str, Any]) -> None:
    """Make the folder, which is held, this experiment's, or check that it is."""
    remove_leftovers(out)
    path = out / "config.json"
    if not path.exists():
        if (out / "summary.json").exists():
            raise InputError(f"{out}: expected a new folder or a run folder, found a summary.json without config.json")
        write_json(path, experiment)
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected the settings of a run, found {found!r:.40}")
    if isinstance(found.get("corpus"), dict) and "sha256" not in found["corpus"]:
        raise InputError(
            f"{out}: holds runs of an earlier version, which did not note the content of its corpus, so that it cannot "
            "be told whether this is the same one; choose another folder"
        )
    differing = [key for key in experiment if found.get(key) != experiment[key]]
    if differing:
        verb = "differ" if len(differing) > 1 else "differs"
        raise InputError(
            f"{out}: holds runs of another experiment (its {', '.join(differing)} {verb}"
            f"{_telling(found.get('corpus'), experiment['corpus'])}); choose another folder"
        )


def _telling(found: Any, corpus: Mapping[str, Any]) -> str:
    """What two corpora of one name, the same labels and the same sizes differ in."""
    if not isinstance(found, dict):
        return ""
    words = {"sha256": "what was said, by whom or with which labels", "features": "the values of its features"}
    differing = [key for key in corpus if found.get(key) != corpus[key]]
    return (
        f" in {' and in '.join(words[key] for key in differing)}" if differing and set(differing) <= set(words) else ""
    )


def _spread(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation (null of one value) and every value of each figure; classes are one level deeper."""
    spread: dict[str, Any] = {}
    for key, first in values[0].items():
        column = [value[key] for value in values]
        if isinstance(first, Mapping):
            spread[key] = _spread(column)
        elif isinstance(first, (int, float)):
            spread[key] = {
                "mean": statistics.fmean(column),
                "sd": statistics.stdev(column) if len(column) > 1 else None,
                "values": column,
            }
    return spread
