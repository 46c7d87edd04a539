"""Prosody against Praat itself: the same eight values by a script in Praat's own language."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import warnings
import wave
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

parselmouth = pytest.importorskip("parselmouth", reason="praat-parselmouth is not installed")

from broadmamba.data.readers.table import read  # noqa: E402
from broadmamba.data.spec import IDENTITY  # noqa: E402
from broadmamba.features.audio import load_audio  # noqa: E402
from broadmamba.features.audio.prosody import PROSODY_COLUMNS, prosody  # noqa: E402

PRAAT = r"""
sound = selected ("Sound")
duration = Get total duration
mean_intensity = undefined
intensity_sd = undefined
mean_f0 = undefined
f0_sd = undefined
f0_range = undefined
articulation_rate = undefined
mean_hnr = undefined
if duration >= 0.064
    intensity = To Intensity: 100, 0, "yes"
    mean_intensity = Get mean: 0, 0, "energy"
    frames = Get number of frames
    intensity_sd = 0
    if frames > 1
        sd = Get standard deviation: 0, 0
        intensity_sd = sd * sqrt ((frames - 1) / frames)
    endif
endif
selectObject: sound
if duration >= 0.04
    pitch = To Pitch: 0, 75, 600
    voiced = Count voiced frames
    f0_sd = 0
    f0_range = 0
    if voiced > 0
        mean_f0 = Get mean: 0, 0, "Hertz"
    endif
    if voiced > 1
        sd = Get standard deviation: 0, 0, "Hertz"
        f0_sd = sd * sqrt ((voiced - 1) / voiced)
        highest = Get maximum: 0, 0, "Hertz", "none"
        lowest = Get minimum: 0, 0, "Hertz", "none"
        f0_range = highest - lowest
    endif
    selectObject: sound
    harmonicity = To Harmonicity (cc): 0.01, 75, 0.1, 1
    mean_hnr = Get mean: 0, 0
endif
if duration >= 0.128
    selectObject: sound
    slow = To Intensity: 50, 0, "yes"
    maximum = Get maximum: 0, 0, "parabolic"
    minimum = Get minimum: 0, 0, "parabolic"
    loud = Get quantile: 0, 0, 0.99
    threshold = loud - 25
    if threshold < minimum
        threshold = minimum
    endif
    grid = To TextGrid (silences): loud - maximum - 25, 0.3, 0.1, "silent", "sounding"
    phonation = Get total duration of intervals where: 1, "is equal to", "sounding"
    selectObject: slow
    matrix = Down to Matrix
    curve = To Sound (slice): 1
    extrema = To PointProcess (extrema): 1, "yes", "no", "sinc70"
    selectObject: sound
    wide = noprogress To Pitch (ac): 0.02, 30, 4, "no", 0.03, 0.25, 0.01, 0.35, 0.25, 450
    selectObject: extrema
    points = Get number of points
    peaks = 0
    for i to points
        selectObject: extrema
        time = Get time from index: i
        selectObject: slow
        level = Get value at time: time, "cubic"
        if level > threshold
            peaks += 1
            time [peaks] = time
            level [peaks] = level
        endif
    endfor
    nuclei = 0
    for p to peaks - 1
        selectObject: slow
        dip = Get minimum: time [p], time [p + 1], "none"
        selectObject: grid
        interval = Get interval at time: 1, time [p]
        label$ = Get label of interval: 1, interval
        selectObject: wide
        hertz = Get value at time: time [p], "Hertz", "linear"
        if level [p] - dip > 2 and label$ = "sounding" and hertz <> undefined
            nuclei += 1
        endif
    endfor
    if nuclei > 0
        articulation_rate = nuclei / phonation
    endif
endif
"""
RATE = 16_000
SENTENCES = (
    "No.",
    "Well, I never thought that you would come.",
    "Leave me alone! I mean it.",
)


def by_praat(samples: np.ndarray, rate: int = RATE) -> np.ndarray:
    sound = parselmouth.Sound(samples.astype(np.float64), rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", parselmouth.PraatWarning)
        _, values = parselmouth.praat.run(sound, PRAAT, return_variables=True)
    found = [values[column] for column in PROSODY_COLUMNS]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def assert_same(samples: np.ndarray, rate: int = RATE) -> None:
    np.testing.assert_allclose(prosody(samples, rate), by_praat(samples, rate), rtol=2e-5, atol=2e-5)


def generated(number: int) -> np.ndarray:
    """A short sound: tones, sweeps, pulses, noise and bursts of a buzz, some of them clipped or very quiet."""
    random = np.random.default_rng(number)
    seconds = random.uniform(0.13, 1.6)
    time = np.arange(round(seconds * RATE)) / RATE
    hertz = random.uniform(70, 500)
    phase = 2 * np.pi * np.cumsum(hertz * (1 + 0.3 * np.sin(2 * np.pi * random.uniform(0.5, 4) * time))) / RATE
    noise = random.normal(size=len(time))
    sound = [
        np.sin(2 * np.pi * hertz * time),
        np.sin(phase) + 0.02 * noise,
        ((time * hertz) % 1 < 1.5 * hertz / RATE) - 0.01,
        noise * random.uniform(0.001, 0.3),
        sum(np.sin(k * phase) / k for k in range(1, 9)) * (np.sin(2 * np.pi * 4 * time) > 0) + 0.003 * noise,
        np.clip(5 * np.sin(phase) * (1 + np.sin(2 * np.pi * 5 * time)), -1, 1),
    ][number % 6]
    return (sound * random.choice([0.001, 0.3, 0.9])).astype(np.float32)


@pytest.mark.parametrize("number", range(38))
def test_generated_sounds_measure_as_with_praat(number: int) -> None:
    assert_same(generated(number))


@pytest.mark.parametrize("voice", ["slt", "rms", "awb", "kal16"])
def test_speech_measures_as_with_praat(voice: str, tmp_path: Path) -> None:
    if not shutil.which("flite"):
        pytest.skip("flite is not installed")
    rates = []
    for number, sentence in enumerate(SENTENCES):
        file = tmp_path / f"{number}.wav"
        subprocess.run(["flite", "-voice", voice, "-t", sentence, str(file)], check=True)
        samples, rate = wav(file)
        assert_same(samples, rate)
        rates.append(prosody(samples, rate)[6])
    assert 1 < np.nanmean(rates) < 8  # syllables a second, as people speak


def test_real_recordings_measure_as_with_praat() -> None:
    package = find_spec("moonshine_voice")
    if package is None or not package.submodule_search_locations:
        pytest.skip("moonshine-voice, whose recordings this uses, is not installed")
    files = sorted(Path(package.submodule_search_locations[0]).rglob("*.wav"))
    assert files
    for file in files:
        samples, rate = wav(file)
        for start in range(0, min(len(samples), 6 * rate), 2 * rate):
            assert_same(samples[start : start + 2 * rate], rate)


def wav(file: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(file)) as opened:
        assert opened.getnchannels() == 1
        samples = np.frombuffer(opened.readframes(opened.getnframes()), dtype=np.int16)
        return (samples / 32768).astype(np.float32), opened.getframerate()


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_other_sample_rates(rate: int) -> None:
    time = np.arange(rate) / rate
    buzz = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 9)) * (0.55 - 0.45 * np.cos(8 * np.pi * time))
    assert_same((0.2 * buzz).astype(np.float32), rate)
    row = dict(zip(PROSODY_COLUMNS, prosody(0.2 * buzz, rate), strict=True))
    assert row["duration"] == 1
    assert row["mean_f0"] == pytest.approx(150, abs=0.5)
    assert row["articulation_rate"] == 3  # of four swells, each but the last


@pytest.mark.parametrize(
    ("seconds", "missing"),
    [
        (0.001, PROSODY_COLUMNS[1:]),
        (0.02, PROSODY_COLUMNS[1:]),
        (0.05, ("mean_intensity", "intensity_sd", "articulation_rate")),
        (0.1, ("articulation_rate",)),
        (0.5, ("articulation_rate",)),  # one swell has no peak behind it
    ],
)
def test_what_a_short_sound_cannot_tell_is_missing(seconds: float, missing: tuple[str, ...]) -> None:
    time = np.arange(round(seconds * RATE)) / RATE
    row = prosody(0.5 * np.sin(2 * np.pi * 200 * time) * np.sin(np.pi * time / seconds), RATE)
    assert tuple(np.array(PROSODY_COLUMNS)[np.isnan(row)]) == missing
    assert row[0] == pytest.approx(seconds)


def test_silence_has_praats_marks() -> None:
    row = prosody(np.zeros(RATE, dtype=np.float32), RATE)
    np.testing.assert_array_equal(row, [1, -300, 0, np.nan, 0, 0, np.nan, np.nan])


def test_noise_without_a_voice() -> None:
    noise = np.random.default_rng(5).normal(size=RATE // 2) * 0.1
    row = dict(zip(PROSODY_COLUMNS, prosody(noise, RATE), strict=True))
    if math.isnan(row["mean_f0"]):
        assert row["f0_sd"] == row["f0_range"] == 0
    assert row["mean_hnr"] < 5


def test_louder_is_louder_by_as_much() -> None:
    sound = generated(4)
    np.testing.assert_allclose(prosody(10 * sound, RATE) - prosody(sound, RATE), [0, 20, 0, 0, 0, 0, 0, 0], atol=0.02)


@pytest.mark.parametrize("corpus", ["meld", "iemocap"])
def test_the_spec_is_that_of_the_shared_values(shared_data: Path, corpus: str) -> None:
    spec = load_audio("prosody").spec
    theirs = read(shared_data / corpus).features["prosody"].spec
    assert all(getattr(spec, key) == getattr(theirs, key) for key in IDENTITY)
    assert spec.gaps == theirs.gaps
    assert spec.licence.startswith("GPL-3")


@pytest.mark.parametrize("corpus", ["meld", "iemocap"])
def test_the_definitions_leave_their_traces_in_the_shared_values(shared_data: Path, corpus: str) -> None:
    """What each definition implies of the numbers, since the recordings behind them are not there."""
    assert tuple(json.loads((shared_data / corpus / "prosody.columns.json").read_text())) == PROSODY_COLUMNS
    values = np.load(shared_data / corpus / "prosody.npy").astype(np.float64)
    values = values[~np.isnan(values[:, 0])]
    duration, _, intensity_sd, mean, sd, spread, rate, hnr = values.T
    voiceless = np.isnan(mean)
    assert (sd[voiceless] == 0).all() and (spread[voiceless] == 0).all()
    assert mean[~voiceless].min() > 75 and spread.max() < 600 - 75  # unvoiced frames are left out
    varied = sd > 0
    # the population SD of two values is half their distance, and no values are farther apart for their SD
    assert (spread[varied] / sd[varied]).min() == pytest.approx(2, abs=1e-3)
    assert not np.isnan(intensity_sd).any() and not np.isnan(hnr).any() and hnr.min() > -20
    assert np.nanmin(rate) > 0  # none is NaN, not zero
    assert np.isnan(rate[duration < 0.128]).all()
    explained = [
        phonation_explained(seconds, found) for seconds, found in zip(duration, rate, strict=True) if found > 0
    ]
    assert np.mean(explained) > 0.995


def phonation_explained(duration: float, rate: float) -> bool:
    """Whether a whole number of nuclei, over the duration less pauses of whole 16 ms frames, gives the rate.

    A pause may also reach from the sound's begin or to its end, which lie outside of the centred frames.
    """
    edge = (duration - 0.016 * math.floor((duration - 0.128) / 0.016 + 1e-9)) / 2
    silence = duration - np.arange(1, round(rate * duration) + 1) / rate
    pauses = (silence[:, None] - np.array([0, edge, 2 * edge])) / 0.016
    whole = np.abs(pauses - pauses.round()) < 1e-3 + 2e-5 * duration
    return bool((np.abs(silence) < 1e-5 * (1 + duration)).any() or whole.any())
