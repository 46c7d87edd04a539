"""Seconds to label a whole split, features given and the model loaded.

    python benchmarks/inference.py MODEL CORPUS [--split test] [--threads 2] [--repeats 20]

Counts everything from raw features to probabilities: normalisation, batching and the network. The first pass, in
which kernels are made and cached, is printed beside the median of the others.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from broadmamba.data.corpus import Corpus
from broadmamba.recognition.pretrained import load_pretrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checkpoint = load_pretrained(options.model)
    split = Corpus.open(options.corpus).split(options.split)
    seconds = []
    for _ in range(options.repeats + 1):
        begun = time.perf_counter()
        checkpoint.score(checkpoint.prepare_split(split))
        seconds.append(time.perf_counter() - begun)
    first, *others = seconds
    print(f"{len(split.conversations)} conversations, {len(split.utterances)} utterances, {options.threads} threads")
    print(f"first {first:.3f} s, median of the next {len(others)}: {statistics.median(others):.3f} s")


if __name__ == "__main__":
    main()
