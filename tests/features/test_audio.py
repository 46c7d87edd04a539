"""The audio extractors: log-mel against librosa, openSMILE against its own call, and what all of them share."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.errors import InputError, MissingExtraError
from broadmamba.features.audio import AUDIO_EXTRACTORS, load_audio
from broadmamba.features.audio.logmel import BANDS, HOP, WINDOW, log_mel, logmel_statistics, mel_filters
from broadmamba.media.recording import Recording

sys.path.append(str(Path(__file__).parents[1] / "media"))
from recordings import chirps, write

RATE = 16_000
SMILE_SETS = {"egemaps": ("eGeMAPSv02", 88), "is10": ("IS10", 1582), "compare": ("ComParE_2016", 6373)}


def noise(seconds: float, seed: int = 0, loud: float = 0.1) -> np.ndarray:
    return (loud * np.random.default_rng(seed).normal(size=round(seconds * RATE))).astype(np.float32)


def test_log_mel_is_that_of_librosa() -> None:
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    theirs = librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=BANDS, fmin=0, fmax=8000, htk=True, norm=None)
    np.testing.assert_allclose(mel_filters(), theirs, atol=1e-6)
    sound = chirps(1.0, RATE) + noise(1.0, loud=0.01)
    power = np.abs(librosa.stft(sound, n_fft=WINDOW, hop_length=HOP, window="hann", center=False)) ** 2
    np.testing.assert_allclose(
        log_mel(sound).T, librosa.power_to_db(theirs @ power, amin=1e-10, top_db=None), atol=1e-2
    )


def test_log_mel_statistics_by_hand() -> None:
    levels = log_mel(noise(0.5))
    row = logmel_statistics(noise(0.5))
    steps = levels[1:] - levels[:-1]
    assert len(levels) == 1 + (8000 - WINDOW) // HOP
    for band in range(BANDS):
        mean = sum(levels[:, band]) / len(levels)
        assert row[band] == pytest.approx(mean, abs=1e-4)
        assert row[BANDS + band] == pytest.approx(np.mean((levels[:, band] - mean) ** 2) ** 0.5, abs=1e-4)
        assert row[2 * BANDS + band] == pytest.approx(steps[:, band].std(), abs=1e-4)


@settings(deadline=None, max_examples=25)
@given(seconds=st.floats(0.032, 2), seed=st.integers(0, 99), decibels=st.floats(-20, 20))
def test_louder_shifts_the_means_alone(seconds: float, seed: int, decibels: float) -> None:
    sound = noise(seconds, seed)
    louder = logmel_statistics(sound * np.float32(10 ** (decibels / 20)))
    expected = logmel_statistics(sound) + np.repeat([decibels, 0, 0], BANDS)
    np.testing.assert_allclose(louder, expected, atol=2e-3)


@settings(deadline=None, max_examples=25)
@given(shift=st.integers(0, 3200))
def test_a_little_later_is_nearly_the_same(shift: int) -> None:
    sound = noise(4.0)
    assert np.abs(logmel_statistics(sound[shift : shift + 48_000]) - logmel_statistics(sound[:48_000])).max() < 2


def test_a_tone_sounds_in_its_band() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype(np.float32)
    centres = mel_filters().argmax(axis=1) * RATE / WINDOW
    assert abs(centres[logmel_statistics(tone)[:BANDS].argmax()] - 1000) < 80


def test_long_sounds_are_measured_as_short_ones() -> None:
    sound = noise(70)
    np.testing.assert_allclose(log_mel(sound)[6500:], log_mel(sound[6500 * HOP :]), rtol=1e-9)


@pytest.mark.parametrize("name", SMILE_SETS)
def test_opensmile_gives_its_own_values(name: str) -> None:
    opensmile = pytest.importorskip("opensmile", reason="opensmile is not installed")
    known, width = SMILE_SETS[name]
    smile = opensmile.Smile(opensmile.FeatureSet[known], opensmile.FeatureLevel.Functionals)
    extractor = load_audio(name)
    assert (extractor.spec.width, extractor.spec.columns) == (width, tuple(smile.column_names))
    assert "research only" in extractor.spec.licence
    assert "research only" in extractor.notice
    for sound in (chirps(0.8, RATE), noise(0.3)):
        np.testing.assert_array_equal(extractor.measure(sound), smile.process_signal(sound, RATE).to_numpy()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(extractor.measure(noise(0.05))).all()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    second = np.concatenate([chirps(1.0), np.zeros(48_000, dtype=np.float32), chirps(1.0, seed=2)])
    return {
        "stereo": write(folder / "stereo.wav", np.stack([second, second], axis=1), rate=48_000),
        "phone": write(folder / "phone.wav", chirps(1.0, 8_000), rate=8_000),
        "clipped": write(folder / "clipped.flac", np.clip(9 * second, -1, 1).astype(np.float32)),
        "short": write(folder / "short.wav", chirps(0.02)),
        "silent": write(folder / "silent.wav", np.zeros(48_000, dtype=np.float32)),
    }


@pytest.mark.parametrize("name", AUDIO_EXTRACTORS)
def test_every_recording_gives_defined_rows(name: str, recordings: dict[str, Path]) -> None:
    extractor = load_audio(name)
    spec = extractor.spec
    assert (spec.name, spec.modality) == (name, "audio")
    assert len(spec.columns) == spec.width
    assert spec.version and spec.licence
    for kind, file in recordings.items():
        with Recording.open(file) as recording:
            (row,) = extractor.extract(recording, [(0.0, None)])
        assert row.shape == (spec.width,)
        assert row.dtype == np.float32
        assert not np.isinf(row).any()
        if kind == "silent":
            assert np.isnan(row).all()
        elif kind != "short":
            assert not np.isnan(row).any() or (spec.gaps and np.isnan(row).sum() == 1)
    with Recording.open(recordings["stereo"]) as recording:
        heard, silent, both, beyond = extractor.extract(recording, [(0, 1), (1.2, 1.8), (0.5, 2.5), (7, 8)])
        assert not np.isnan(heard).all() and not np.isnan(both).all()
        assert np.isnan(silent).all() and np.isnan(beyond).all()
        again = list(extractor.extract(recording, [(0, 1)]))
    np.testing.assert_array_equal(again, [heard])


def test_a_wrong_name_and_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match=r"unknown audio feature 'prosodi' \(did you mean prosody\?\): expected one of "
    ):
        load_audio("prosodi")
    for name, module, extra in (("prosody", "parselmouth", "praat"), ("is10", "opensmile", "opensmile")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingExtraError, match=rf"{name} needs .*'broadmamba\[{extra}\]'"):
            load_audio(name)
