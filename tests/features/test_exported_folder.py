"""The folder of an exported text encoder: read without torch, and refused in a sentence where it is damaged."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import load_file, save_file
from tiny_encoders import LIMIT, WORDS, build_encoder
from tokenizers import Tokenizer

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.errors import IncompatibleError, InputError
from broadmamba.export.text_encoder import export_text_encoder
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.exported import ExportedTextEncoder
from broadmamba.features.text.int8_rows import to_int8_rows
from broadmamba.features.text.tokenizer_file import TokenizerFile

TABLE = "encoder.embeddings.word_embeddings.weight"
TALK = Conversation("c", tuple(Utterance(text, text) for text in ("w1 w2", "w3", "w3 w4")))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny encoder in either precision; both are not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    encoder = TextEncoder.load(str(build_encoder("bert", folder / "bert", layers=1)))
    for precision in ("int8", "float32"):
        export_text_encoder(encoder, folder / precision, precision)
    return lambda precision: folder / precision


@pytest.fixture
def folder(exported: Callable[[str], Path], tmp_path: Path) -> Path:
    """One to damage."""
    return shutil.copytree(exported("int8"), tmp_path / "damaged")


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        ExportedTextEncoder.load(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


WITHOUT_TORCH = """
import sys
from importlib.abc import MetaPathFinder

class Wall(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "onnx", "huggingface_hub"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Wall())
import socket
socket.socket = None
import numpy as np
from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.features.text.exported import ExportedTextEncoder

talk = Conversation("c", tuple(Utterance(str(i), text) for i, text in enumerate(sys.argv[3:])))
np.save(sys.argv[2], ExportedTextEncoder.load(sys.argv[1]).encode_conversation(talk))
print(*(name for name in sys.modules if name.startswith(("broadmamba.model", "broadmamba.training", "torch"))))
"""


def test_it_runs_where_there_is_no_torch(exported: Callable[[str], Path], tmp_path: Path) -> None:
    texts = ["w1 w2", "", "w3 unheard", " ".join(WORDS)]
    command = [sys.executable, "-c", WITHOUT_TORCH, str(exported("float32")), str(tmp_path / "rows.npy"), *texts]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
    encoder = TextEncoder.load(str(exported("float32").parent / "bert"))
    np.testing.assert_allclose(np.load(tmp_path / "rows.npy"), encoder.encode(texts), atol=1e-5)


def test_thousands_of_turns(exported: Callable[[str], Path]) -> None:
    turns = [f"w{i % 40} w{i % 7}" * (i % 3) for i in range(5000)]
    talk = Conversation("c", tuple(Utterance(str(i), turn) for i, turn in enumerate(turns)))
    rows = ExportedTextEncoder.load(exported("float32")).encode_conversation(talk)
    encoder = TextEncoder.load(str(exported("float32").parent / "bert"))
    np.testing.assert_allclose(rows, encoder.encode_conversation(talk), atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_without_numbers_are_missing_and_told(
    exported: Callable[[str], Path], tmp_path: Path, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(exported("float32"), tmp_path / "spoilt")
    whole = ExportedTextEncoder.load(folder).encode_conversation(TALK)

    def spoil(words: slice | int) -> None:
        weights = load_file(folder / "weights.safetensors")
        weights[TABLE][words] = value
        save_file(weights, folder / "weights.safetensors")

    spoil(4 + 3)
    some = ExportedTextEncoder.load(folder).encode_conversation(TALK)
    assert np.isnan(some[1:]).all()  # w3
    np.testing.assert_allclose(some[0], whole[0], atol=1e-5)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.name.startswith("broadmamba.")
    assert "the text encoder bert" in record.getMessage()
    assert "gives non-finite values for 2 of 3 utterances" in record.getMessage()
    spoil(slice(None))
    with pytest.raises(InputError, match="gives non-finite values for 3 of 3 utterances"):
        ExportedTextEncoder.load(folder).encode_conversation(TALK)


def edit_json(path: Path, keys: Sequence[str], value: Any) -> None:
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def test_the_encoder_of_a_spec(folder: Path) -> None:
    spec = ExportedTextEncoder.load(folder).spec
    assert ExportedTextEncoder.for_spec(spec, folder).spec == spec
    for other in (replace(spec, sha256="0" * 64), replace(spec, pooling="max"), replace(spec, name="another")):
        with pytest.raises(IncompatibleError) as caught:
            ExportedTextEncoder.for_spec(other, folder)
        message = str(caught.value)
        assert str(folder) in message and "\n" not in message
        assert f"expected {other.describe()} pooled by {other.pooling}" in message


def test_padding_and_truncation_of_the_file_are_left_alone(folder: Path, exported: Callable[[str], Path]) -> None:
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 1}
    fill = {"strategy": {"Fixed": 10**9}, "direction": "Left", "pad_id": 3, "pad_type_id": 0, "pad_token": "x"}
    edit_json(folder / "tokenizer.json", ["truncation"], cut)
    edit_json(folder / "tokenizer.json", ["padding"], {**fill, "pad_to_multiple_of": None})
    texts = ["w1 w2 w3 w4 w5", "", "w6"]
    expected = ExportedTextEncoder.load(exported("int8")).encode(texts)
    np.testing.assert_array_equal(ExportedTextEncoder.load(folder).encode(texts), expected)


@pytest.mark.parametrize("side", ["Right", "Left"])
def test_texts_are_cut_as_the_tokenizer_itself_would_cut_them(folder: Path, side: str) -> None:
    file = folder / "tokenizer.json"
    edit_json(file, ["truncation"], {"direction": side, "max_length": 9, "strategy": "LongestFirst", "stride": 0})
    texts = ["w1 w2 w3 w4 w5", "", "w6", "w1 w2 w3"]
    itself = Tokenizer.from_file(str(file))
    itself.enable_truncation(3, direction=side.lower())
    expected = [encoding.ids for encoding in itself.encode_batch(texts, add_special_tokens=False)]
    found = TokenizerFile.load(file, [1], [2], 0)(texts, add_special_tokens=False, max_length=3)
    assert found["input_ids"] == expected
    assert [len(ids) for ids in expected] == [3, 0, 1, 3]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        *((["limit"], value, "limit: expected a whole number from 3 to 65536, found")
          for value in (2, -1, 10**30, 1.5, True, "16", None, float("nan"), float("inf"))),
        *((["tokens", "padding"], value, "padding: expected a whole number from 0") for value in (-1, 10**30, None)),
        *((["tokens", "before"], [value], "before: expected a whole number from 0") for value in (-1, 2**40, "a")),
        (["tokens", "before"], [0] * 100_000, "limit: expected a whole number from 100002 to 65536, found 16"),
        (["tokens", "after"], "ab", "expected tokens with lists"),
        (["tokens"], None, "expected tokens with lists"),
        (["tokens", "padding"], 44, "ids of its tokenizer up to 44"),
        *((["feature", "width"], value, "expected a width from 1 to 100000") for value in (0, -1, 10**12)),
        (["feature", "width"], 13, r"its graph gives float32 \(4, 12\), expected float32 \(4, 13\)"),
        (["feature", "modality"], "audio", "expected an encoder of texts"),
        (["feature", "pooling"], "tokens", "expected an encoder of texts"),
        (["feature", "name"], "../x", "a feature's name has only letters"),
        (["feature"], None, "a feature spec has"),
        (["reading"], {"context": 65}, "expected 0 to 64 turns"),
        (["precision"], ["int8"], "precision: expected int8 or float32"),
        (["attribution"], {}, "attribution: expected a sentence"),
        (["version"], 2, "expected format 'broadmamba-exported-text-encoder' version 1"),
        (["format"], "broadmamba-text-encoder", "expected format 'broadmamba-exported-text-encoder' version 1"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(folder: Path, keys: Sequence[str], value: Any, message: str) -> None:
    edit_json(folder / "encoder.json", keys, value)
    assert re.search(message, refused(folder))


def test_a_limit_beyond_the_table_of_positions_is_told(folder: Path) -> None:
    edit_json(folder / "encoder.json", ["limit"], LIMIT + 1)
    encoder = ExportedTextEncoder.load(folder)
    assert np.isfinite(encoder.encode(["w1 " * (LIMIT - 2)])).all()
    with pytest.raises(InputError, match="damaged cannot be run"):
        encoder.encode(["w1 " * LIMIT])


Weights = dict[str, np.ndarray]


def shorter(weights: Weights) -> None:
    weights[f"{TABLE}.int8"] = weights[f"{TABLE}.int8"][:20].copy()


def whole_numbers(weights: Weights) -> None:
    weights[f"{TABLE}.scales"] = weights[f"{TABLE}.scales"].astype(np.int64)


def doubles(weights: Weights) -> None:
    weights[f"{TABLE}.scales"] = weights[f"{TABLE}.scales"].astype(np.float64)


def turned(weights: Weights) -> None:
    weights[f"{TABLE}.int8"] = np.ascontiguousarray(weights[f"{TABLE}.int8"].T)


def no_number(weights: Weights) -> None:
    weights[f"{TABLE}.scales"][3] = np.nan


def without(weights: Weights) -> None:
    del weights[f"{TABLE}.scales"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorter, "as int8 (44, 12), found int8 (20, 12)"),
        (whole_numbers, "as float32 (44, 1), found int64 (44, 1)"),
        (doubles, "is of float64, expected float32, int8 or int64"),
        (turned, "as int8 (44, 12), found int8 (12, 44)"),
        (no_number, "has non-finite values, expected the scales of rows"),
        (without, "that is not there"),
    ],
)
def test_weights_that_do_not_fit(folder: Path, change: Callable[[Weights], None], message: str) -> None:
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")
    assert message in refused(folder)


def test_weights_that_overlap(folder: Path) -> None:
    content = (folder / "weights.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    first, second, *_ = (entry for name, entry in header.items() if name != "__metadata__")
    first["data_offsets"] = second["data_offsets"]
    changed = json.dumps(header).encode()
    (folder / "weights.safetensors").write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + length :])
    assert "expected a whole safetensors file" in refused(folder)


@pytest.mark.parametrize("name", ["encoder.json", "graph.onnx", "tokenizer.json", "weights.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"\x00junk", b"{}", b"[" * 100_000])
def test_files_that_are_missing_or_of_another_kind(folder: Path, name: str, content: bytes | None) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    refused(folder)


@pytest.mark.parametrize("name", ["graph.onnx", "encoder.json", "tokenizer.json"])
def test_files_that_are_too_large(folder: Path, name: str) -> None:
    with (folder / name).open("r+b") as file:
        file.truncate(2**28)  # a hole, which takes no room
    assert f"{name}: the file has 268435456 bytes, expected at most" in refused(folder)


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")
    assert "found a pipe" in refused(folder)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["model", "vocab", "w1"], 4_000_000_000, "ids of its tokenizer up to 4000000000"),
        (["model", "unk_token"], "nope", "its tokenizer is damaged"),
        (["model"], {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}, "found a damaged one"),
        (["model", "vocab"], {}, "its tokenizer is damaged"),
        (["normalizer"], {"type": "Replace", "pattern": {"Regex": "("}, "content": "x"}, "found a damaged one"),
    ],
)
def test_tokenizers_that_do_not_fit(folder: Path, keys: Sequence[str], value: Any, message: str) -> None:
    edit_json(folder / "tokenizer.json", keys, value)
    assert message in refused(folder)


@pytest.mark.parametrize("name", ["input_ids", "rows"])
def test_graphs_of_other_networks(folder: Path, name: str) -> None:
    model = onnx.load(folder / "graph.onnx", load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        value.name = value.name.replace(name, "other")
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["other" if it == name else it for it in names]
    (folder / "graph.onnx").write_bytes(model.SerializeToString())
    assert "expected input_ids, attention_mask, own_tokens, own_mask and rows" in refused(folder)


@given(
    matrix=arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.floats(-(2.0**100), 2.0**100, width=32),
    )
)
def test_rounding_is_off_by_half_a_step_of_its_row(matrix: np.ndarray) -> None:
    rows, scales = to_int8_rows(matrix)
    assert (rows.dtype, rows.shape, scales.dtype, scales.shape) == (np.int8, matrix.shape, np.float32, matrix.shape[:1])
    again = rows.astype(np.float64) * scales[:, None]
    assert (np.abs(again - matrix) <= 0.501 * scales[:, None]).all()
    largest = np.abs(matrix).max(axis=1)
    normal = largest > 1e-35  # below, steps are as small as numbers of 32 bits can be
    assert (np.abs(rows).max(axis=1)[normal] == 127).all()
    assert (rows[largest == 0] == 0).all()
