"""Seconds to label a whole split, features given and the model loaded, by each runtime.

    python benchmarks/inference.py MODEL CORPUS [--split test] [--threads 2] [--repeats 20]

Counts everything from raw features to probabilities: normalisation, batching and the network. The runtimes take turns,
pass by pass; the first pass of each, in which kernels may be made, is printed beside the median of the others. Last is
the largest difference of a probability between the two.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # which both runtimes read when they are imported

    from broadmamba.bundle.folder import Bundle
    from broadmamba.data.corpus import Corpus
    from broadmamba.recognition.pretrained import find_model
    from broadmamba.runtime import RUNTIMES, open_runtime

    bundle = Bundle.load(find_model(options.model))
    split = Corpus.open(options.corpus).split(options.split)
    runtimes = {name: open_runtime(bundle, name, "cpu") for name in RUNTIMES}
    seconds: dict[str, list[float]] = {name: [] for name in RUNTIMES}
    found = {}
    for _ in range(options.repeats + 1):
        for name, runtime in runtimes.items():
            begun = time.perf_counter()
            found[name] = runtime.scores(bundle.rows(split.conversations, split.features)).probabilities
            seconds[name].append(time.perf_counter() - begun)
    print(f"{len(split.conversations)} conversations, {len(split.utterances)} utterances, {options.threads} threads")
    for name, (first, *others) in seconds.items():
        print(f"{name:>6}: first {first:.3f} s, median of the next {len(others)}: {statistics.median(others):.3f} s")
    print(f"largest difference of a probability: {abs(found['onnx'] - found['torch']).max():.1e}")


if __name__ == "__main__":
    main()
