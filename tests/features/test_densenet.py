"""DenseNet against a slow reference and the published numbers, and reading the user's weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from face_package import sample
from safetensors.torch import save_file
from torch import Tensor

from broadmamba.errors import InputError
from broadmamba.features.video import load_video
from broadmamba.features.video.densenet import DenseNet
from broadmamba.features.video.densenet_extractor import read_state
from broadmamba.features.video.detector import FaceDetector
from broadmamba.features.video.face_extractor import chosen_crops
from broadmamba.features.video.faces import Face, crop

TINY = {"growth": 4, "layers": (2, 3), "initial": 6}


def randomised(network: DenseNet, seed: int = 0) -> DenseNet:
    """With other statistics in the batch norms than zero and one."""
    generator = torch.Generator().manual_seed(seed)
    for name, values in network.state_dict().items():
        if "running" in name or ("norm" in name and values.dtype == torch.float32):
            values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> DenseNet:
    torch.manual_seed(0)
    return randomised(DenseNet())


@pytest.fixture(scope="module")
def state(network: DenseNet) -> dict[str, Tensor]:
    """As torchvision saves it, of a net for eight classes."""
    return {**network.state_dict(), "classifier.weight": torch.zeros(8, 1024), "classifier.bias": torch.zeros(8)}


def test_its_size_is_the_published_one(network: DenseNet) -> None:
    assert network.width == 1024
    classifier = 1024 * 1000 + 1000
    assert sum(values.numel() for values in network.parameters()) + classifier == 7_978_856
    assert len([name for name, _ in network.named_parameters() if "conv" in name]) == 120  # and the classifier's
    assert DenseNet(growth=12, layers=(16, 16, 16), initial=24).width == 342  # the width of the field's feature files


def test_its_names_are_those_of_torchvision(network: DenseNet) -> None:
    names = list(network.state_dict())
    assert len(names) == 725  # 727 with the classifier's
    assert names[:2] == ["features.conv0.weight", "features.norm0.weight"]
    shapes = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    assert shapes["features.conv0.weight"] == (64, 3, 7, 7)
    assert shapes["features.denseblock1.denselayer1.norm1.weight"] == (64,)
    assert shapes["features.denseblock1.denselayer1.conv1.weight"] == (128, 64, 1, 1)
    assert shapes["features.denseblock3.denselayer24.conv2.weight"] == (32, 128, 3, 3)
    assert shapes["features.transition2.conv.weight"] == (256, 512, 1, 1)
    assert shapes["features.transition3.norm.running_var"] == (1024,)
    assert shapes["features.norm5.num_batches_tracked"] == ()


def reference(picture: np.ndarray, state: dict[str, np.ndarray], layers: tuple[int, ...]) -> np.ndarray:
    """The mean of the last layer for a picture (3, height, width), in float64 and with plain loops over filters."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        weight, bias, mean, variance = (
            state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def conv(x: np.ndarray, name: str, stride: int = 1, padding: int = 0) -> np.ndarray:
        filters = state[f"{name}.weight"]
        x, size = np.pad(x, ((0, 0), *((padding, padding),) * 2)), filters.shape[-1]
        height, width = ((length - size) // stride + 1 for length in x.shape[1:])
        out = np.empty((len(filters), height, width))
        for row in range(height):
            for column in range(width):
                window = x[:, stride * row : stride * row + size, stride * column : stride * column + size]
                out[:, row, column] = (filters * window).sum(axis=(1, 2, 3))
        return out

    def pool(x: np.ndarray, size: int, padding: int, how: Callable[..., Any]) -> np.ndarray:
        x = np.pad(x, ((0, 0), *((padding, padding),) * 2), constant_values=-np.inf)
        height, width = ((length - size) // 2 + 1 for length in x.shape[1:])
        rows = [
            [how(x[:, 2 * r : 2 * r + size, 2 * c : 2 * c + size], axis=(1, 2)) for c in range(width)]
            for r in range(height)
        ]
        return np.array(rows).transpose(2, 0, 1)

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    x = relu(norm(conv(picture, "features.conv0", stride=2, padding=3), "features.norm0"))
    x = pool(x, 3, 1, np.max)
    for block, count in enumerate(layers, start=1):
        for layer in range(1, count + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            new = conv(relu(norm(x, f"{name}.norm1")), f"{name}.conv1")
            x = np.concatenate([x, conv(relu(norm(new, f"{name}.norm2")), f"{name}.conv2", padding=1)])
        if block < len(layers):
            name = f"features.transition{block}"
            x = pool(conv(relu(norm(x, f"{name}.norm")), f"{name}.conv"), 2, 0, np.mean)
    return relu(norm(x, f"features.norm{len(layers) + 1}")).mean(axis=(1, 2))


def test_it_equals_a_slow_reference() -> None:
    torch.manual_seed(1)
    tiny = randomised(DenseNet(**TINY))
    pictures = torch.randn(2, 3, 26, 34)
    with torch.inference_mode():
        found = tiny(pictures).numpy()
    values = {name: tensor.double().numpy() for name, tensor in tiny.state_dict().items()}
    for number, picture in enumerate(pictures.double().numpy()):
        np.testing.assert_allclose(found[number], reference(picture, values, (2, 3)), rtol=1e-4, atol=1e-5)


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.replace("norm1", "norm.1").replace("norm2", "norm.2").replace("conv1", "conv.1").replace("conv2", "conv.2")
        if "denselayer" in name
        else name: values
        for name, values in state.items()
    }


@pytest.mark.parametrize("kind", ["pytorch", "safetensors", "old names", "data parallel", "half", "no classifier"])
def test_the_users_file(kind: str, state: dict[str, Tensor], network: DenseNet, tmp_path: Path) -> None:
    path = tmp_path / ("net.safetensors" if kind == "safetensors" else "net.pth")
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "old names":
        torch.save(old_names(state), path)
    elif kind == "data parallel":
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": values for name, values in state.items()}}, path)
    elif kind == "half":
        torch.save({name: v.half() if v.is_floating_point() else v for name, v in state.items()}, path)
    else:
        torch.save({n: v for n, v in state.items() if kind != "no classifier" or "classifier" not in n}, path)
    loaded = load_video("densenet121", path)
    assert loaded.spec.width == 1024
    assert loaded.spec.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    face = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    picture = torch.from_numpy(((face[0] / 255 - mean) / deviation).transpose(2, 0, 1)[None]).float()
    with torch.inference_mode():
        expected = network(picture).numpy()
    np.testing.assert_allclose(loaded.numbers(face), expected, rtol=0.05 if kind == "half" else 1e-3, atol=1e-3)


class Evil:
    """What a pickle must not be able to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("evil"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found none"),
        ("folder", "found a folder"),
        (b"", "cannot be read"),
        (b"weights" * 99, "cannot be read"),
        ([1, 2], "expected a state dict"),
        ({"features.conv0.weight": 3}, "expected a state dict"),
        ({"features.conv0.weight": torch.zeros(3)}, "expected the weights of a DenseNet-121, found 60. names"),
        (Evil(), "cannot be read"),
    ],
)
def test_other_files_are_refused(content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "net.pth", tmp_path / "net.safetensors"):
        if content == "folder":
            path.mkdir()
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None and path.suffix == ".pth":
            torch.save(content, path)
        elif content is not None:
            continue
        with pytest.raises(InputError, match=message) as refusal:
            load_video("densenet121", path)
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("damage", "message"), [("shape", r"has the shape \(64,\)"), ("nan", "not finite"), ("169", "too many")]
)
def test_weights_that_do_not_fit(
    damage: str, message: str, state: dict[str, Tensor], network: DenseNet, tmp_path: Path
) -> None:
    damaged = dict(state)
    if damage == "shape":
        damaged["features.norm5.bias"] = torch.zeros(64)
    elif damage == "nan":
        damaged["features.norm5.bias"] = torch.full((1024,), torch.nan)
    else:
        damaged["features.denseblock3.denselayer25.norm1.weight"] = torch.zeros(9)
    torch.save(damaged, tmp_path / "net.pth")
    with pytest.raises(InputError, match=message):
        read_state(tmp_path / "net.pth", network)


def test_the_row_of_a_span_is_the_mean_over_its_pictures(state: dict[str, Tensor], tmp_path: Path) -> None:
    from broadmamba.media.recording import Frame

    torch.save(state, tmp_path / "net.pth")
    extractor = load_video("densenet121", tmp_path / "net.pth")
    pictures = [sample(3)[20:300, 260 + shift : 560 + shift] for shift in (0, 20)]

    class Footage:
        duration, path = 0.8, Path("footage")

        def frames(self, times: Any) -> Any:
            yield from (Frame(time, picture) for time, picture in zip(times, pictures, strict=False))

    row = next(iter(extractor.extract(Footage(), [(0.0, 0.8)])))  # type: ignore[arg-type]
    largest = [max(FaceDetector().detect(picture), key=lambda face: face.size) for picture in pictures]
    crops = np.stack([crop(picture, face, 224) for picture, face in zip(pictures, largest, strict=True)])
    np.testing.assert_allclose(row, extractor.numbers(crops).mean(axis=0), rtol=1e-4, atol=1e-5)


def test_without_torch_the_message_names_the_extra(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from broadmamba.features.video import load_video
load_video("densenet121", Path("net.pth"))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    expected = "MissingExtraError: the video feature densenet121 needs torch: pip install 'broadmamba[train]'"
    assert ended.stderr.splitlines()[-1].endswith(expected)


def test_nothing_is_chosen_where_nothing_was_seen() -> None:
    assert chosen_crops([]) == []
    assert chosen_crops([[], []]) == []
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    assert chosen_crops([[], [(Face(0, 0, 4, 4), picture)]])[0] is picture
