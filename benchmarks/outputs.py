"""Seconds that each writer takes for one long conversation.

    python benchmarks/outputs.py --utterances 20000

Prints a row a format; the table is also printed to a console, as a terminal has it.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from rich.console import Console

from broadmamba.data.conversation import Utterance
from broadmamba.recognition.outputs import FORMATS, Setting, render
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction
from broadmamba.recognition.writers import print_table

LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")


def conversation(utterances: int, speakers: int) -> ConversationPrediction:
    """A talk of turns of two seconds."""
    items = []
    for number in range(utterances):
        label = LABELS[number % len(LABELS)]
        said = Utterance(f"talk_{number}", "I did not think that you would come.", f"Speaker {number % speakers}",
                         2.0 * number, 2.0 * number + 1.8)  # fmt: skip
        shares = {name: 0.7 if name == label else 0.05 for name in LABELS}
        weights = {"text": 0.5, "audio": 0.3, "video": 0.2}
        items.append(UtterancePrediction(said, label, 0.7, shares, weights, tuple(weights)))
    return ConversationPrediction("talk", tuple(items), "a-model")


def main() -> None:
    """Time every format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=20_000)
    parser.add_argument("--speakers", type=int, default=4)
    arguments = parser.parse_args()
    prediction = conversation(arguments.utterances, arguments.speakers)
    print(f"{'format':10}{'seconds':>9}{'bytes':>13}")
    for name in FORMATS:
        begun = time.process_time()
        written = render(prediction, name, Setting(source="talk.vtt"))
        print(f"{name:10}{time.process_time() - begun:9.2f}{len(written.encode()):13,}", flush=True)
    begun = time.process_time()
    print_table(prediction, Console(file=io.StringIO(), force_terminal=True, width=120))
    print(f"{'terminal':10}{time.process_time() - begun:9.2f}")


if __name__ == "__main__":
    main()
