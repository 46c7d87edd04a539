"""Bundles that mean harm are refused in one sentence, with little memory, and nothing is written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from safetensors.numpy import load_file, save_file

from broadmamba.data.spec import FeatureSpec
from bundle.small import TEXT, WIDTH, write_bundle, write_encoder
from bundles import resign

Attack = Callable[[Path], None]


def said(text: bytes | str) -> Attack:
    """Another manifest altogether."""
    return lambda folder: (folder / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())  # type: ignore[return-value]


def told(place: str, value: Any) -> Attack:
    """A manifest in which something else stands at a place, such as `model.widths.text`; None removes it."""

    def change(folder: Path) -> None:
        manifest = at = json.loads((folder / "manifest.json").read_text())
        *before, last = place.split("/")
        for key in before:
            at = at[int(key)] if isinstance(at, list) else at[key]
        if value is None:
            del at[last]
        else:
            at[int(last) if isinstance(at, list) else last] = value
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


def text_of(change: Callable[[str], str]) -> Attack:
    def attack(folder: Path) -> None:
        manifest = folder / "manifest.json"
        manifest.write_text(change(manifest.read_text()))

    return attack


def arrays(name: str, change: Callable[[dict[str, np.ndarray[Any, Any]]], Any]) -> Attack:
    """Other arrays in a file, whose SHA-256 is that of the new ones."""

    def attack(folder: Path) -> None:
        held = load_file(folder / name)
        change(held)
        save_file({key: np.ascontiguousarray(values) for key, values in held.items()}, folder / name)
        resign(folder)

    return attack


def weights(**changes: Any) -> Attack:
    """Other values of arrays of the network: an array, a number that becomes the first, or None for none."""

    def change(held: dict[str, np.ndarray[Any, Any]]) -> None:
        for name, value in changes.items():
            key = next(key for key in held if key.endswith(name.replace("__", ".")))
            if value is None:
                del held[key]
            elif isinstance(value, (int, float)):
                held[key] = held[key].copy()
                held[key].flat[0] = value
            else:
                held[key] = value(held[key]) if callable(value) else value

    return arrays("model.safetensors", change)


def header(change: Callable[[dict[str, Any], int], Any], name: str = "model.safetensors") -> Attack:
    """Another list of tensors before the same bytes."""

    def attack(folder: Path) -> None:
        content = (folder / name).read_bytes()
        length = int.from_bytes(content[:8], "little")
        entries = json.loads(content[8 : 8 + length])
        entries = change(entries, len(content) - 8 - length) or entries
        text = json.dumps(entries).encode()
        (folder / name).write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
        resign(folder)

    return attack


def instead(name: str, content: bytes | Callable[[bytes], bytes], sign: bool = True) -> Attack:
    """Other bytes in a file."""

    def attack(folder: Path) -> None:
        path = folder / name
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)
        if sign:
            resign(folder)

    return attack


def graph(change: Callable[[onnx.ModelProto], Any], name: str = "graph.onnx") -> Attack:
    """Another graph."""

    def changed(content: bytes) -> bytes:
        model = onnx.ModelProto.FromString(content)
        change(model)
        result: bytes = model.SerializeToString()
        return result

    return instead(name, changed)


def renamed(model: onnx.ModelProto, output: str, nodes: list[onnx.NodeProto]) -> None:
    """Put nodes between what a graph computes, now `former`, and its output."""
    for node in model.graph.node:
        for at, name in enumerate(node.output):
            node.output[at] = "former" if name == output else name
        for at, name in enumerate(node.input):
            node.input[at] = "former" if name == output else name
    model.graph.node.extend(nodes)
    for value in model.graph.output:
        if value.name == output:
            value.type.tensor_type.ClearField("shape")


def ending(output: str, *nodes: onnx.NodeProto, **constants: Any) -> Attack:
    def change(model: onnx.ModelProto) -> None:
        renamed(model, output, list(nodes))
        model.graph.initializer.extend(onnx.numpy_helper.from_array(np.array(v), k) for k, v in constants.items())

    return graph(change)


def no_file(name: str) -> Attack:
    return lambda folder: (folder / name).unlink()


def special(name: str, make: Callable[[Path], Any]) -> Attack:
    """Something that is no file in the place of one."""

    def attack(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return attack


def sparse(folder: Path) -> None:
    """A tensor of 300 MiB that takes no room on the disk."""
    size = 300 << 20
    text = json.dumps({"model.x": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)


def other_encoder(spec: FeatureSpec) -> Attack:
    def attack(folder: Path) -> None:
        write_encoder(folder / "text" / "tiny", spec, seed=4)
        resign(folder)

    return attack


def linked(folder: Path) -> None:
    """All files are elsewhere, and one is not what it should be."""
    there = folder.with_name("elsewhere")
    shutil.copytree(folder, there, dirs_exist_ok=True)
    for path in folder.rglob("*.*"):
        path.unlink()
        path.symlink_to(there / path.relative_to(folder))
    (folder / "graph.onnx").unlink()
    (folder / "graph.onnx").symlink_to("/etc/passwd")


def axis(name: str, size: int) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    return lambda values: np.zeros((*values.shape[:-1], size), values.dtype)


node = helper.make_node
LABELS = ["calm", "glad", "sad"]
ENTRY = "model.branches.text.contexts.0.sequence.ssm.log_step"

ATTACKS: dict[str, tuple[Attack, str]] = {
    # the manifest
    "empty": (said(b""), "manifest.json"),
    "a list": (said(b"[1]"), "expected format"),
    "text": (said("hello"), "manifest.json"),
    "no Unicode": (said(b'{"format": "\xff"}'), "manifest.json"),
    "half a character": (told("labels", ["\ud800", "glad", "sad"]), ""),
    "nested": (said("[" * 100_000), "manifest.json"),
    "nested values": (
        text_of(lambda text: text.replace('"provenance": {', '"provenance": {"x": ' + "[" * 5000 + "]" * 5000 + ",")),
        "manifest.json",
    ),
    "huge": (said(b" " * (20 << 20)), "manifest.json"),
    "another format": (told("format", "x"), "expected format"),
    "a version to come": (told("version", 5), "expected format"),
    "a version in words": (told("version", "4"), "expected format"),
    "something more": (told("code", "import os"), "code"),
    "something less": (told("labels", None), "labels"),
    "a key twice": (text_of(lambda text: text.replace("{", '{"temperature": 2.0,', 1)), "given twice"),
    "nothing but brackets": (text_of(lambda text: text.replace("{", '{"x": [' + "[]," * 1_300_000 + "[]],", 1)), "x"),
    **{
        f"temperature {value}": (told("temperature", value), "temperature")
        for value in (0, 0.0, -1.0, float("nan"), float("inf"), 1e308, "1", True, [1.0])
    },
    "a label twice": (told("labels", ["calm", "calm", "sad"]), "calm"),
    "no labels": (told("labels", []), "label"),
    "a label too many": (told("labels", [*LABELS, "more"]), "label"),
    "a million labels": (told("labels", [str(i) for i in range(10**6)]), "manifest.json"),
    "eight thousand labels": (told("labels", [str(i) for i in range(8192)]), "8192 labels"),
    "labels that are numbers": (told("labels", [1, 2, 3]), "labels"),
    "an empty label": (told("labels", ["", "glad", "sad"]), "label"),
    **{
        f"classes {value}": (told("model/classes", value), "classes")
        for value in (10**9, -1, 0, 2.5, "3", True, float("nan"))
    },
    "other classes": (told("model/classes", 4), "label"),
    **{f"width {value}": (told("model/widths/text", value), "") for value in (2**40, -1, 0, 6.5, "6", float("nan"), 7)},
    "no widths": (told("model/widths", {}), "widths"),
    "an unknown modality": (told("model/widths", {"smell": 6}), "no modality"),
    "a modality without features": (told("features", {}), "features"),
    "a feature that is none": (told("features/text/0", {"name": 1}), ""),
    "a feature of another width": (told("features/text/0/width", 7), "width"),
    "a feature of another modality": (told("features/text/0/modality", "audio"), ""),
    "a path as a feature": (told("features/text/0/name", "../../etc"), "feature"),
    "a hundred thousand features": (told("features/text", [TEXT.to_dict()] * 10**5), "manifest.json"),
    "distances that are not there": (told("speaker_relative", ["audio"]), "audio"),
    "distances of no modality": (told("speaker_relative", [["audio"]]), "speaker_relative"),
    "an unknown way of discretising": (told("model/discretisation", "other"), "discretisation"),
    # paths
    **{
        f"the file {name}": (told("files", {name: "0" * 64}), "no file of a bundle")
        for name in (
            "../model.safetensors",
            "/etc/passwd",
            "text/../../x/graph.onnx",
            "text/tiny/evil.py",
            "text//graph.onnx",
            "x/model.safetensors",
            "model.safetensors\n",
            "",
        )
    },
    "a SHA-256 that is none": (told("files/graph.onnx", "x"), "graph.onnx"),
    "files as a list": (told("files", ["model.safetensors"]), "files"),
    "weights that are not named": (told("files/model.safetensors", None), "model.safetensors"),
    "links to elsewhere": (linked, "graph.onnx"),
    # files
    **{
        f"no {name}": (no_file(name), name)
        for name in (
            "model.safetensors",
            "graph.onnx",
            "ridge.safetensors",
            "text/tiny/graph.onnx",
            "text/tiny/encoder.json",
            "text/tiny/tokenizer.json",
            "text/tiny/weights.safetensors",
        )
    },
    **{
        f"empty {name}": (instead(name, b""), "")
        for name in (
            "model.safetensors",
            "graph.onnx",
            "ridge.safetensors",
            "text/tiny/graph.onnx",
            "text/tiny/encoder.json",
            "text/tiny/tokenizer.json",
            "text/tiny/weights.safetensors",
        )
    },
    **{
        f"half of {name}": (instead(name, lambda content: content[: len(content) // 2]), "")
        for name in (
            "model.safetensors",
            "graph.onnx",
            "ridge.safetensors",
            "text/tiny/graph.onnx",
            "text/tiny/weights.safetensors",
        )
    },
    "another SHA-256": (instead("graph.onnx", lambda content: content + b"\x32\x00", sign=False), "SHA-256"),
    "a folder": (special("graph.onnx", lambda path: path.mkdir()), "graph.onnx"),
    "a pipe": (special("graph.onnx", os.mkfifo), "graph.onnx"),
    "a device": (special("model.safetensors", lambda path: path.symlink_to("/dev/zero")), "model.safetensors"),
    "a link to itself": (special("model.safetensors", lambda path: path.symlink_to(path)), "model.safetensors"),
    "graphs changed over": (
        lambda folder: (shutil.copy(folder / "text/tiny/graph.onnx", folder / "graph.onnx"), resign(folder))[1],
        "graph",
    ),
    "weights changed over": (
        lambda folder: (
            shutil.copy(folder / "text/tiny/weights.safetensors", folder / "model.safetensors"),
            resign(folder),
        )[1],
        "",
    ),
    "other encoder weights": (
        lambda folder: (
            shutil.copy(folder / "model.safetensors", folder / "text/tiny/weights.safetensors"),
            resign(folder),
        )[1],
        "embeddings",
    ),
    # arrays
    "a weight that is NaN": (weights(emotion__weight=np.nan), "non-finite"),
    "an infinite weight": (weights(emotion__bias=np.inf), "non-finite"),
    "a missing weight": (weights(emotion__bias=None), "emotion.bias"),
    "a flat weight": (weights(emotion__weight=lambda w: w.ravel()), "emotion.weight"),
    "a turned weight": (weights(emotion__weight=lambda w: w.T), "emotion.weight"),
    "a weight of doubles": (weights(emotion__weight=lambda w: w.astype(np.float64)), "emotion.weight"),
    "a weight of whole numbers": (weights(emotion__weight=lambda w: w.astype(np.int64)), "emotion.weight"),
    **{
        f"a scale of {value}": (weights(**{"normaliser.text.scale": value}), "normalisation")
        for value in (0, -1, np.nan, np.inf)
    },
    "a mean of NaN": (weights(**{"normaliser.text.mean": np.nan}), "normalisation"),
    "a short mean": (weights(**{"normaliser.text.mean": np.zeros(5, np.float32)}), "normalisation"),
    "no scale": (weights(**{"normaliser.audio.scale": None}), "normalisation"),
    "a step without the rest": (weights(**{"text.contexts.0.sequence.ssm.frequency": None}), ""),
    "states of other numbers": (weights(**{"text.contexts.0.sequence.ssm.frequency": lambda w: w[..., :1]}), ""),
    "more channels": (weights(**{ENTRY: lambda w: np.zeros((2, 100_000), np.float32)}), ""),
    "more of all": (
        weights(
            **{
                f"text.contexts.0.sequence.ssm.{part}": axis(part, size)
                for part, size in (("log_decay", 100_000), ("frequency", 100_000))
            }
        ),
        "",
    ),
    "steps that overflow": (weights(**{ENTRY: lambda w: np.full_like(w, 1e30)}), ""),
    "steps as whole numbers": (weights(**{ENTRY: lambda w: w.astype(np.int64)}), ""),
    "a step of no axis": (weights(**{ENTRY: lambda w: np.float32(1).reshape(())}), ""),
    "tensors in one another": (
        header(
            lambda entries, size: (
                [
                    e.update(data_offsets=[0, e["data_offsets"][1] - e["data_offsets"][0]])
                    for k, e in entries.items()
                    if k != "__metadata__"
                ]
                and None
            )
        ),
        "safetensors",
    ),
    "a tensor beyond the end": (
        header(lambda entries, size: entries[ENTRY].update(data_offsets=[0, size + 8])),
        "safetensors",
    ),
    "a tensor of a huge shape": (
        header(lambda entries, size: entries[ENTRY].update(shape=[2**40, 2**40])),
        "safetensors",
    ),
    "a tensor of a negative shape": (header(lambda entries, size: entries[ENTRY].update(shape=[-1, 8])), "safetensors"),
    "a tensor of an unknown type": (header(lambda entries, size: entries[ENTRY].update(dtype="F8_E4M3")), ""),
    "an endless list": (
        lambda folder: (
            (folder / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}"),
            resign(folder),
        )[1],
        "safetensors",
    ),
    "much of nothing": (sparse, ""),
    # the graph
    "a graph of fewer classes": (
        ending("probabilities", node("Slice", ["former", "k0", "k2", "k1"], ["probabilities"]), k0=[0], k1=[1], k2=[2]),
        "probabilities",
    ),
    "a graph of fewer rows": (
        ending("probabilities", node("Slice", ["former", "k0", "k1", "k0"], ["probabilities"]), k0=[0], k1=[1]),
        "probabilities",
    ),
    "a graph of no axis": (
        ending("probabilities", node("ReduceSum", ["former"], ["probabilities"], keepdims=0)),
        "probabilities",
    ),
    "a graph of more axes": (
        ending("probabilities", node("Unsqueeze", ["former", "k0"], ["probabilities"]), k0=[0]),
        "probabilities",
    ),
    "a graph of NaN": (
        ending(
            "probabilities",
            node("Div", ["former", "k0"], ["half"]),
            node("Sub", ["half", "half"], ["probabilities"]),
            k0=np.float32(0),
        ),
        "",
    ),
    "a graph of negative probabilities": (
        ending("probabilities", node("Neg", ["former"], ["probabilities"])),
        "probabilities",
    ),
    "a graph of large probabilities": (
        ending("probabilities", node("Exp", ["former"], ["probabilities"])),
        "probabilities",
    ),
    "a graph of other weights of modalities": (
        ending("modality_weights", node("Concat", ["former", "former"], ["modality_weights"], axis=1)),
        "modality_weights",
    ),
    "a graph without an output": (
        graph(
            lambda model: model.graph.output.remove(next(o for o in model.graph.output if o.name == "probabilities"))
        ),
        "graph",
    ),
    "a graph with another input": (graph(lambda model: setattr(model.graph.input[0], "name", "z")), ""),
    "a graph that reads a file": (
        graph(lambda model: setattr(model.graph.initializer[0].external_data[0], "value", "/etc/passwd")),
        "expected {'location'",
    ),
    "a graph that repeats for ever": (graph(lambda model: setattr(model.graph.node[0], "op_type", "Loop")), "Loop"),
    "a random graph": (
        graph(lambda model: setattr(model.graph.node[0], "op_type", "RandomNormalLike")),
        "RandomNormalLike",
    ),
    "a graph of everything": (
        ending(
            "probabilities",
            node("ConstantOfShape", ["k0"], ["ones"]),
            node("Add", ["former", "ones"], ["probabilities"]),
            k0=[2**20, 2**20],
        ),
        "ConstantOfShape",
    ),
    # the text encoder
    "an encoder of another model": (other_encoder(FeatureSpec("tiny", "text", WIDTH, sha256="b" * 64)), "tiny"),
    "an encoder of another width": (other_encoder(FeatureSpec("tiny", "text", WIDTH + 2, sha256="a" * 64)), "tiny"),
    "an encoder of another name": (other_encoder(FeatureSpec("large", "text", WIDTH, sha256="a" * 64)), "tiny"),
    "embeddings that are NaN": (
        arrays(
            "text/tiny/weights.safetensors", lambda held: held.update(embeddings=held["embeddings"] * np.float32("nan"))
        ),
        "non-finite",
    ),
    "too few embeddings": (
        arrays("text/tiny/weights.safetensors", lambda held: held.update(embeddings=held["embeddings"][:5])),
        "embeddings",
    ),
    "an encoder that says no": (instead("text/tiny/encoder.json", b"{}"), "encoder.json"),
    "an encoder with a huge limit": (
        instead("text/tiny/encoder.json", lambda content: content.replace(b'"limit": 16', b'"limit": 99999999999')),
        "limit",
    ),
    "a tokenizer that is none": (instead("text/tiny/tokenizer.json", b"{}"), "tokenizer.json"),
    "a graph of the encoder that gives less": (
        graph(lambda model: renamed(model, "rows", [node("ReduceSum", ["former"], ["rows"])]), "text/tiny/graph.onnx"),
        "its graph gives",
    ),
    # ridge regression
    "ridge of another width": (arrays("ridge.safetensors", lambda held: held.update({"text.AtA": np.eye(3)})), "ridge"),
    "ridge that is NaN": (
        arrays("ridge.safetensors", lambda held: held.update({"text.AtY": held["text.AtY"] * np.nan})),
        "ridge",
    ),
    "ridge of other classes": (
        arrays("ridge.safetensors", lambda held: held.update({"text.AtY": held["text.AtY"][:, :2]})),
        "ridge",
    ),
    "ridge of nobody": (arrays("ridge.safetensors", lambda held: held.pop("text.AtA")), "ridge"),
    "ridge of other numbers": (
        arrays("ridge.safetensors", lambda held: held.update({"text.AtA": held["text.AtA"].astype(np.float32)})),
        "ridge",
    ),
    "a negative count": (
        arrays("ridge.safetensors", lambda held: held.update({"text.count": np.array([-1])})),
        "ridge",
    ),
}

CHILD = """
import contextlib, io, json, sys, traceback
from pathlib import Path
from broadmamba.bundle.folder import Bundle
from broadmamba.cli.main import run
from broadmamba.errors import CheckpointError
out = Path(sys.argv.pop(1))
folders = sys.argv[1:]
for folder in folders:
    before = {path: path.lstat().st_mtime_ns for path in Path(folder).parent.rglob("*")}
    sys.argv = ["broadmamba", "predict", str(out / "talk.csv"), "--model", folder, "--out", str(out / "labelled")]
    told, code = io.StringIO(), 0
    try:
        with contextlib.redirect_stderr(told):
            run()
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:
        code, told = "traceback", io.StringIO(traceback.format_exc()[-1500:])
    if code == 0:
        try:
            Bundle.load(folder).ridge()
        except CheckpointError as error:
            code, told = 2, io.StringIO(f"broadmamba: {error}\\n")
    same = before == {path: path.lstat().st_mtime_ns for path in Path(folder).parent.rglob("*")}
    memory = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps([code, told.getvalue(), same, int(memory.split()[1]) >> 10]), flush=True)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bundle")
    return write_bundle(place / "model", write_encoder(place / "encoder"))


@dataclass(frozen=True)
class Outcome:
    """How `predict` with a bundle ended.

    Attributes:
        code: exit code.
        told: on the standard error.
        same: whether the folder is as it was.
        memory: MiB, the most so far.
    """

    code: int | str
    told: str
    same: bool
    memory: int


@pytest.fixture(scope="module")
def outcomes(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Of each attack, one after the other in one process."""
    folders = []
    for number, (attack, _) in enumerate([(lambda folder: None, ""), *ATTACKS.values()]):
        folder = tmp_path_factory.mktemp(f"attack{number}") / "model"
        shutil.copytree(bundle, folder)
        attack(folder)
        folders.append(str(folder))
    place = tmp_path_factory.mktemp("out")
    (place / "talk.csv").write_text("speaker,text\nAnn,w3 w4\nBen,w5 what\n")
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(place), *folders], capture_output=True, timeout=300, check=False
    )
    found = [Outcome(*json.loads(line)) for line in ended.stdout.splitlines() if line.startswith(b"[")]
    assert len(found) == len(folders), (found[-1:], ended.stderr.decode()[-3000:])
    return dict(zip(["whole", *ATTACKS], found, strict=True))


def test_the_bundle_that_is_attacked_labels(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["whole"].code == 0, outcomes["whole"].told


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_in_one_sentence(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.code == 2, outcome.told
    assert outcome.told.startswith("broadmamba: ") and outcome.told.endswith("\n")
    assert outcome.told.count("\n") == 1
    assert outcome.told.count("damaged or of another version") <= 1
    assert len(outcome.told) < 1000
    assert ATTACKS[name][1] in outcome.told
    assert outcome.same
    assert outcome.memory < 300
