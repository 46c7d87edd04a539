"""The graph in ONNX Runtime against the network in torch, for every setting, length and subset of modalities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.bundle.chunks import chunk_matrices, chunk_shapes, layer_names
from broadmamba.bundle.folder import Bundle
from broadmamba.bundle.layout import CHUNK, conversation_layout, own_turns_layout
from broadmamba.data.conversation import LabelSet
from broadmamba.data.normalise import Normaliser
from broadmamba.data.rows import Rows
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.evaluation.scores import Scores
from broadmamba.model.config import CHOICES, BroadMambaConfig
from broadmamba.model.network import BroadMamba
from broadmamba.model.packing import Packing, SpeakerTurns
from broadmamba.runtime import open_runtime
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.config import preset, presets

CLASSES = 5
WIDTHS = {"text": 24, "audio": 10, "video": 12}
LENGTHS = (1, 2, 40, 130, 400, 2000)


def bundle_of(config: BroadMambaConfig, folder: Path, decay: float | None = None) -> Bundle:
    """An untrained network as a bundle; its states may be made to decay slowly."""
    torch.manual_seed(3)
    model = BroadMamba(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("log_decay") and decay is not None:
                parameter.fill_(decay)
            elif "sequence" not in name:
                parameter.add_(0.02 * torch.randn_like(parameter))
    specs = {m: (FeatureSpec(f"tiny-{m}", m, width),) for m, width in config.widths.items()}
    normalisers = {m: Normaliser(np.zeros(w, np.float32), np.ones(w, np.float32)) for m, w in config.widths.items()}
    labels = LabelSet([f"label {number}" for number in range(config.classes)])
    Checkpoint("broadmamba", model, labels, specs, normalisers).save(folder)
    return Bundle.load(folder)


def rows_of(widths: dict[str, int], lengths: tuple[int, ...], seed: int = 0, speakers: int = 3) -> Rows:
    """Random rows, in which a fifth of the modalities is missing."""
    random = np.random.default_rng(seed)
    U = sum(lengths)
    present = {m: random.random(U) < 0.8 for m in widths}
    return Rows(
        lengths=lengths,
        features={m: random.standard_normal((U, w), np.float32) * present[m][:, None] for m, w in widths.items()},
        present=present,
        speakers=random.integers(-1, speakers, U),
    )


def both(bundle: Bundle, rows: Rows) -> tuple[Scores, Scores]:
    return tuple(open_runtime(bundle, name).scores(rows) for name in ("onnx", "torch"))  # type: ignore[return-value]


def assert_same(bundle: Bundle, rows: Rows, tolerance: float = 1e-4) -> None:
    onnx_scores, torch_scores = both(bundle, rows)
    assert np.isfinite(onnx_scores.probabilities).all()
    assert np.abs(onnx_scores.probabilities - torch_scores.probabilities).max() < tolerance
    assert np.abs(onnx_scores.modality_weights - torch_scores.modality_weights).max() < tolerance
    assert np.array_equal(onnx_scores.present, torch_scores.present)


VARIANTS: list[dict[str, Any]] = [
    *({"fusion": fusion} for fusion in CHOICES["fusion"]),
    *({"ssm": ssm, "own_turns": own} for ssm in CHOICES["ssm"] for own in (False, True)),
    {"discretisation": "euler"},
    {"targets": "reconstruct"},
    {"kernel_size": 3},
    {"kernel_size": 5, "own_turns": True},
    {"position": False},
    {"broad": False},
    {"random_nodes": True},
    {"speakers": 2},
    {"d_model": 15, "d_state": 2},
    {"depth": 3, "residual": True, "layer_norm": True},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("modalities", ["text", "text audio", "text audio video"])
def test_every_setting_gives_the_same_in_both(variant: dict[str, Any], modalities: str, tmp_path: Path) -> None:
    widths = {m: WIDTHS[m] for m in modalities.split()}
    chosen = {"d_model": 16, "d_state": 8, **variant}
    bundle = bundle_of(BroadMambaConfig(widths=widths, classes=CLASSES, **chosen), tmp_path)
    for lengths in ((1,), (5, 1, 17), (CHUNK, 2), (CHUNK + 1, 3, 130)):
        assert_same(bundle, rows_of(widths, lengths), 1e-5)


@pytest.fixture(scope="module", params=["text", "audio", "text audio", "text audio video"])
def slow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, dict[str, int]]:
    """A network of the usual size whose states hardly decay."""
    widths = {m: WIDTHS[m] for m in request.param.split()}
    config = BroadMambaConfig(widths=widths, classes=CLASSES, own_turns=True)
    return bundle_of(config, tmp_path_factory.mktemp("slow"), decay=-9.0), widths


@pytest.mark.parametrize("conversations", [1, 3])
@pytest.mark.parametrize("length", LENGTHS)
def test_states_that_decay_slowly_give_the_same_at_every_length(
    slow: tuple[Bundle, dict[str, int]], length: int, conversations: int
) -> None:
    bundle, widths = slow
    assert_same(bundle, rows_of(widths, (length,) * conversations, speakers=1))


@pytest.mark.parametrize("name", presets())
def test_every_preset_gives_the_same_in_both(name: str, tmp_path: Path) -> None:
    chosen = preset(name)
    modalities = list(chosen.features) or ["text", "audio", "video"]
    widths = {m: WIDTHS[m] for m in modalities}
    config = chosen.model_config(widths, CLASSES)
    assert isinstance(config, BroadMambaConfig)
    for part, decay in (("fresh", None), ("slow", -9.0)):
        bundle = bundle_of(config, tmp_path / part, decay)
        for lengths in ((1,), (2, 2, 2), (40,) * 3, (130,), (400,)):
            assert_same(bundle, rows_of(widths, lengths))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    config = BroadMambaConfig(widths=WIDTHS, classes=CLASSES, d_model=16, d_state=8, own_turns=True)
    return bundle_of(config, tmp_path_factory.mktemp("three"))


@pytest.mark.parametrize("gone", [("text",), ("audio", "video"), ("text", "audio")])
def test_modalities_that_are_not_given_drop_out_in_both(three: Bundle, gone: tuple[str, ...]) -> None:
    rows = rows_of(WIDTHS, (4, 9))
    some = replace(
        rows,
        features={m: x for m, x in rows.features.items() if m not in gone},
        present={m: x for m, x in rows.present.items() if m not in gone},
    )
    assert_same(three, some, 1e-5)
    blank = replace(rows, present={m: x & (m not in gone) for m, x in rows.present.items()})
    found, expected = both(three, some)[0], both(three, blank)[0]
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert not found.present[:, [list(WIDTHS).index(m) for m in gone]].any()


@given(lengths=st.lists(st.integers(1, 150), min_size=1, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_conversations_do_not_depend_on_their_company(three: Bundle, lengths: list[int], seed: int) -> None:
    rows = rows_of(WIDTHS, tuple(lengths), seed)
    runtime = open_runtime(three)
    together = runtime.scores(rows)
    starts = np.cumsum([0, *lengths])
    for i, length in enumerate(lengths):
        here = slice(starts[i], starts[i + 1])
        alone = Rows(
            (length,),
            {m: x[here] for m, x in rows.features.items()},
            {m: x[here] for m, x in rows.present.items()},
            rows.speakers[here],
        )
        np.testing.assert_allclose(runtime.scores(alone).probabilities, together.probabilities[here], atol=1e-5)


@given(lengths=st.lists(st.integers(1, 140), min_size=1, max_size=5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_layouts_are_those_of_the_network(lengths: list[int], data: st.DataObject) -> None:
    U = sum(lengths)
    speakers = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=U, max_size=U)))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    packed = torch.arange(1, U + 1)[:, None]
    packing = Packing(mask)
    for layout, expected in (
        (conversation_layout(lengths), packing.pad(packed)),
        (own_turns_layout(lengths, speakers), SpeakerTurns(packing, torch.from_numpy(speakers)).split(packed)),
    ):
        R, P = layout.index.shape
        assert P <= CHUNK or P % CHUNK == 0
        values = np.append(np.arange(1, U + 1), 0)[layout.index]
        assert np.array_equal(values.flatten()[layout.places], np.arange(1, U + 1))
        found = {tuple(row[row > 0]) for row in values}
        assert found == {tuple(row[row > 0].tolist()) for row in expected[..., 0]}
        assert len(expected) == R


def test_the_graph_is_valid_for_anybody(three: Bundle) -> None:
    model = onnx.load_from_string(three.graph())
    weights = dict(three.weights)
    for layer in layer_names(weights):
        made = chunk_matrices(weights, layer, "zoh")
        assert {name: values.shape for name, values in made.items()} == chunk_shapes(16, 8)
        weights |= {f"{layer}.{name}": values for name, values in made.items()}
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            values = weights[tensor.name]
            assert list(tensor.dims) == list(values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(values), tensor.name))
    onnx.checker.check_model(model, full_check=True)


def test_unknown_runtimes_and_devices_are_refused(three: Bundle) -> None:
    with pytest.raises(InputError, match="unknown runtime 'onxx'; known are onnx, torch"):
        open_runtime(three, "onxx")
    for runtime in ("onnx", "torch"):
        with pytest.raises(InputError, match="device 'gpu': expected one of auto, cpu, cuda"):
            open_runtime(three, runtime, "gpu")
