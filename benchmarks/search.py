"""Search settings by their dev figures alone.

    python benchmarks/search.py CORPUS --preset iemocap --seeds 0-2 --out search.jsonl \
        model.dropout=0.3 model.dropout=0.4,learning_rate=2e-3

Each argument is one variation of the preset: settings joined by commas, as in `broadmamba train --set`, or
`features:modality=name+name`, or `-` for the preset itself. A line is appended for each with the mean and the
standard deviation of dev W-F1 over the seeds; those that stand in the file are not run again. The test split is
never read.

With `--folds '^(Ses..)'` the conversations of train and dev together are grouped by what the expression finds in their
ids, and each group is held out in turn as dev: a larger and, where groups are recording sessions, speaker-independent
yardstick. Figures are then over folds and seeds.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from broadmamba.data.corpus import Corpus
from broadmamba.storage import read_jsonl
from broadmamba.training.config import preset
from broadmamba.training.fit import fit
from broadmamba.training.options import adjust, parse_seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("variations", nargs="+")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--seeds", default="0-2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--folds", help="regular expression; its first group, found in a conversation's id, names a fold"
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    corpora = folds(Corpus.open(options.corpus), options.folds)
    done = {row["variation"] for _, row in read_jsonl(options.out)} if options.out.exists() else set()
    for variation in options.variations:
        if variation in done:
            continue
        parts = [] if variation == "-" else variation.split(",")
        features = [part.removeprefix("features:") for part in parts if part.startswith("features:")]
        settings = [part for part in parts if not part.startswith("features:")]
        config = adjust(preset(options.preset), features, settings)
        begun = time.perf_counter()
        fits = [fit(corpus, config, seed=seed) for seed in parse_seeds(options.seeds) for corpus in corpora]
        dev = [100 * fitted.dev.weighted_f1 for fitted in fits]
        row = {
            "variation": variation,
            "dev": round(statistics.fmean(dev), 2),
            "sd": round(statistics.stdev(dev), 2) if len(dev) > 1 else 0.0,
            "epochs": [fitted.epoch for fitted in fits],
            "seconds": round((time.perf_counter() - begun) / len(fits), 1),
        }
        print(json.dumps(row), flush=True)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def folds(corpus: Corpus, expression: str | None) -> list[Corpus]:
    """The corpus itself, or a corpus for each group of conversations held out; the test split is dropped."""
    if expression is None:
        return [corpus]
    ids = [*corpus.splits["train"], *corpus.splits["dev"]]
    names = {i: re.findall(expression, i)[0] for i in ids}
    return [
        replace(
            corpus,
            splits={kind: tuple(i for i in ids if (names[i] == held) == (kind == "dev")) for kind in ("train", "dev")},
        )
        for held in sorted(set(names.values()))
    ]


if __name__ == "__main__":
    main()
