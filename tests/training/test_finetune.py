"""Fine-tuning: what is learnt helps, is small, is the same after a kill, and travels with a model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tiny_encoders import build_encoder
from torch import nn

from broadmamba.data.corpus import Corpus
from broadmamba.errors import CheckpointError, IncompatibleError, InputError
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.encoder_files import load_encoder_files
from broadmamba.features.text.lora import SCALE, LowRank, adapt, merge
from broadmamba.features.text.passages import Reading
from broadmamba.features.text.tuned import is_tuned
from broadmamba.locks import exclusive
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.storage import read_json, write_json
from broadmamba.training.finetune import FinetuneConfig, finetune
from broadmamba.training.finetune_run import finetune_encoder
from broadmamba.training.fit import fit
from broadmamba.training.split_encoder import SplitEncoder, upper_layers
from corpora import make_text_corpus, tiny_config

CONFIG = FinetuneConfig(reading=Reading(2, True), rank=4, layers=2, epochs=3, learning_rate=2e-2, batch_tokens=64)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder("mpnet", tmp_path_factory.mktemp("base") / "mpnet")


@pytest.fixture(scope="module")
def corpus(encoder: Path) -> Corpus:
    """Its words tell the label."""
    return replace(make_text_corpus(encoder), features={})


@pytest.fixture(scope="module")
def tuned(encoder: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "learnt"
    finetune_encoder(corpus, str(encoder), CONFIG, folder)
    return folder


@pytest.mark.parametrize("kind", ["bert", "roberta", "mpnet"])
@pytest.mark.parametrize("upper", [1, 3, 4])
def test_the_halves_make_the_whole(kind: str, upper: int, tmp_path: Path) -> None:
    model = load_encoder_files(str(build_encoder(kind, tmp_path / kind))).model
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    with torch.no_grad():
        whole = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        assert len(upper_layers(model, upper)) == upper
        halves = SplitEncoder(model, upper).eval()
        np.testing.assert_allclose(halves(halves.lower(ids, mask), mask)[mask], whole[mask], atol=1e-6)


def test_an_encoder_of_another_build_is_refused() -> None:
    with pytest.raises(InputError, match="Linear cannot be fine-tuned: expected an encoder of BERT's build"):
        upper_layers(nn.Linear(2, 2), 1)


def test_an_addition_is_a_product_of_two_small_matrices() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    x = torch.randn(4, 5)
    before = layer(x)
    addition = LowRank(layer, 2, 0.0)
    torch.testing.assert_close(addition(x), before)  # nothing is learnt yet
    with torch.no_grad():
        addition.B.normal_()
    expected = before + SCALE * x @ addition.A.T @ addition.B.T
    torch.testing.assert_close(addition(x), expected)


def test_only_additions_learn_and_merging_gives_the_same(encoder: Path) -> None:
    ids = torch.tensor([[0, 5, 6, 2]])
    model = load_encoder_files(str(encoder)).model
    additions = adapt(model, upper_layers(model, 2), rank=3, dropout=0.0)
    assert {name.split(".")[2] for name in additions} == {"2", "3"}
    assert {name.rpartition(".")[2] for name, p in model.named_parameters() if p.requires_grad} == {"A", "B"}
    with torch.no_grad():
        for addition in additions.values():
            addition.B.normal_(std=0.1)
        adapted = model(input_ids=ids).last_hidden_state
        fresh = load_encoder_files(str(encoder)).model
        merge(fresh, {f"{n}.{part}": getattr(a, part).detach().numpy() for n, a in additions.items() for part in "AB"})
        torch.testing.assert_close(fresh(input_ids=ids).last_hidden_state, adapted, atol=1e-5, rtol=1e-4)


def test_what_is_learnt_helps(corpus: Corpus, encoder: Path, tmp_path: Path) -> None:
    """Rows of the tuned encoder tell the label of new conversations better than those of the frozen one."""
    from sklearn.neighbors import NearestCentroid

    def accuracy(source: Path) -> float:
        made = TextEncoder.load(str(source))
        rows = {name: np.concatenate([made.encode_conversation(c) for c in corpus.split(name).conversations])
                for name in ("train", "test")}  # fmt: skip
        labels = {name: [u.label for u in corpus.split(name).utterances] for name in ("train", "test")}
        return float(NearestCentroid().fit(rows["train"], labels["train"]).score(rows["test"], labels["test"]))

    config = FinetuneConfig(reading=Reading(), rank=4, layers=2, epochs=8, learning_rate=2e-2, batch_tokens=64)
    finetune_encoder(corpus, str(encoder), config, tmp_path / "tuned")
    frozen, tuned = accuracy(encoder), accuracy(tmp_path / "tuned")
    assert tuned > frozen + 0.1


def test_the_folder_tells_how_it_came_about(tuned: Path, encoder: Path) -> None:
    assert {file.name for file in tuned.iterdir()} == {"encoder.json", "adapter.safetensors"}
    told = read_json(tuned / "encoder.json")["provenance"]
    assert told["epoch"] == 1 + int(np.argmax([epoch["dev"] for epoch in told["history"]]))
    assert told["dev"]["weighted_f1"] == pytest.approx(max(epoch["dev"] for epoch in told["history"]))
    made = TextEncoder.load(str(tuned))
    assert made.spec.trained_on_labels
    assert made.spec.name == "learnt"
    assert made.reading == CONFIG.reading
    assert made.spec.sha256 != TextEncoder.load(str(encoder)).spec.sha256


def test_it_gives_no_token_ids(tuned: Path) -> None:
    with pytest.raises(InputError, match="was fine-tuned on whole passages; take token ids of the encoder it began as"):
        TextEncoder.load(str(tuned), "tokens")


def test_test_labels_are_never_read(corpus: Corpus, encoder: Path, tuned: Path) -> None:
    hidden = tuple(
        replace(c, utterances=tuple(replace(u, label=None) for u in c)) if c.id in corpus.splits["test"] else c
        for c in corpus.conversations
    )
    learnt = finetune(replace(corpus, conversations=hidden), load_encoder_files(str(encoder)), CONFIG).learnt
    stored = TextEncoder.load(str(tuned))
    again = load_encoder_files(str(encoder)).model
    merge(again, learnt)
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, stored.model.state_dict()[name])


KILLED = """
import os, signal, sys
from pathlib import Path
import broadmamba.training.finetune as module
from broadmamba.data.corpus import Corpus
from broadmamba.features.text.passages import Reading
from broadmamba.training.finetune import FinetuneConfig
from broadmamba.training.finetune_run import finetune_encoder
import torch

torch.set_num_threads(1)
module.SAVE_EVERY = 0.0
def kill(epoch, done, steps):
    if (epoch, done) == (2, 3):
        os.kill(os.getpid(), signal.SIGKILL)
config = FinetuneConfig(reading=Reading(2, True), rank=4, layers=2, epochs=3, learning_rate=2e-2, batch_tokens=64)
finetune_encoder(Corpus.open(sys.argv[1]), sys.argv[2], config, Path(sys.argv[3]), on_step=kill)
"""


def test_what_a_kill_after_the_last_file_leaves_is_removed(
    corpus: Corpus, encoder: Path, tuned: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(tuned, tmp_path / "learnt")
    whole = sorted(path.name for path in out.iterdir())
    for name in ("state.pt", f".state.pt.{2**22 + 1}-0123abcd.tmp"):
        (out / name).write_bytes(b"x")
    finetune_encoder(corpus, str(encoder), CONFIG, out)
    assert sorted(path.name for path in out.iterdir()) == whole


def test_a_killed_run_goes_on_to_the_same_result(corpus: Corpus, encoder: Path, tuned: Path, tmp_path: Path) -> None:
    corpus.save(tmp_path / "corpus")
    out = tmp_path / "learnt"
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "corpus"), str(encoder), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(arguments, env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not is_tuned(out)
    steps: list[tuple[int, int]] = []
    finetune_encoder(corpus, str(encoder), CONFIG, out, on_step=lambda epoch, done, _: steps.append((epoch, done)))
    assert steps[0] == (2, 3)  # the third step was taken, and not yet stored, when the process was killed
    assert (out / "adapter.safetensors").read_bytes() == (tuned / "adapter.safetensors").read_bytes()
    assert {file.name for file in out.iterdir()} == {"encoder.json", "adapter.safetensors"}


def test_ctrl_c_is_told_and_the_same_call_goes_on(
    corpus: Corpus, encoder: Path, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("broadmamba.training.finetune.SAVE_EVERY", 0.0)
    steps: list[int] = []

    def interrupt(epoch: int, done: int, of: int) -> None:
        steps.append(done)
        if len(steps) == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), caplog.at_level("WARNING", "broadmamba"):
        finetune_encoder(corpus, str(encoder), CONFIG, tmp_path / "learnt", on_step=interrupt)
    assert caplog.messages[-1].startswith(f"stopped: what was saved is kept in {tmp_path}/learnt")
    left = {path.name for path in (tmp_path / "learnt").iterdir()}
    assert left == {"state.pt"}
    relabelled = tuple(
        replace(c, utterances=tuple(replace(u, label="calm") for u in c)) if c.id in corpus.splits["dev"] else c
        for c in corpus.conversations
    )
    other = build_encoder("bert", tmp_path / "other")
    for changed, source in ((replace(corpus, conversations=relabelled), encoder), (corpus, other)):
        with pytest.raises(CheckpointError, match="of another encoder, on other data or with other settings"):
            finetune_encoder(changed, str(source), CONFIG, tmp_path / "learnt")
    finetune_encoder(corpus, str(encoder), CONFIG, tmp_path / "learnt")
    assert (tmp_path / "learnt" / "adapter.safetensors").read_bytes() == (tuned / "adapter.safetensors").read_bytes()
    with pytest.raises(InputError, match="was fine-tuned with another corpus"):
        finetune_encoder(replace(corpus, conversations=relabelled), str(encoder), CONFIG, tmp_path / "learnt")


def test_a_folder_in_which_another_process_fine_tunes_is_refused(corpus: Corpus, encoder: Path, tmp_path: Path) -> None:
    with (
        exclusive(tmp_path, "fine-tunes"),
        pytest.raises(InputError, match="another process fine-tunes an encoder in it"),
    ):
        finetune_encoder(corpus, str(encoder), CONFIG, tmp_path)
    assert not list(tmp_path.iterdir())


def test_finished_work_is_not_done_again_and_other_work_is_refused(corpus: Corpus, encoder: Path, tuned: Path) -> None:
    before = (tuned / "encoder.json").stat().st_mtime_ns
    finetune_encoder(corpus, str(encoder), CONFIG, tuned, on_step=lambda *_: pytest.fail("a step was taken"))
    assert (tuned / "encoder.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="fine-tuned with another settings"):
        finetune_encoder(corpus, str(encoder), replace(CONFIG, epochs=4), tuned)


def test_a_damaged_or_foreign_state_is_refused(corpus: Corpus, encoder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    state.write_bytes(b"junk")
    with pytest.raises(CheckpointError, match=r"state\.pt: this saved state cannot be read"):
        finetune(corpus, load_encoder_files(str(encoder)), CONFIG, state=state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "rank: expected a whole number of at least 1, found 0"),
        ({"epochs": True}, "epochs: expected a whole number"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a number from 0"),
        ({"dropout": 0.6}, "dropout from 0 to below 0.5"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **change)


def damage(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        settings = read_json(folder / "encoder.json")
        change(settings)
        write_json(folder / "encoder.json", settings)

    return apply


def adapter(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        arrays = dict(load_file(folder / "adapter.safetensors"))
        change(arrays)
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, folder / "adapter.safetensors")

    return apply


def each(change: Callable[[Any], Any]) -> Callable[[Path], object]:
    return adapter(lambda arrays: arrays.update({name: change(values) for name, values in arrays.items()}))


def brain_float(folder: Path) -> None:
    """The adapter in a type that NumPy lacks."""
    import safetensors.torch as stored

    arrays = stored.load_file(folder / "adapter.safetensors")
    stored.save_file({name: values.bfloat16() for name, values in arrays.items()}, folder / "adapter.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((each(lambda a, kind=kind: a.astype(kind)), "expected float32") for kind in ("f2", "f8", "i4", "?")),
        (brain_float, "is BF16, expected one of"),
        (each(lambda a: a[:1]), "expected a product"),
        (each(lambda a: a[None]), "expected a product"),
        (each(lambda a: a.sum()), "expected a product"),
        (each(lambda a: a * 0 + np.float32(3e38)), "too large"),
        (each(lambda a: a * np.float32("nan")), "non-finite"),
        (adapter(lambda arrays: arrays.pop(next(iter(arrays)))), "expected an A and a B"),
        (adapter(lambda arrays: arrays.clear()), "found none"),
        (
            adapter(lambda it: it.update({f"other.{part}": np.ones((1, 1), np.float32) for part in "AB"})),
            "the encoder has no layer other",
        ),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    tuned: Path, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    folder = shutil.copytree(tuned, tmp_path / "changed")
    change(folder)
    with pytest.raises(InputError, match=message) as caught:
        TextEncoder.load(str(folder))
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "adapter.safetensors").write_bytes(b"junk"),
        lambda folder: (folder / "adapter.safetensors").unlink(),
        lambda folder: (folder / "encoder.json").write_text("[]"),
        damage(lambda settings: settings.pop("base")),
        damage(lambda settings: settings.update(version=9)),
        damage(lambda settings: settings["reading"].update(context=-3)),
        damage(lambda settings: settings["base"].update(source=7)),
    ],
)
def test_a_damaged_folder_is_refused(tuned: Path, tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = shutil.copytree(tuned, tmp_path / "copy")
    change(folder)
    with pytest.raises(InputError, match=str(folder)):
        TextEncoder.load(str(folder))


def test_another_base_is_refused(tuned: Path, tmp_path: Path) -> None:
    other = build_encoder("bert", tmp_path / "other")
    with pytest.raises(IncompatibleError, match="began as an encoder with SHA-256"):
        TextEncoder.load(str(tuned), base=str(other))


def test_a_model_knows_its_encoder(corpus: Corpus, tuned: Path, tmp_path: Path) -> None:
    from broadmamba.features.extract_text import extract_text

    corpus.save(tmp_path / "corpus")
    extended = extract_text(Corpus.open(tmp_path / "corpus"), TextEncoder.load(str(tuned)))
    checkpoint = fit(extended, tiny_config(epochs=2)).checkpoint
    checkpoint.save(tmp_path / "model")
    conversation = corpus.split("test").conversations[0]
    with pytest.raises(IncompatibleError, match="say its folder"):
        Recognizer.from_pretrained(tmp_path / "model").predict(conversation)
    found = Recognizer.from_pretrained(tmp_path / "model", encoder=str(tuned)).predict(conversation)
    assert all(item.present == ("text",) for item in found)
    spec = json.loads((tmp_path / "model" / "manifest.json").read_text())["features"]["text"][0]
    assert spec["trained_on_labels"] is True
