"""Folders that look like a text encoder: one that is whole is read, any other is refused in one sentence."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tiny_encoders import WORDS, build_encoder

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.errors import IncompatibleError, InputError, MissingExtraError
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.encoder_files import KNOWN_ENCODERS, load_encoder_files
from broadmamba.features.text.encoder_folder import EncoderFolder

Build = Callable[[str], Path]


@pytest.fixture
def folder(tiny_encoder: Build, tmp_path: Path) -> Path:
    """A tiny encoder that a test may change."""
    return Path(shutil.copytree(tiny_encoder("bert"), tmp_path / "encoder"))


def edit(file: Path, **changes: Any) -> None:
    """Change top-level values of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_weights(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    weights = dict(load_file(folder / "model.safetensors"))
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def refused(folder: Path, error: type[Exception] = InputError) -> str:
    """The one sentence with which a folder is refused, in no time and without much memory."""
    started = time.perf_counter()
    with pytest.raises(error) as caught:
        TextEncoder.load(str(folder))
    assert time.perf_counter() - started < 10
    message = str(caught.value)
    assert str(folder) in message and "\n" not in message
    return message


def change_vocabulary(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content))


def test_without_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    assert "found neither tokenizer.json nor a vocabulary" in refused(folder)
    # the settings alone make a tokenizer that knows its special tokens and nothing else
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    assert "special tokens and no words" in refused(folder)


def test_a_tokenizer_of_special_tokens_alone(folder: Path) -> None:
    change_vocabulary(folder, lambda it: it["model"].update(vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}))
    assert "special tokens and no words" in refused(folder)


def test_a_tokenizer_that_knows_none_of_its_own_words(folder: Path) -> None:
    change_vocabulary(
        folder, lambda it: it.update(normalizer={"type": "Replace", "pattern": {"String": "w"}, "content": "W"})
    )
    assert "turns 40 words of its own vocabulary, such as 'w0', into unknown tokens" in refused(folder)


def test_a_tokenizer_of_another_language_is_fine(folder: Path) -> None:
    words = ["привет", "мир", "да", "нет"]
    change_vocabulary(
        folder,
        lambda it: it["model"].update(
            vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, **{word: 4 + i for i, word in enumerate(words)}}
        ),
    )
    rows = TextEncoder.load(str(folder)).encode(["привет мир", "hello world", "x y"])
    np.testing.assert_allclose(rows[1], rows[2], atol=1e-6)
    assert np.abs(rows[0] - rows[1]).max() > 0.1


@pytest.mark.parametrize("id", [44, 10**9])
def test_a_tokenizer_with_more_ids_than_the_model_has_embeddings(folder: Path, id: int) -> None:
    change_vocabulary(folder, lambda it: it["model"]["vocab"].update({"more": id}))
    assert f"has ids up to {id}, the model has embeddings for 44 ids, from 0" in refused(folder)


def test_a_special_token_without_an_embedding(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", pad_token="<fill>")
    assert "has ids up to 44, the model has embeddings for 44 ids, from 0" in refused(folder)


def test_a_vocabulary_of_a_word_a_line(folder: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    edit(folder / "config.json", pad_token_id=0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]  # no [MASK], which transformers then adds beyond the model's
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    encoder = TextEncoder.load(str(folder))
    row = encoder.encode(["W3 w5"])[0]
    model = load_encoder_files(str(folder)).model
    with torch.no_grad():
        states = model(torch.tensor([[2, 7, 9, 3]])).last_hidden_state
    np.testing.assert_allclose(row, states[0].mean(0), atol=1e-5)


def test_a_tokenizer_without_padding_pads_nothing_into_a_row(folder: Path, tiny_encoder: Build) -> None:
    change_vocabulary(folder, lambda it: it.update(padding=None))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({key: value for key, value in settings.items() if key != "pad_token"})
    )
    found, whole = TextEncoder.load(str(folder)), TextEncoder.load(str(tiny_encoder("bert")))
    assert load_encoder_files(str(folder)).tokenizer.pad_token_id is None
    texts = ["w1", "w1 w2 w3 w4", "w9 w9"]
    np.testing.assert_allclose(found.encode(texts), whole.encode(texts), atol=1e-5)


@pytest.mark.parametrize("length", [None, 10**30, 1e30, 9, "9", -1, 2, [9]])
def test_the_tokenizers_own_limit(folder: Path, length: object) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("model_max_length", None)
    settings |= {} if length is None else {"model_max_length": length}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if length in (None, 10**30, 1e30, 9):
        encoder = TextEncoder.load(str(folder))
        assert encoder.limit == (9 if length == 9 else 16)
        assert np.isfinite(encoder.encode(["w1 " * 50])).all()
    else:
        refused(folder)


def test_a_sentencepiece_model_without_its_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(b"\x0a\x05words")
    monkeypatch.setattr("broadmamba.features.text.loading.importlib.util.find_spec", lambda name: None)
    assert "pip install sentencepiece" in refused(folder, MissingExtraError)


def test_a_tokenizer_class_that_would_need_code_from_elsewhere(folder: Path, tmp_path: Path) -> None:
    edit(folder / "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", None]})
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    TextEncoder.load(str(folder))  # tokenizer.json is all that is needed
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_architecture(folder: Path, tiny_encoder: Build) -> None:
    shutil.copy(tiny_encoder("mpnet") / "model.safetensors", folder)
    assert "the weights lack tensors of the model: 41, such as" in refused(folder)


def test_weights_of_another_size(folder: Path) -> None:
    edit_weights(folder, lambda it: it.update({"embeddings.word_embeddings.weight": np.ones((44, 11), np.float32)}))
    told = "tensors of another size than the model's: 1, such as 'embeddings.word_embeddings.weight'"
    assert told in refused(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.bin", "tf_model.h5"])
def test_other_formats_are_never_opened(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    assert "found no model.safetensors" in refused(folder)


@pytest.mark.parametrize("name", ["/dev/zero", "../encoder/model.safetensors", "inner", "absent.safetensors", "", "."])
def test_an_index_names_files_of_its_folder(folder: Path, name: str) -> None:
    (folder / "inner").mkdir()
    (folder / "inner.safetensors").mkdir()
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    for named in (name, "inner.safetensors"):
        listed = {"weight_map": {"a": "one.safetensors", "b": named}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(listed))
        refused(folder)


def test_a_missing_part_of_the_weights_is_named(tmp_path: Path) -> None:
    folder = build_encoder("bert", tmp_path / "parts", max_shard_size="8KB")
    gone = sorted(folder.glob("*.safetensors"))[1]
    gone.unlink()
    assert f"found no {gone.name}" in refused(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "nothing"])
def test_pipes_and_devices_are_not_opened(folder: Path, name: str, kind: str) -> None:
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero" if kind == "device" else "/no/such/file")
    refused(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
def test_enormous_files_are_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.truncate(2**30)
    assert "has 1073741824 bytes, expected at most" in refused(folder)


@pytest.mark.parametrize("depth", [300, 700, 990, 100_000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_nests_are_refused_or_ignored(folder: Path, name: str, depth: int) -> None:
    text = (folder / name).read_text().rstrip().removesuffix("}")
    (folder / name).write_text(text + ', "deep": ' + '{"a":' * depth + "1" + "}" * depth + "}")
    try:
        TextEncoder.load(str(folder))
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": -(10**30)},
        {"vocab_size": 10**12},
        {"hidden_size": 10**8},
        {"intermediate_size": 10**10},
        {"max_position_embeddings": 10**11},
        {"type_vocab_size": 10**11},
        {"hidden_size": 0},
        {"num_attention_heads": 0},
        {"hidden_size": "12"},
        {"is_encoder_decoder": True},
        {"model_type": "t5"},
        {"model_type": "vit"},
        {"model_type": 5},
        {"attn_implementation": "somebody/attention"},
        {"_attn_implementation": "flash_attention_2"},
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
    ],
)
def test_configurations_that_do_not_fit_the_weights(folder: Path, change: dict[str, Any]) -> None:
    edit(folder / "config.json", **change)
    refused(folder)


def test_an_adapter_is_no_encoder(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    assert "found an adapter" in refused(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_encoder_that_gives_no_numbers(folder: Path, value: float, caplog: pytest.LogCaptureFixture) -> None:
    talk = Conversation("c", (Utterance("a", "w1 w2"), Utterance("b", "w3"), Utterance("c", "w3 w4")))

    def spoil(weights: dict[str, np.ndarray], word: int | None) -> None:
        table = weights["embeddings.word_embeddings.weight"].copy()
        table[slice(None) if word is None else word] = value
        weights["embeddings.word_embeddings.weight"] = table

    whole = TextEncoder.load(str(folder)).encode_conversation(talk)
    edit_weights(folder, lambda it: spoil(it, 4 + 3))
    some = TextEncoder.load(str(folder)).encode_conversation(talk)
    assert np.isnan(some[1:]).all()  # w3
    np.testing.assert_allclose(some[0], whole[0], atol=1e-5)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.name.startswith("broadmamba.")
    assert "gives non-finite values for 2 of 3 utterances" in record.getMessage()
    edit_weights(folder, lambda it: spoil(it, None))
    with pytest.raises(InputError, match="gives non-finite values for 3 of 3 utterances"):
        TextEncoder.load(str(folder)).encode_conversation(talk)


def known_copy(tmp_path: Path) -> Path:
    """MiniLM's files under another name; the weights are not copied."""
    known = KNOWN_ENCODERS["minilm"].locate("minilm")
    copy = tmp_path / "mine"
    copy.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(known / name, copy)
    (copy / "model.safetensors").symlink_to(known / "model.safetensors")
    return copy


def test_a_copy_of_a_known_encoder_is_known(tmp_path: Path) -> None:
    copy = known_copy(tmp_path)
    edit(copy / "config.json", _name_or_path="elsewhere", transformers_version="9", torch_dtype="float16")
    edit(copy / "tokenizer_config.json", name_or_path="elsewhere")
    assert load_encoder_files(str(copy)).sha256 == KNOWN_ENCODERS["minilm"].sha256


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", {"layer_norm_eps": 0.1}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"num_attention_heads": 6}),
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("special_tokens_map.json", {"cls_token": "the"}),
    ],
)
def test_the_same_weights_under_other_settings_are_another_encoder(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    copy = known_copy(tmp_path)
    known = KNOWN_ENCODERS["minilm"].settings
    assert EncoderFolder.open(copy).settings_sha256() == known
    edit(copy / name, **changes)
    assert EncoderFolder.open(copy).settings_sha256() != known


def test_other_settings_make_other_numbers_and_another_feature(tmp_path: Path) -> None:
    copy = known_copy(tmp_path)
    edit(copy / "config.json", num_attention_heads=6)
    made, known = TextEncoder.load(str(copy)), TextEncoder.load("minilm")
    assert made.spec.sha256 != known.spec.sha256 == made.weights
    said = ["You are NOT coming with us, Anna."]
    assert np.abs(made.encode(said) - known.encode(said)).max() > 1e-3
    with pytest.raises(IncompatibleError, match="known by its weights alone"):
        TextEncoder.for_spec(known.spec, str(copy))


def test_every_file_of_the_tokenizer_counts(folder: Path) -> None:
    digests = {load_encoder_files(str(folder)).sha256}
    change_vocabulary(folder, lambda it: it["model"]["vocab"].update(w1=6, w2=5))
    digests.add(load_encoder_files(str(folder)).sha256)
    edit(folder / "tokenizer_config.json", model_max_length=8)
    digests.add(load_encoder_files(str(folder)).sha256)
    assert len(digests) == 3
    (folder / "README.md").write_text("no part of it")
    edit(folder / "config.json", hidden_dropout_prob=0.0, transformers_version="1")
    assert load_encoder_files(str(folder)).sha256 in digests
