"""Label a recording or a transcript, say what was shown by whom, and write all of it down.

    python label_a_recording.py meeting.mp4 labels.eaf
    python label_a_recording.py kitchen.vtt labels.csv

Recordings need `pip install 'broadmamba[recording]'`; without a transcript their words are heard by a Whisper model,
which is downloaded the first time.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path

import broadmamba


def main(source: Path, out: Path) -> None:
    """Label `source` and write `out`, in the format that its suffix names."""
    result = broadmamba.recognize(source)
    shown: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in result:
        shown[item.speaker or "somebody"][item.label] += 1
    for speaker, labels in shown.items():
        print(f"{speaker}: " + ", ".join(f"{count} × {label}" for label, count in labels.most_common()))
    result.save(out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except broadmamba.BroadMambaError as error:  # what was found, what was expected, and where
        sys.exit(str(error))
