"""Makes, with everything installed, what the tests in the light environment label.

    python tests/light/material.py FOLDER

FOLDER/talk.mp4, talk.srt    two voices of flite, over faces where the package with pictures of them can be had
FOLDER/model                 a tiny model of words, voice and face, which has learnt nothing
FOLDER/cache                 the weights of the feature `expression`
FOLDER/whisper               a small speech model
FOLDER/lacking               in place of these: what it is that they need and that is not on this machine
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "features"), str(TESTS / "media")]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["BROADMAMBA_CACHE"] = str(folder / "cache")

    import numpy as np
    from face_package import face_package, sample
    from spoken import SIZE, TALK, make_recording, speech_model
    from tiny_encoders import build_encoder

    from broadmamba.features.audio import load_audio
    from broadmamba.features.text.encoder import TextEncoder
    from broadmamba.features.video import load_video
    from broadmamba.features.video.expression_weights import fetch_weights
    from broadmamba.training.export import export_model
    from corpora import make_untaught_model

    fetch_weights(face_package())
    people = np.full((*SIZE, 3), 90, np.uint8)
    picture = sample(1)[: SIZE[0]]
    people[: picture.shape[0], : picture.shape[1]] = picture
    recording = make_recording(folder / "talk.mp4", TALK[:3], footage=lambda time: people)
    clock = "00:00:{:06.3f}".format
    (folder / "talk.srt").write_text(
        "\n".join(
            f"{number}\n{clock(turn.start)} --> {clock(turn.end)}\n{turn.speaker}: {turn.text}\n".replace(".", ",", 2)
            for number, turn in enumerate(recording.turns, start=1)
        )
    )
    encoder = build_encoder("bert", folder / "encoder")
    specs = (TextEncoder.load(str(encoder)).spec, load_audio("prosody").spec, load_video("expression").spec)
    untaught = make_untaught_model(specs, folder / "untaught")
    export_model(untaught, folder / "model", str(encoder))
    shutil.copytree(speech_model(), folder / "whisper", dirs_exist_ok=True)


if __name__ == "__main__":
    import pytest

    made = Path(sys.argv[1])
    try:
        main(made)
    except pytest.skip.Exception as reason:
        (made / "lacking").write_text(str(reason))
