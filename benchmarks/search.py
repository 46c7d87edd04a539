"""Search settings by their dev figures alone.

    python benchmarks/search.py CORPUS --preset iemocap --seeds 0-2 --out search.jsonl \
        model.dropout=0.3 model.dropout=0.4,learning_rate=2e-3

Each argument is one variation of the preset: settings joined by commas, as in `broadmamba train --set`, or
`features:modality=name+name`, or `-` for the preset itself. A line is appended for each with the mean and the
standard deviation of dev W-F1 over the seeds; those that stand in the file are not run again. The test split is
never read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
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
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    corpus = Corpus.open(options.corpus)
    done = {row["variation"] for _, row in read_jsonl(options.out)} if options.out.exists() else set()
    for variation in options.variations:
        if variation in done:
            continue
        parts = [] if variation == "-" else variation.split(",")
        features = [part.removeprefix("features:") for part in parts if part.startswith("features:")]
        settings = [part for part in parts if not part.startswith("features:")]
        config = adjust(preset(options.preset), features, settings)
        begun = time.perf_counter()
        fits = [fit(corpus, config, seed=seed) for seed in parse_seeds(options.seeds)]
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


if __name__ == "__main__":
    main()
