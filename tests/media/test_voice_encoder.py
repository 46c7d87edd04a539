"""The voice encoder, held against PyTorch, a slow reference, and the package that its weights are of."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from spoken import speak
from transformers.audio_utils import mel_filter_bank

from broadmamba import networks
from broadmamba.errors import InputError
from broadmamba.export.voice import convert_voice, converted, voice_graph
from broadmamba.media.voice_encoder import MELS, WIDTH, VoiceEncoder, mel_filters
from broadmamba.sessions import Session

Weights = dict[str, NDArray[np.float32]]
GATES = "iofg"
"""The order in which ONNX keeps the gates of an LSTM; PyTorch has i, f, g, o."""


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    return VoiceEncoder()


@pytest.fixture(scope="module")
def shipped() -> Weights:
    return load_file(networks.NETWORKS / "voice.safetensors")


def original() -> Path:
    """Resemblyzer's weights, found without importing it, or skip the test."""
    found = importlib.util.find_spec("resemblyzer")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs the weights in the package Resemblyzer (pip install --no-deps resemblyzer)")
    return Path(found.submodule_search_locations[0]) / "pretrained.pt"


def sound(seconds: float) -> NDArray[np.float32]:
    """A tone that glides through noise, as loud as speech."""
    time = np.arange(round(seconds * 16000)) / 16000
    noise = np.random.default_rng(0).normal(0, 0.03, len(time))
    return (0.1 * np.sin(2 * np.pi * (200 + 300 * time) * time) + noise).astype(np.float32)


def torch_voices(state: dict[str, torch.Tensor], mels: torch.Tensor) -> NDArray[np.float32]:
    """What PyTorch's own layers make of windows `(windows, 160, 40)`."""
    lstm, linear = torch.nn.LSTM(MELS, WIDTH, num_layers=3, batch_first=True), torch.nn.Linear(WIDTH, WIDTH)
    lstm.load_state_dict({k.removeprefix("lstm."): v for k, v in state.items() if k.startswith("lstm.")})
    linear.load_state_dict({k.removeprefix("linear."): v for k, v in state.items() if k.startswith("linear.")})
    with torch.inference_mode():
        _, (hidden, _) = lstm(mels)
        return torch.nn.functional.normalize(torch.relu(linear(hidden[-1])), dim=1).numpy()


def torch_mels(samples: NDArray[np.float32]) -> torch.Tensor:
    """The spectrogram `(frames, 40)` as PyTorch computes it."""
    spectrum = torch.stft(
        torch.from_numpy(samples),
        400,
        160,
        window=torch.hann_window(400),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return (torch.from_numpy(mel_filters()) @ spectrum[:, : len(samples) // 160].abs().square()).T


def torch_windows(state: dict[str, torch.Tensor], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """All that `VoiceEncoder.windows` does to loud speech, in PyTorch."""
    return torch_voices(state, torch_mels(samples).unfold(0, 160, 40).transpose(1, 2).contiguous())


def as_torch(weights: Weights) -> dict[str, torch.Tensor]:
    """The shipped weights in PyTorch's layout."""

    def gates(rows: NDArray[np.float32]) -> torch.Tensor:
        parts = dict(zip(GATES, np.split(rows, 4), strict=True))
        return torch.from_numpy(np.concatenate([parts[gate] for gate in "ifgo"]))

    state = {name: torch.from_numpy(weights[name]) for name in ("linear.weight", "linear.bias")}
    for layer in range(3):
        state[f"lstm.weight_ih_l{layer}"] = gates(weights[f"lstm{layer}.input"][0])
        state[f"lstm.weight_hh_l{layer}"] = gates(weights[f"lstm{layer}.recurrent"][0])
        for name, bias in zip(("ih", "hh"), np.split(weights[f"lstm{layer}.bias"][0], 2), strict=True):
            state[f"lstm.bias_{name}_l{layer}"] = gates(bias)
    return state


def test_filters_are_those_of_transformers() -> None:
    wanted = mel_filter_bank(201, MELS, 0, 8000, 16000, norm="slaney", mel_scale="slaney").T
    assert np.abs(mel_filters() - wanted).max() < 1e-7


def test_filters_are_those_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    wanted = librosa.filters.mel(sr=16000, n_fft=400, n_mels=40)
    assert np.abs(mel_filters() - wanted).max() < 1e-7


@pytest.mark.parametrize("samples", [25600, 25759, 25760, 200_001])
def test_spectrograms_are_those_of_torch(encoder: VoiceEncoder, samples: int) -> None:
    loud = sound(13)[:samples]
    wanted = torch_mels(loud).numpy()
    found = encoder._mels(loud)
    assert found.shape == wanted.shape == (samples // 160, MELS)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6 * wanted.max())


def test_voices_are_those_of_torch(encoder: VoiceEncoder, shipped: Weights) -> None:
    samples = sound(20.5)
    found = encoder.windows(samples)
    assert found.shape == (48, WIDTH)
    np.testing.assert_allclose(found, torch_windows(as_torch(shipped), samples), atol=1e-5)


def test_voices_of_speech_are_those_of_torch_with_the_original_weights(encoder: VoiceEncoder) -> None:
    state = torch.load(original(), map_location="cpu", weights_only=True)["model_state"]
    for voice in ("slt", "rms"):
        samples = speak(voice, "The report is still missing, and nobody knows who has it.")
        loud = samples / np.sqrt(np.mean(samples**2)) * np.float32(0.1)
        np.testing.assert_allclose(encoder.windows(loud), torch_windows(state, loud), atol=1e-5)


def test_a_window_equals_the_definition(encoder: VoiceEncoder, shipped: Weights) -> None:
    w = {name: values.astype(np.float64) for name, values in shipped.items()}
    samples = sound(1.6)
    states = torch_mels(samples).numpy().astype(np.float64)

    def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-x))

    for layer in range(3):
        h = c = np.zeros(WIDTH)
        seen, following = states, []
        bias_in, bias_state = np.split(w[f"lstm{layer}.bias"][0], 2)
        for x in seen:
            rows = w[f"lstm{layer}.input"][0] @ x + bias_in + w[f"lstm{layer}.recurrent"][0] @ h + bias_state
            gate = dict(zip(GATES, np.split(rows, 4), strict=True))
            c = sigmoid(gate["f"]) * c + sigmoid(gate["i"]) * np.tanh(gate["g"])
            h = sigmoid(gate["o"]) * np.tanh(c)
            following.append(h)
        states = np.array(following)
    wanted = np.maximum(w["linear.weight"] @ states[-1] + w["linear.bias"], 0)
    np.testing.assert_allclose(encoder.windows(samples)[0], wanted / np.linalg.norm(wanted), atol=1e-5)


def test_other_weights_are_converted_alike() -> None:
    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(MELS, WIDTH, num_layers=3), torch.nn.Linear(WIDTH, WIDTH)
    state = {f"lstm.{k}": v for k, v in lstm.state_dict().items()}
    state |= {f"linear.{k}": v for k, v in linear.state_dict().items()}
    mels = torch.randn(3, 160, MELS)
    session = Session(voice_graph(), converted({k: v.numpy() for k, v in state.items()}), what="a test", device="cpu")
    (found,) = session.run({"mels": mels.numpy()}, ["voices"])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(found, torch_voices(state, mels), atol=1e-5)


def test_the_shipped_graph_is_what_is_written() -> None:
    assert (networks.NETWORKS / "voice.onnx").read_bytes() == voice_graph()


def test_the_shipped_files_are_what_the_converter_makes(tmp_path: Path) -> None:
    convert_voice(original(), tmp_path)
    made = sorted(tmp_path.iterdir())
    assert [file.name for file in made] == ["voice.onnx", "voice.safetensors"]
    for file in made:
        assert file.read_bytes() == (networks.NETWORKS / file.name).read_bytes()


@pytest.mark.parametrize("content", [None, b"weights"])
def test_another_file_is_not_converted(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "pretrained.pt"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"pretrained\.pt: expected Resemblyzer's pretrained\.pt"):
        convert_voice(path, tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["voice.onnx", "voice.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_damaged_files_are_refused(name: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in networks.NETWORKS.glob("voice.*"):
        shutil.copy(file, tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-1] if damage == "cut" else content[:-1] + b"?")
    if damage == "gone":
        (tmp_path / name).unlink()
    monkeypatch.setattr(networks, "NETWORKS", tmp_path)
    with pytest.raises(InputError, match="there is no such file" if damage == "gone" else "reinstall broadmamba"):
        VoiceEncoder()


def test_windows_are_those_of_resemblyzer(encoder: VoiceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", types.ModuleType("webrtcvad"))  # of no use here, and rarely loads
    try:
        import resemblyzer
    except ImportError as error:
        pytest.skip(f"resemblyzer does not load beside what is installed ({error})")
    theirs = resemblyzer.VoiceEncoder("cpu", verbose=False)
    samples = speak("slt", "The report is still missing, and nobody knows who has it.")
    loud = samples / np.sqrt(np.mean(samples**2)) * 0.1
    _, wanted, slices = theirs.embed_utterance(loud, return_partials=True, rate=2.5, min_coverage=1)
    inside = [i for i, piece in enumerate(slices) if piece.stop <= len(loud)]
    found = encoder.windows(loud)
    assert len(found) == len(inside) > 2
    assert np.abs(found - wanted[inside]).max() < 1e-4

    quiet = loud * 0.01
    normalised = resemblyzer.normalize_volume(quiet, -30, increase_only=True)
    _, wanted, _ = theirs.embed_utterance(normalised, return_partials=True, rate=2.5, min_coverage=1)
    assert np.abs(encoder.windows(quiet) - wanted[inside]).max() < 1e-4


@pytest.mark.parametrize("samples", [0, 1, 159, 3000, 25599, 25600, 32000])
def test_any_length_gives_unit_vectors(encoder: VoiceEncoder, samples: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    found = encoder.windows(noise)
    assert found.shape == (1 + max(0, samples - 25600) // 6400, 256)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
