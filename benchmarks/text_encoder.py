"""What a text encoder costs and changes where it is exported: as torch runs it, in float32, and in int8 rows.

    python benchmarks/text_encoder.py CORPUS --encoder FOLDER [--model meld] [--split test] [--threads 2]

The encoder is what `finetune-text` made, or whatever else makes the text feature of the model. Prints the weighted F1
of the model on the rows of each, how far those are from torch's, the seconds for the whole split, and what sixteen
short lines cost in a process of their own: its time on the processor and its largest memory, less those of a process
that only imports NumPy, ONNX Runtime and tokenizers, or torch and transformers.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from broadmamba.data.corpus import Corpus, Feature
from broadmamba.evaluation.metrics import measure
from broadmamba.export.text_encoder import export_text_encoder
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.exported import ExportedTextEncoder
from broadmamba.recognition.pretrained import find_model
from broadmamba.training.checkpoint import Checkpoint

COLD = """
import sys, time
from broadmamba.data.conversation import Conversation, Utterance
if sys.argv[1] == "torch":
    import torch, transformers
    from broadmamba.features.text.encoder import TextEncoder as Encoder
    torch.set_num_threads(int(sys.argv[3]))
else:
    import broadmamba.sessions, numpy, onnxruntime, tokenizers
    from broadmamba.features.text.exported import ExportedTextEncoder as Encoder
lines = [Utterance(str(i), "I really cannot believe that you did it!", "AB"[i % 2]) for i in range(16)]
if sys.argv[4] == "whole":
    Encoder.load(sys.argv[2]).encode_conversation(Conversation("c", tuple(lines)))
[largest] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(time.process_time(), largest)
"""


def cold(kind: str, source: Path, threads: int) -> tuple[float, float]:
    """Seconds on the processor and MB of sixteen lines in a process of their own, without its imports."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    found = []
    for part in ("imports", "whole"):
        command = [sys.executable, "-c", COLD, kind, str(source), str(threads), part]
        runs = [subprocess.check_output(command, env=environment, text=True).split() for _ in range(5)]
        found.append(np.median(np.array(runs, dtype=float), axis=0))
    seconds, kilobytes = found[1] - found[0]
    return float(seconds), float(kilobytes) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--model", default="meld")
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checkpoint = Checkpoint.load(find_model(options.model))
    split = Corpus.open(options.corpus).split(options.split)
    truth = np.array([-1 if u.label is None else split.labels.index(u.label) for u in split.utterances])
    [spec] = checkpoint.features["text"]
    source = Path(options.encoder)
    plain = TextEncoder.for_spec(spec, str(source))
    with tempfile.TemporaryDirectory() as folder:
        encoders: dict[str, tuple[Path, TextEncoder | ExportedTextEncoder]] = {"torch": (source, plain)}
        for precision in ("float32", "int8"):
            made = Path(folder) / precision
            export_text_encoder(plain, made, precision)
            size = sum(file.stat().st_size for file in made.iterdir())
            print(f"{precision}: {size / 1e6:.1f} MB")
            encoders[precision] = made, ExportedTextEncoder.load(made)
        expected = None
        print(f"{len(split.utterances)} utterances, {options.threads} threads")
        print("encoder  W-F1   other labels  cosine (least)   split   sixteen lines, cold")
        for name, (where, encoder) in encoders.items():
            begun = time.perf_counter()
            rows = np.concatenate([encoder.encode_conversation(one) for one in split.conversations])
            seconds = time.perf_counter() - begun
            features = {**split.features, spec.name: Feature(spec, rows)}
            probabilities = checkpoint.score(checkpoint.prepare(split.conversations, features)).probabilities
            if expected is None:
                expected = rows, probabilities.argmax(axis=1)
            lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(expected[0], axis=1)
            cosines = (rows * expected[0]).sum(axis=1) / lengths
            changed = int((probabilities.argmax(axis=1) != expected[1]).sum())
            f1 = measure(split.labels, truth, probabilities).weighted_f1
            cpu, memory = cold(name, where, options.threads)
            print(
                f"{name:8} {100 * f1:.2f}  {changed:12}  {cosines.mean():.5f} ({cosines.min():.4f})  "
                f"{seconds:.1f} s  {cpu:.2f} s of processor, {memory:.0f} MB"
            )


if __name__ == "__main__":
    main()
