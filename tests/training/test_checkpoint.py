"""The model folder: everything travels in it, and a damaged one is refused in one sentence."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from broadmamba.data.conversation import LabelSet
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import BroadMambaError, CheckpointError, IncompatibleError, InputError
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.fit import fit
from broadmamba.training.report import report_split
from bundles import resign
from corpora import LABELS, make_corpus, tiny_config

FILES = ["README.md", "graph.onnx", "manifest.json", "model.safetensors", "ridge.safetensors"]
CORPUS = make_corpus(21, modalities=("text", "audio", "video"), missing=0.1, gaps=0.1)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    fitted = fit(CORPUS, tiny_config(epochs=2, speaker_relative=["audio"], model={"speakers": 2}))
    return replace(fitted.checkpoint, provenance={})


@pytest.fixture
def folder(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "model")
    return tmp_path / "model"


def with_spec(corpus: Corpus, name: str, **changes: Any) -> Corpus:
    """The corpus with another spec for one feature, and zeros for values."""
    feature = corpus.features[name]
    spec = replace(feature.spec, **changes)
    values = np.zeros((len(feature.values), spec.width), np.float32)
    return replace(corpus, features={**corpus.features, name: Feature(spec, values)})


@pytest.mark.parametrize("fusion", ["class", "scalar", "lmf", "tfn"])
@pytest.mark.parametrize("ssm", ["convolution", "selective"])
def test_what_is_loaded_predicts_the_same_bit_for_bit(fusion: str, ssm: str, tmp_path: Path) -> None:
    made = fit(CORPUS, tiny_config(epochs=1, average=0.5, model={"fusion": fusion, "ssm": ssm})).checkpoint
    made.save(tmp_path / "model")
    loaded = Checkpoint.load(tmp_path / "model")
    split = CORPUS.split("test")
    one, other = (it.score(it.prepare_split(split)) for it in (made, loaded))
    assert np.array_equal(one.probabilities, other.probabilities)
    assert np.array_equal(one.modality_weights, other.modality_weights)
    assert not loaded.model.training


def test_everything_that_gives_a_number_its_meaning_travels(checkpoint: Checkpoint, tmp_path: Path) -> None:
    provenance = {"seed": 3, "note": "Grüße 🙂"}
    text = replace(checkpoint.features["text"][0], licence="CC0", trained_on_labels=True)
    made = replace(checkpoint, provenance={}, temperature=1.7, features={**checkpoint.features, "text": (text,)})
    made.save(tmp_path / "model")
    values = json.loads((tmp_path / "model" / "manifest.json").read_text("utf-8"))
    (tmp_path / "model" / "manifest.json").write_text(json.dumps({**values, "provenance": provenance}), "utf-8")
    loaded = Checkpoint.load(tmp_path / "model")
    assert loaded.labels == checkpoint.labels == LabelSet(LABELS)
    assert loaded.features == made.features
    assert loaded.features["audio"][0].columns and loaded.features["audio"][0].gaps
    assert loaded.speaker_relative == ("audio",) and loaded.temperature == 1.7
    assert loaded.model.config == checkpoint.model.config
    assert loaded.provenance == provenance
    for m, normaliser in checkpoint.normalisers.items():
        assert np.array_equal(normaliser.mean, loaded.normalisers[m].mean)
        assert np.array_equal(normaliser.scale, loaded.normalisers[m].scale)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "README.md",
        "graph.onnx",
        "manifest.json",
        "model.safetensors",
        "ridge.safetensors",
    ]


def test_other_entries_in_the_folder_are_left_alone(folder: Path, checkpoint: Checkpoint) -> None:
    (folder / "encoder").mkdir()
    (folder / "encoder" / "weights.bin").write_bytes(b"mine")
    checkpoint.save(folder)
    assert Checkpoint.load(folder).labels == checkpoint.labels
    assert (folder / "encoder" / "weights.bin").read_bytes() == b"mine"


def test_the_temperature_changes_probabilities_alone(checkpoint: Checkpoint) -> None:
    prepared = checkpoint.prepare_split(CORPUS.split("test"))
    with torch.no_grad():
        alone = [checkpoint.model(prepared.batch([i])) for i in range(len(prepared.lengths))]
    logits = torch.cat([output.logits[0] for output in alone])
    plain = replace(checkpoint, temperature=1.0).score(prepared)
    for temperature in (0.3, 1.0, 2.5):
        found = replace(checkpoint, temperature=temperature).score(prepared)
        expected = (logits / temperature).softmax(-1).numpy()
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        assert np.array_equal(found.probabilities.argmax(1), plain.probabilities.argmax(1))
        assert np.array_equal(found.modality_weights, plain.modality_weights)


def test_settings_for_a_modality_that_the_model_lacks_do_no_harm(tmp_path: Path) -> None:
    config = tiny_config(epochs=1, features={"text": ["tiny-text"]}, speaker_relative=["audio"])
    fit(CORPUS, config).checkpoint.save(tmp_path / "model")
    assert report_split(Checkpoint.load(tmp_path / "model"), CORPUS, "test")["modalities"] == ["text"]


def test_the_weights_can_be_read_without_this_project(folder: Path, checkpoint: Checkpoint) -> None:
    arrays = load_file(folder / "model.safetensors")
    state = checkpoint.model.state_dict()
    assert {name.removeprefix("model.") for name in arrays if name.startswith("model.")} == set(state)
    for name, value in state.items():
        assert np.array_equal(arrays[f"model.{name}"], value.numpy())
    assert np.array_equal(arrays["normaliser.text.mean"], checkpoint.normalisers["text"].mean)


def test_a_corpus_without_a_modality_is_scored_by_the_others(folder: Path) -> None:
    loaded = Checkpoint.load(folder)
    for gone in CORPUS.features:
        rest = replace(CORPUS, features={name: f for name, f in CORPUS.features.items() if name != gone})
        report = report_split(loaded, rest, "test")
        assert report["modalities"] == [m for m in ("text", "audio", "video") if f"tiny-{m}" != gone]
        missing = np.full_like(CORPUS.features[gone].values, np.nan)
        blank = replace(CORPUS, features={**CORPUS.features, gone: Feature(CORPUS.features[gone].spec, missing)})
        assert report_split(loaded, blank, "test")["confusion"] == report["confusion"]


def test_a_corpus_of_other_labels_is_refused_by_name(folder: Path) -> None:
    loaded = Checkpoint.load(folder)
    more = replace(CORPUS, labels=LabelSet((*LABELS, "bored")))
    turned = replace(CORPUS, labels=LabelSet(LABELS[::-1]))
    for corpus, found in ((more, "calm, glad, upset, bored"), (turned, "upset, glad, calm")):
        with pytest.raises(IncompatibleError) as caught:
            loaded.prepare_split(corpus.split("test"))
        assert "knows the labels calm, glad, upset in this order" in str(caught.value)
        assert f"the corpus has {found}" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"width": 9, "columns": ()}, ("6", "9")),
        ({"sha256": "f" * 64}, ("000000000000", "ffffffffffff")),
        ({"pooling": "max"}, ("mean", "max")),
        ({"columns": tuple("abcdef")}, ("text0", "a")),
    ],
    ids=["width", "sha256", "pooling", "columns"],
)
def test_a_feature_of_another_spec_is_refused_naming_both(folder: Path, changes: dict[str, Any], told: Any) -> None:
    with pytest.raises(IncompatibleError) as caught:
        report_split(Checkpoint.load(folder), with_spec(CORPUS, "tiny-text", **changes), "test")
    message = str(caught.value)
    assert "feature 'tiny-text': the model was trained on tiny-text (6 wide" in message
    (key,) = changes.keys() - {"columns"} or {"columns"}
    before, _, after = message.partition(f"they differ in {key} ")[2].partition(" and ")
    assert told[0] in before and told[1] in after, message


def test_the_version_and_licence_of_the_same_weights_may_differ(folder: Path) -> None:
    corpus = with_spec(CORPUS, "tiny-text", version="1.0.1", licence="MIT")
    assert report_split(Checkpoint.load(folder), corpus, "test")["utterances"] > 0


def test_no_feature_in_common_is_refused(folder: Path) -> None:
    loaded = Checkpoint.load(folder)
    other = FeatureSpec("other", "text", 2)
    values = Feature(other, np.zeros((len(CORPUS.utterances), 2), np.float32))
    for features, found in (({}, "no feature"), ({"other": values}, "other")):
        with pytest.raises(
            IncompatibleError, match=f"the model reads tiny-text, tiny-audio, tiny-video; found {found}"
        ):
            loaded.prepare_split(replace(CORPUS, features=features).split("test"))


def test_half_of_a_modality_is_refused(tmp_path: Path) -> None:
    extra = FeatureSpec("extra", "text", 2)
    rows = np.ones((len(CORPUS.utterances), 2), np.float32)
    both = replace(CORPUS, features={**CORPUS.features, "extra": Feature(extra, rows)})
    made = fit(both, tiny_config(epochs=1, features={"text": ["tiny-text", "extra"]})).checkpoint
    assert made.model.config.widths == {"text": 8}
    with pytest.raises(IncompatibleError, match="text needs tiny-text, extra together; extra is not there"):
        made.prepare_split(CORPUS.split("test"))


def refused(folder: Path) -> str:
    """The one sentence with which a damaged folder is refused."""
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.load(folder)
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message and len(message) < len(str(folder)) * 2 + 400
    return message


def test_missing_files(folder: Path, tmp_path: Path) -> None:
    assert "manifest.json" in refused(tmp_path / "nowhere")
    (folder / "README.md").unlink()
    Checkpoint.load(folder)  # the card is for people
    (folder / "model.safetensors").rename(tmp_path / "moved")
    assert "model.safetensors is not there" in refused(folder)
    (folder / "manifest.json").unlink()
    assert "expected a model folder with manifest.json" in refused(folder)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, 0.5, 0.999])
@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
def test_truncated_files(folder: Path, name: str, keep: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    refused(folder)


@pytest.mark.parametrize("junk", [bytes(range(256)), b"\xff" * 999, b"PK\x03\x04" + bytes(64), b"{}", b"null"])
@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
def test_junk_files(folder: Path, name: str, junk: bytes) -> None:
    (folder / name).write_bytes(junk)
    refused(folder)


def test_another_format_or_version(folder: Path) -> None:
    original = json.loads((folder / "manifest.json").read_text())
    for change in ({"version": 2}, {"version": "3"}, {"format": "broadmamba-corpus"}, {"format": None}):
        (folder / "manifest.json").write_text(json.dumps({**original, **change}))
        assert "expected format 'broadmamba-bundle' version 4" in refused(folder)


EDITS: list[Callable[[dict[str, Any]], Any]] = [
    lambda c: c["labels"].append("bored"),
    lambda c: c["labels"].pop(),
    lambda c: c.update(labels="abc"),
    lambda c: c.update(labels=[1, 2, 3]),
    lambda c: c.update(labels=["calm", "calm", "glad"]),
    lambda c: c.update(speaker_relative=[]),
    lambda c: c.update(speaker_relative=["text", "audio"]),
    lambda c: c.update(speaker_relative=["smell"]),
    *(lambda c, t=t: c.update(temperature=t) for t in (0, -1.0, 0.09, 10.1, 1e300, "1", None, True, float("nan"))),
    lambda c: c.pop("temperature"),
    lambda c: c["features"].pop("video"),
    lambda c: c["features"].update(text=[]),
    lambda c: c["features"]["text"].append(c["features"]["text"][0]),
    lambda c: c["features"].update(smell=c["features"]["text"]),
    lambda c: c["features"].update(text=c["features"]["audio"], audio=c["features"]["text"]),
    lambda c: c["features"]["text"][0].update(width=7, columns=[]),
    lambda c: c["features"]["text"][0].update(width="6"),
    lambda c: c["model"].update(classes=4),
    lambda c: c["model"].update(classes="3"),
    lambda c: c["model"].update(d_model=9),
    lambda c: c["model"].update(d_model=10**12),
    lambda c: c["model"].update(depth=2),
    lambda c: c["model"].update(depth=10**9),
    *(lambda c, k=k: c["model"].update({k: 8192}) for k in ("d_model", "d_state", "n", "m", "d_z", "d_h", "speakers")),
    lambda c: c["model"].update(n=8192, m=8192, d_z=8192, d_h=8192),
    lambda c: c["model"].update(dt_max=float("inf")),
    lambda c: c["model"].update(classes=10**6),
    lambda c: c["model"]["widths"].update(text=10**15),
    lambda c: c.update(labels=[str(i) for i in range(10**6)]),
    lambda c: c["model"].update(dropout="a"),
    lambda c: c["model"].update(fusion="magic"),
    lambda c: c["model"].update(unheard_of=1),
    lambda c: c.update(provenance="mine"),
    lambda c: c["model"]["widths"].pop("text"),
    lambda c: c["model"]["widths"].update(text=7),
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_config_that_does_not_fit_the_weights(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / "manifest.json").read_text())
    edit(config)
    (folder / "manifest.json").write_text(json.dumps(config))
    started = time.process_time()
    refused(folder)
    assert time.process_time() - started < 5


HOSTILE = """
import resource, sys
from broadmamba.errors import CheckpointError
from broadmamba.training.checkpoint import Checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for folder in sys.argv[1:]:
    try:
        Checkpoint.load(folder)
    except CheckpointError:
        continue
    raise AssertionError(folder)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_hostile_models_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    settings = {
        "broadmamba": [{"depth": 10**9}, {"depth": 256, "d_model": 8192}, {"n": 8192, "d_z": 8192}],
        "bc-lstm": [{"hidden": 8192}],
        "sdt": [{"hidden": 8192, "heads": 1}],
        "adagin": [{"layers": 10**9}, {"layers": 256, "hidden": 4096}],
        "m3net": [{"hypergraph_layers": 256, "frequency_layers": 256}],
        "der-gcn": [{"hidden": 8192, "events": 8192}],
    }
    spec = {"name": "x", "modality": "text", "width": 6}
    folders = []
    for number, (system, changes) in enumerate((s, c) for s, them in settings.items() for c in them):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = {
            "format": "broadmamba-bundle", "version": 4, "system": system, "labels": ["a", "b"],
            "speaker_relative": [], "temperature": 1.0, "features": {"text": [spec]}, "provenance": {},
            "model": {"widths": {"text": 6}, "classes": 2, **changes}, "files": {"model.safetensors": ""},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(config))
        numbers = {"model.x": 1000, "normaliser.text.mean": 6, "normaliser.text.scale": 6}
        save_file({name: np.ones(n, np.float32) for name, n in numbers.items()}, folder / "model.safetensors")
        resign(folder)
        folders.append(str(folder))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, *folders], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100_000  # kilobytes, on Linux


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nest of lists and dictionaries."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


@pytest.fixture(scope="module")
def saved(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model folder whose manifest may be changed, and its content."""
    folder = tmp_path_factory.mktemp("edited")
    checkpoint.save(folder)
    return folder, (folder / "manifest.json").read_text()


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_value_anywhere_in_the_config_is_told_or_harmless(saved: tuple[Path, str], data: st.DataObject) -> None:
    folder, text = saved
    config = json.loads(text)
    *above, last = data.draw(st.sampled_from([place for place in places(config) if place]))
    at = config
    for key in above:
        at = at[key]
    at[last] = data.draw(
        st.one_of(st.none(), st.booleans(), st.integers(-2, 12), st.floats(-2, 2), st.text(max_size=3))
        | st.sampled_from([[], {}, [[]], [None], {"a": 1}, ["text"]])
    )
    (folder / "manifest.json").write_text(json.dumps(config))
    try:
        loaded = Checkpoint.load(folder)
        loaded.score(loaded.prepare(CORPUS.split("test").conversations, CORPUS.split("test").features))
    except BroadMambaError as error:
        assert "\n" not in str(error)


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    return {name: value.copy() for name, value in load_file(folder / "model.safetensors").items()}


def test_weights_that_do_not_fit_or_are_no_numbers(folder: Path) -> None:
    whole = arrays_of(folder)
    weight = next(name for name in whole if name.startswith("model.") and whole[name].ndim == 2)
    for change in (
        {weight: whole[weight][:-1]},
        {weight: np.full_like(whole[weight], np.nan)},
        {"normaliser.text.mean": whole["normaliser.text.mean"][:-1]},
        {"normaliser.text.scale": np.full_like(whole["normaliser.text.scale"], np.nan)},
        {"normaliser.text.scale": np.zeros_like(whole["normaliser.text.scale"])},
        {"model.unheard_of": np.zeros(2, np.float32)},
        {weight: whole[weight].astype(np.float64)},
        {weight: whole[weight].astype(np.int32)},
        {weight: whole[weight].astype(np.float16)},
        {"normaliser.text.mean": whole["normaliser.text.mean"].astype(np.int64)},
    ):
        save_file(
            {name: np.ascontiguousarray(v) for name, v in {**whole, **change}.items()}, folder / "model.safetensors"
        )
        assert "SHA-256 of model.safetensors" in refused(folder)
        resign(folder)
        assert "SHA-256" not in refused(folder)
    for gone in (weight, "normaliser.audio.mean"):
        save_file({name: v for name, v in whole.items() if name != gone}, folder / "model.safetensors")
        resign(folder)
        refused(folder)


def killed_while_saving(checkpoint: Checkpoint, folder: Path, renames: int) -> bool:
    """Save in a process that is killed instead of its next rename after some; whether it was."""
    child = os.fork()
    if child == 0:
        replace_file, done = os.replace, iter(range(renames))

        def rename(*arguments: Any, **options: Any) -> None:
            if next(done, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            replace_file(*arguments, **options)

        os.replace = os.rename = rename
        try:
            checkpoint.save(folder)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a kill at an exact moment needs a fork")
def test_a_kill_while_saving_leaves_the_old_model_or_the_new(checkpoint: Checkpoint, tmp_path: Path) -> None:
    other = fit(CORPUS, tiny_config(epochs=1, speaker_relative=["audio"], model={"speakers": 2})).checkpoint
    other = replace(other, labels=LabelSet(LABELS[::-1]), temperature=3.0)
    seen = []
    for renames in range(20):
        folder = tmp_path / str(renames)
        checkpoint.save(folder)
        killed = killed_while_saving(other, folder, renames)
        found = Checkpoint.load(folder)
        expected = other if found.temperature == 3.0 else checkpoint
        seen.append(expected is other)
        assert found.labels == expected.labels
        state, known = found.model.state_dict(), expected.model.state_dict()
        assert all(torch.equal(state[name], known[name]) for name in known)
        checkpoint.save(folder)  # over what the kill left
        assert Checkpoint.load(folder).temperature == checkpoint.temperature
        assert sorted(p.name for p in folder.iterdir()) == [
            "README.md",
            "graph.onnx",
            "manifest.json",
            "model.safetensors",
            "ridge.safetensors",
        ]
        if not killed:
            break
    assert not killed and not seen[0] and seen[-1] and seen == sorted(seen) and len(seen) > 6


def test_a_full_disk_while_saving_keeps_the_old_model(
    folder: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(InputError, match="No space left"):
        patch.setattr(os, "fsync", full)
        replace(checkpoint, temperature=3.0).save(folder)
    assert Checkpoint.load(folder).temperature == checkpoint.temperature
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "graph.onnx",
        "manifest.json",
        "model.safetensors",
        "ridge.safetensors",
    ]


def test_a_model_cannot_be_saved_where_a_file_stands(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file"):
        checkpoint.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_weights_that_overflow_are_told_and_give_no_scores(checkpoint: Checkpoint, folder: Path) -> None:
    whole = arrays_of(folder)
    for name, values in whole.items():
        if name.startswith("model.") and "classifier" in name and values.ndim == 2:
            whole[name] = np.full_like(values, 3e38)
    save_file(whole, folder / "model.safetensors")
    resign(folder)
    loaded = Checkpoint.load(folder)
    with pytest.raises(InputError, match=r"the model mine gives non-finite values for \d+ of \d+ utterances"):
        loaded.score(loaded.prepare_split(CORPUS.split("test")), "mine")


def test_a_sparse_file_that_claims_to_be_a_terabyte_is_refused(folder: Path) -> None:
    header = json.dumps({"model.x": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**40)
    refused(folder)
