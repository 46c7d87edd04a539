"""A bundle out of a trained model: whole, without torch, and out of what earlier versions left."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from broadmamba.bundle.folder import Bundle
from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.errors import CheckpointError, IncompatibleError, InputError
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.config import TrainingConfig
from broadmamba.training.export import export_model
from broadmamba.training.fit import fit
from corpora import make_corpus, make_text_model, tiny_config


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a tiny text encoder and of a model trained on its feature."""
    return make_text_model(tmp_path_factory.mktemp("text_model"))


@pytest.fixture(scope="module")
def exported(text_model: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoder, model = text_model
    bundle = tmp_path_factory.mktemp("exported") / "bundle"
    export_model(model, bundle, encoder=str(encoder), weights="float32")
    return bundle


def conversation() -> Conversation:
    texts = ("w1 w2 w3", "", "w5 w1", "w4 " * 30, "w9 w2")
    return Conversation("talk", tuple(Utterance(str(i), text, "AB"[i % 2]) for i, text in enumerate(texts)))


def as_version_3(folder: Path) -> None:
    """Make a bundle what an earlier version wrote."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("manifest.json", *manifest.pop("files")):
        if name != "model.safetensors":
            (folder / name).unlink()
    (folder / "config.json").write_text(json.dumps({**manifest, "format": "broadmamba-model", "version": 3}))


def probabilities(model: Path, **options: str) -> list[list[float]]:
    prediction = Recognizer.from_pretrained(model, **options).predict(conversation())  # type: ignore[arg-type]
    return [list(item.probabilities.values()) for item in prediction]


def test_a_bundle_labels_as_the_model_with_its_encoder(exported: Path, text_model: tuple[Path, Path]) -> None:
    encoder, model = text_model
    np.testing.assert_allclose(
        probabilities(exported), probabilities(model, encoder=str(encoder), runtime="torch"), atol=1e-4
    )


WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "onnx"):
    sys.modules[name] = None
import broadmamba
from broadmamba import Conversation, Recognizer, Utterance
found = Recognizer.from_pretrained(sys.argv[1]).predict(Conversation("a", (Utterance("1", "w1 w2 w3", "A"),)))
print(found.utterances[0].label)
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("broadmamba.")}
assert not rooms & {"model", "baselines", "training", "experiments", "export"}, rooms
"""


def test_a_bundle_needs_no_torch(exported: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(exported, tmp_path / "elsewhere")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(moved)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in set(Bundle.load(moved).labels)


def test_a_model_without_its_encoder_says_how_to_get_one(text_model: tuple[Path, Path]) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WITHOUT_TORCH, str(text_model[1])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    told = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "MissingExtraError" in told
    assert "holds no text encoder for" in told and "broadmamba[train]" in told
    assert f"broadmamba export {text_model[1]} --out BUNDLE" in told


def test_an_older_model_is_named_by_its_version_and_converted(text_model: tuple[Path, Path], tmp_path: Path) -> None:
    encoder, model = text_model
    older = shutil.copytree(model, tmp_path / "older")
    as_version_3(older)
    told = rf"a model of version 3, expected manifest.json; make a bundle of it by: broadmamba export {older} --out"
    for load in (Recognizer.from_pretrained, Checkpoint.load, Bundle.load):
        with pytest.raises(CheckpointError, match=told):
            load(older)
    before = sorted(path.read_bytes() for path in older.iterdir())
    export_model(older, tmp_path / "new", encoder=str(encoder), weights="float32")
    assert sorted(path.read_bytes() for path in older.iterdir()) == before
    expected = probabilities(model, encoder=str(encoder))
    np.testing.assert_allclose(probabilities(tmp_path / "new"), expected, atol=1e-4)
    assert Checkpoint.load(tmp_path / "new").provenance == Checkpoint.load(model).provenance


def test_an_encoder_that_is_not_listed_whole_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "bundle")
    manifest = json.loads((folder / "manifest.json").read_text())
    name = next(name for name in manifest["files"] if name.endswith("tokenizer.json"))
    del manifest["files"][name]  # whose content then nobody vouches for
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"names a text encoder of .* without its tokenizer\.json"):
        probabilities(folder)


def test_a_bundle_is_exported_again_with_the_encoder_it_has(exported: Path, tmp_path: Path) -> None:
    export_model(exported, tmp_path / "again")
    assert {p.name: p.read_bytes() for p in (tmp_path / "again").rglob("*") if p.is_file()} == {
        p.name: p.read_bytes() for p in exported.rglob("*") if p.is_file()
    }


def test_the_ridge_statistics_are_sums_over_the_training_split(tmp_path: Path) -> None:
    corpus: Corpus = make_corpus(5, modalities=("text", "audio"), missing=0.2)
    checkpoint = fit(corpus, tiny_config(epochs=1)).checkpoint
    checkpoint.save(tmp_path / "model")
    found = Bundle.load(tmp_path / "model").ridge()
    assert set(found) == {"text", "audio"}
    train = corpus.split("train")
    prepared = checkpoint.prepare_split(train)
    for m, statistics in found.items():
        rows = []
        for i in range(len(prepared.lengths)):  # one conversation at a time, row by row
            batch = prepared.batch([i])
            nodes = checkpoint.model.nodes(batch, m).detach().numpy().astype(np.float64)  # type: ignore[operator]
            for row, there, label in zip(nodes, batch.present[m][0], batch.labels[0], strict=True):
                if there and label >= 0:
                    rows.append((row, int(label)))
        A = np.stack([row for row, _ in rows])
        Y = np.eye(len(corpus.labels))[[label for _, label in rows]]
        np.testing.assert_allclose(statistics.gram, A.T @ A, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(statistics.targets, A.T @ Y, rtol=1e-5, atol=1e-5)
        assert statistics.count == len(rows)
    as_version_3(shutil.copytree(tmp_path / "model", tmp_path / "older"))
    export_model(tmp_path / "older", tmp_path / "new", corpus=corpus)
    again = Bundle.load(tmp_path / "new").ridge()
    assert all(np.array_equal(again[m].gram, found[m].gram) for m in found)


def test_features_made_elsewhere_go_without_an_encoder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit(make_corpus(6), tiny_config(epochs=1)).checkpoint.save(tmp_path / "model")
    with caplog.at_level(logging.WARNING, "broadmamba"):
        export_model(tmp_path / "model", tmp_path / "bundle")
    assert "the bundle goes without a text encoder, so that tiny-text has to be given" in caplog.text
    assert Bundle.load(tmp_path / "bundle").text_encoder("tiny-text") is None


def test_what_cannot_be_exported_is_told_why(text_model: tuple[Path, Path], tmp_path: Path) -> None:
    config = TrainingConfig.from_dict({"system": "bc-lstm", "epochs": 1, "model": {"hidden": 8}})
    fit(make_corpus(7), config).checkpoint.save(tmp_path / "other")
    with pytest.raises(InputError, match="a model of bc-lstm cannot be exported, only Broad Mamba can"):
        export_model(tmp_path / "other", tmp_path / "bundle")
    with pytest.raises(InputError, match="has no graph; its runtime is torch"):
        Recognizer.from_pretrained(tmp_path / "other", runtime="onnx")
    Recognizer.from_pretrained(tmp_path / "other")  # by torch
    with pytest.raises(InputError, match=str(text_model[1])):
        export_model(text_model[1], text_model[1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match="expected a new folder or a bundle to replace"):
        export_model(text_model[1], tmp_path / "mine", encoder=str(text_model[0]))
    with pytest.raises(IncompatibleError, match="the text encoder minilm makes"):
        export_model(text_model[1], tmp_path / "bundle", encoder="minilm")
    assert not (tmp_path / "bundle").exists() and (tmp_path / "mine" / "diary.txt").read_text() == "mine"


_KILLED = """
import os, sys
from broadmamba.locks import temporary_folder
with temporary_folder(sys.argv[1]) as folder:
    (folder / "bundle").mkdir()
    os._exit(9)
"""


def test_a_bundle_is_written_where_another_try_was_killed(exported: Path, tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "bundle")], check=False)
    assert ended.returncode == 9 and len(list((tmp_path / "bundle").iterdir())) == 1
    export_model(exported, tmp_path / "bundle")
    assert sorted(file.name for file in (tmp_path / "bundle").iterdir()) == sorted(
        file.name for file in exported.iterdir()
    )


def test_an_encoder_that_an_older_model_names_is_never_downloaded(
    no_network: list[object], text_model: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "model"
    shutil.copytree(text_model[1], folder)
    as_version_3(folder)
    learnt = {"encoder.layer.0.output.dense.A": np.ones((1, 16), np.float32),
              "encoder.layer.0.output.dense.B": np.ones((12, 1), np.float32)}  # fmt: skip
    (folder / "encoder").mkdir()
    save_file(learnt, folder / "encoder" / "adapter.safetensors")
    settings = {"format": "broadmamba-text-encoder", "version": 1, "reading": {}, "provenance": {}}
    told = r"named by a file and not in the Hugging Face cache.*broadmamba fetch somebody/encoder$"
    for source, message in (
        ("somebody/encoder", told),
        ("//host/share/encoder", "unknown text encoder"),
        ("\\\\host\\share", "unknown text encoder"),
        ("/dev/zero", "unknown text encoder"),
        ("../../etc", "unknown text encoder|found no config.json"),
    ):
        base = {"source": source, "sha256": "0" * 64}
        (folder / "encoder" / "encoder.json").write_text(json.dumps({**settings, "base": base}))
        with pytest.raises(InputError, match=message):
            export_model(folder, tmp_path / "bundle")
    assert not no_network
