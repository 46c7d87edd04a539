"""Adding a text feature to a corpus: what is there, what is missing, and what a kill leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_encoders import WORDS

from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.errors import InputError
from broadmamba.features.extract_text import PART_SIZE, extract_text
from broadmamba.features.text.encoder import TextEncoder

DIFFERENT = 2 * PART_SIZE + 100
Build = Callable[[str], Path]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Build) -> TextEncoder:
    return TextEncoder.load(str(tiny_encoder("bert")))


def make_corpus(folder: Path, texts: Sequence[str]) -> Corpus:
    """One conversation of these texts."""
    said = tuple(Utterance(f"u{i}", text) for i, text in enumerate(texts))
    Corpus("test", LabelSet(["sad", "glad"]), (Conversation("c", said),), {"train": ("c",)}).save(folder)
    return Corpus.open(folder)


def many_texts() -> list[str]:
    """Different texts of many lengths, and each third again."""
    random = np.random.default_rng(3)
    texts = [f"{i} " + " ".join(random.choice(WORDS, random.integers(0, 9))) for i in range(DIFFERENT)]
    return texts + texts[::3]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_feature_stands_in_the_corpus(tmp_path: Path, encoder: TextEncoder) -> None:
    texts = ["w1 w2", "w3", "", "w1 w2", "w4 w5 w6"]
    told: list[tuple[int, int]] = []
    extract_text(make_corpus(tmp_path / "corpus", texts), encoder, 2, lambda *seen: told.append(seen))
    feature = Corpus.open(tmp_path / "corpus").features["bert"]
    assert feature.spec == encoder.spec
    np.testing.assert_allclose(feature.values, encoder.encode(texts), atol=1e-5)
    assert told == [(2, 4), (4, 4)]  # the text that is said twice is encoded once
    assert files(tmp_path / "corpus") == {
        "corpus.json",
        "utterances.jsonl",
        "features/bert.safetensors",
    }


def test_what_is_there_is_not_computed_again(tmp_path: Path, encoder: TextEncoder) -> None:
    corpus = extract_text(make_corpus(tmp_path / "corpus", ["w1", "w2"]), encoder)
    before = (tmp_path / "corpus/features/bert.safetensors").stat()
    told: list[object] = []
    extract_text(corpus, encoder, 64, lambda *seen: told.append(seen))
    after = (tmp_path / "corpus/features/bert.safetensors").stat()
    assert not told
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_another_feature_of_the_name_is_refused(tmp_path: Path, encoder: TextEncoder, tiny_encoder: Build) -> None:
    corpus = extract_text(make_corpus(tmp_path / "corpus", ["w1", "w2"]), encoder)
    for other in (
        TextEncoder.load(str(tiny_encoder("mpnet"))).named("bert"),
        TextEncoder.load(str(tiny_encoder("bert")), "max").named("bert"),
    ):
        with pytest.raises(InputError) as caught:
            extract_text(corpus, other)
        message = str(caught.value)
        assert encoder.spec.sha256[:12] in message
        assert other.spec.sha256[:12] in message
        assert f"pooled by mean, expected bert (12 wide, SHA-256 {other.spec.sha256[:12]}…)" in message
        assert f"pooled by {other.spec.pooling};" in message


def test_a_corpus_in_memory_is_refused(encoder: TextEncoder) -> None:
    said = (Utterance("u", "w1"),)
    corpus = Corpus("test", LabelSet(["sad", "glad"]), (Conversation("c", said),), {"train": ("c",)})
    with pytest.raises(InputError, match="only in memory"):
        extract_text(corpus, encoder)


KILLED = """
import os, signal, sys, torch
from broadmamba.data.corpus import Corpus
from broadmamba.features.extract_text import extract_text
from broadmamba.features.text.encoder import TextEncoder

torch.set_num_threads(int(sys.argv[4]))
def kill(done, total):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
extract_text(Corpus.open(sys.argv[1]), TextEncoder.load(sys.argv[2]), 64, kill)
"""


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path, encoder: TextEncoder, tiny_encoder: Build) -> None:
    import torch

    unbroken = extract_text(make_corpus(tmp_path / "unbroken", many_texts()), encoder)
    corpus = make_corpus(tmp_path / "killed", many_texts())
    arguments = [corpus.path, tiny_encoder("bert"), PART_SIZE + 70, torch.get_num_threads()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not Corpus.open(corpus.path).features

    told: list[tuple[int, int]] = []
    resumed = extract_text(corpus, encoder, 64, lambda *seen: told.append(seen))
    assert told[0] == (PART_SIZE, DIFFERENT)  # at once, from what the killed run left
    np.testing.assert_array_equal(resumed.features["bert"].values, unbroken.features["bert"].values)
    assert files(corpus.path) == files(unbroken.path)
    assert not list(corpus.path.glob(".*"))


@pytest.mark.parametrize("leave", [b"", b"junk", None])
def test_damaged_leftovers_are_computed_anew(
    leave: bytes | None, tmp_path: Path, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(tmp_path / "corpus", ["w1", "w2", "w3"])

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(Corpus, "add_feature", fail)
        extract_text(corpus, encoder)
    (part,) = corpus.path.glob(".extract/bert/*/0.safetensors")
    part.write_bytes(part.read_bytes()[:-4] if leave is None else leave)
    extended = extract_text(corpus, encoder)
    np.testing.assert_allclose(extended.features["bert"].values, encoder.encode(["w1", "w2", "w3"]), atol=1e-5)
    assert not (corpus.path / ".extract").exists()


def test_leftovers_of_other_texts_are_not_used(
    tmp_path: Path, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, texts in (("one", ["w1", "w2"]), ("two", ["w3", "w4"])):
        corpus = make_corpus(tmp_path / folder, texts)
        if folder == "two":
            (tmp_path / "one/.extract").rename(tmp_path / "two/.extract")
            extended = extract_text(corpus, encoder)
            np.testing.assert_allclose(extended.features["bert"].values, encoder.encode(texts), atol=1e-5)
            assert not (tmp_path / "two/.extract").exists()
        else:
            with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
                broken.setattr(Corpus, "add_feature", lambda *_: 1 / 0)
                extract_text(corpus, encoder)


def test_token_ids_stand_in_the_corpus_as_they_are(tmp_path: Path, tiny_encoder: Build) -> None:
    encoder = TextEncoder.load(str(tiny_encoder("bert")), "tokens")
    told: list[tuple[int, int]] = []
    texts = ["w0 w3", "", "w1", "w0 w3"]
    extract_text(make_corpus(tmp_path / "corpus", texts), encoder, 2, lambda *seen: told.append(seen))
    feature = Corpus.open(tmp_path / "corpus").features["bert-tokens"]
    assert feature.spec == encoder.spec and feature.spec.ids
    assert feature.values[:, :3].tolist() == [[4, 7, 1], [1, 1, 1], [5, 1, 1], [4, 7, 1]]
    assert (feature.values[:, 3:] == 1).all()
    assert told[-1] == (3, 3)


def spoilt(folder: Path, tiny_encoder: Build, words: slice | int) -> TextEncoder:
    """The tiny encoder with non-finite values for some words."""
    shutil.copytree(tiny_encoder("bert"), folder)
    weights = dict(load_file(folder / "model.safetensors"))
    table = weights["embeddings.word_embeddings.weight"].copy()
    table[words] = np.inf
    save_file({**weights, "embeddings.word_embeddings.weight": table}, folder / "model.safetensors")
    return TextEncoder.load(str(folder))


def test_utterances_that_get_no_numbers_are_missing_and_counted(
    tmp_path: Path, tiny_encoder: Build, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = spoilt(tmp_path / "spoilt", tiny_encoder, 4 + 7)
    extract_text(make_corpus(tmp_path / "corpus", ["w1", "w7 w2", "", "w7", "w3"]), encoder)
    feature = Corpus.open(tmp_path / "corpus").features["spoilt"]
    assert feature.missing().tolist() == [False, True, False, True, False]
    assert ["non-finite values for 2 of 5 utterances" in record.getMessage() for record in caplog.records] == [True]


def test_an_encoder_that_gives_no_numbers_leaves_nothing(tmp_path: Path, tiny_encoder: Build) -> None:
    encoder = spoilt(tmp_path / "spoilt", tiny_encoder, slice(None))
    corpus = make_corpus(tmp_path / "corpus", ["w1", "w2"])
    before = files(tmp_path / "corpus")
    with pytest.raises(InputError, match="non-finite values for 2 of 2 utterances"):
        extract_text(corpus, encoder)
    assert files(tmp_path / "corpus") == before and not Corpus.open(tmp_path / "corpus").features


def test_a_feature_of_an_earlier_version_is_to_be_made_again(tmp_path: Path, encoder: TextEncoder) -> None:
    corpus = make_corpus(tmp_path / "corpus", ["w1", "w2"])
    values = np.zeros((2, encoder.spec.width), np.float32)
    corpus.add_feature(Feature(replace(encoder.spec, sha256=encoder.weights), values))
    with pytest.raises(InputError, match=r"of an earlier version, when.*weights alone; extract it again"):
        extract_text(Corpus.open(tmp_path / "corpus"), encoder)
    extended = extract_text(Corpus.open(tmp_path / "corpus"), encoder.named("again"))
    assert sorted(extended.features) == ["again", "bert"]


def test_while_a_feature_is_made_a_second_one_at_it_is_refused(tmp_path: Path, encoder: TextEncoder) -> None:
    corpus = make_corpus(tmp_path / "corpus", ["one", "two"])
    refused: list[str] = []

    def begin_again(done: int, total: int) -> None:
        with pytest.raises(InputError) as caught:
            extract_text(Corpus.open(tmp_path / "corpus"), encoder)
        refused.append(str(caught.value))

    extract_text(corpus, encoder, progress=begin_again)
    assert refused and "another process extracts this feature at the moment" in refused[0]
    assert set(Corpus.open(tmp_path / "corpus").features) == {encoder.spec.name}
    assert not list((tmp_path / "corpus").glob(".*"))
