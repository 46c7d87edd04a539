"""Channels that cancel out, that hold different sound, and those that are mixed as ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import recordings
from av import AudioResampler
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.media.channels import Survey, mixing_weights
from broadmamba.media.recording import Recording
from broadmamba.media.tracks import SoundChoice

RATE = 16_000
Sound = NDArray[np.float32]


def talk(seconds: float = 6.0, seed: int = 0, rate: int = RATE) -> Sound:
    """Something like speech: syllables of a quarter of a second of changing pitch and loudness, and pauses."""
    random = np.random.default_rng(seed)
    voice = recordings.chirps(seconds, rate, seed)
    loud = np.repeat(random.choice([0.0, 0.3, 0.6, 0.9], size=int(seconds * 4) + 1), rate // 4)[: len(voice)]
    return (voice * loud).astype(np.float32)


def noise(loud: float, seed: int = 9, seconds: float = 6.0) -> Sound:
    return (loud * np.random.default_rng(seed).normal(size=round(seconds * RATE))).astype(np.float32)


def hum(loud: float, seconds: float = 6.0) -> Sound:
    return recordings.tone(seconds, RATE, 50, loud)


def flipped(sound: Sound, share: float) -> Sound:
    """Inverted from a share of its length on."""
    turned = sound.copy()
    turned[int(share * len(sound)) :] *= -1
    return turned


def late(sound: Sound, samples: int) -> Sound:
    return np.concatenate([np.zeros(samples, np.float32), sound[:-samples]])


def write(path: Path, *channels: Sound, layout: str | None = None) -> Path:
    return recordings.write(
        path, np.stack(channels, axis=1), rate=RATE, audio_codec="pcm_f32le" if path.suffix == ".wav" else None,
        layout=layout,
    )  # fmt: skip


VOICE, OTHER = talk(), talk(seed=1)
CANCELLING = {
    "inverted": (VOICE, -VOICE, 1),
    "inverted and quieter": (VOICE, -0.8 * VOICE, 1),
    "the louder is the second": (-0.8 * VOICE, VOICE, 2),
    "with noise in one": (VOICE, -VOICE + noise(0.01), 1),
    "with noise in the first": (VOICE + noise(0.01), -VOICE, 2),
    "with noise in both": (VOICE + noise(0.003), -VOICE + noise(0.003, 8), 1),
    "with hum in both": (VOICE + hum(0.05), -VOICE + hum(0.05), 1),
    "with an offset": (VOICE + 0.1, -VOICE + 0.1, 1),
    "from the middle on": (VOICE, flipped(VOICE, 0.5), 1),
    "at the end": (VOICE, flipped(VOICE, 0.9), 1),
    "at the beginning": (VOICE, -flipped(VOICE, 0.2), 1),
}
MIXED = {
    "the same": (VOICE, VOICE),
    "one is quieter": (VOICE, 0.3 * VOICE),
    "one is dead": (VOICE, 0 * VOICE),
    "one holds faint noise": (VOICE, noise(1e-4)),
    "one is an offset": (VOICE, 0 * VOICE + 0.3),
    "somewhat later": (VOICE, late(VOICE, 7)),
    "much later": (VOICE, late(VOICE, 400)),
    "one holds hum": (VOICE, hum(0.4)),
}
DIFFERENT = {
    "two speakers at once": (VOICE, OTHER),
    "noise in one": (VOICE, noise(0.1)),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_where_channels_cancel_out_the_better_one_is_heard(tmp_path: Path, name: str) -> None:
    *channels, expected = CANCELLING[name]
    path = write(tmp_path / "talk.wav", *channels)
    with Recording.open(path) as recording:
        found = recording.audio()
        assert recording.heard == SoundChoice(1, expected)
        assert recording.remarks == (
            f"its channels cancel out when they are mixed, so channel {expected} alone is heard",
        )
    np.testing.assert_array_equal(found, np.clip(channels[expected - 1], -1, 1))
    with Recording.open(path, SoundChoice(channels="mix")) as recording:
        assert recording.audio() == pytest.approx((channels[0] + channels[1]) / 2, abs=1e-6)
        assert recording.remarks == ()


@pytest.mark.parametrize("name", [*MIXED, *DIFFERENT])
def test_elsewhere_channels_are_mixed_as_ever(tmp_path: Path, name: str) -> None:
    channels = {**MIXED, **DIFFERENT}[name]
    with Recording.open(write(tmp_path / "talk.wav", *channels)) as recording:
        found = recording.audio()
        assert recording.heard.channels == "mix"
        told = recording.remarks
    np.testing.assert_allclose(found, (channels[0] + channels[1]) / 2, atol=1e-6)
    assert bool(told) == (name in DIFFERENT)
    assert not told or "its two channels hold different sound" in told[0]


def test_a_speaker_for_each_channel_is_told(tmp_path: Path) -> None:
    turns = np.repeat(np.arange(12) % 2, RATE // 2)
    mine, yours = VOICE * turns, OTHER * (1 - turns)
    with Recording.open(write(tmp_path / "call.wav", mine + 0.05 * yours, yours + 0.05 * mine)) as recording:
        recording.audio(0, 1)
        assert "a speaker each" in recording.remarks[0]


def test_speech_that_cancels_in_part_is_told(tmp_path: Path) -> None:
    beside = OTHER * (np.arange(len(OTHER)) < len(OTHER) / 2)  # in one channel alone, so that neither holds all
    channels = ((VOICE + beside) / 2, flipped(VOICE, 0.75) / 2)
    with Recording.open(write(tmp_path / "talk.wav", *channels)) as recording:
        assert recording.audio() == pytest.approx((channels[0] + channels[1]) / 2, abs=1e-6)
        assert "cancel out in part" in recording.remarks[0]


@pytest.mark.parametrize("layout", ["5.1", "7.1", "quad"])
def test_surround(tmp_path: Path, layout: str) -> None:
    count = {"5.1": 6, "7.1": 8, "quad": 4}[layout]
    centre = [VOICE if number == 2 else noise(1e-3, number) for number in range(count)]
    with Recording.open(write(tmp_path / "centre.wav", *centre, layout=layout)) as recording:
        assert np.corrcoef(recording.audio(), VOICE)[0, 1] > 0.95
        assert recording.heard.channels == "mix"
    front = [VOICE, -VOICE, *[0 * VOICE] * (count - 2)]
    with Recording.open(write(tmp_path / "front.wav", *front, layout=layout)) as recording:
        np.testing.assert_array_equal(recording.audio(), np.clip(VOICE, -1, 1))


def test_channels_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "talk.wav", noise(0.1), VOICE)
    for chosen, expected in (("1", noise(0.1)), ("2", VOICE), ("best", VOICE), ("mix", (noise(0.1) + VOICE) / 2)):
        with Recording.open(path, SoundChoice.parse(None, chosen)) as recording:
            assert recording.audio() == pytest.approx(np.clip(expected, -1, 1), abs=1e-6)
            assert recording.remarks == ()
    with pytest.raises(InputError, match=r"talk\.wav: its sound has 2 channels, there is no channel 3"):
        Recording.open(path, SoundChoice(channels=3))
    for wrong in ("left", "0", "-1", ""):
        with pytest.raises(InputError, match="mix, best or a number"):
            SoundChoice.parse(None, wrong)


def test_more_channels_than_can_be_mixed_become_their_mean(tmp_path: Path) -> None:
    nine = [VOICE if number == 4 else 0 * VOICE for number in range(9)]
    assert mixing_weights("9 channels", 9, RATE) is None
    with Recording.open(write(tmp_path / "nine.wav", *nine, layout="9 channels")) as recording:
        assert recording.audio() == pytest.approx(VOICE / 9, abs=1e-6)


@pytest.mark.parametrize("kind", ["mp4", "ogg", "mkv", "mp3"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_one_channel_is_bit_equal_in_any_span_and_order(tmp_path: Path, kind: str, rate: int) -> None:
    voice = talk(rate=rate)
    path = recordings.write(tmp_path / f"talk.{kind}", np.stack([voice, -voice], axis=1), rate=rate, layout="stereo")
    with Recording.open(path) as recording:
        whole = recording.audio()
        chosen = recording.heard
    assert len(whole) > 5.9 * RATE and np.abs(whole).max() > 0.2
    for choice in (SoundChoice(), chosen):
        with Recording.open(path, choice) as recording:
            for start, end in ((4.5, 5.5), (0.0, 0.3), (2.0, 6.5)):
                np.testing.assert_array_equal(
                    recording.audio(start, end), whole[round(start * RATE) : round(end * RATE)]
                )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=8), st.sampled_from([8_000, 16_000, 44_100]))
def test_what_is_found_does_not_depend_on_how_sound_comes(sizes: list[int], rate: int) -> None:
    samples = np.stack([talk(2, rate=rate), -0.7 * talk(2, rate=rate)], axis=1)
    found = []
    for steps in ([len(samples)], sizes):
        survey, first, number = Survey(), 0, 0
        survey.begin(rate, np.array([0.5, 0.5]))
        while first < len(samples):
            size = steps[number % len(steps)]
            survey.add(samples[first : first + size])
            first, number = first + size, number + 1
        found.append(survey.verdict())
    assert found[0] == found[1]


@pytest.mark.parametrize("layout", ["stereo", "5.1", "7.1", "quad"])
def test_weights_are_those_of_the_mix(layout: str) -> None:
    from av import AudioFrame, AudioLayout

    count = AudioLayout(layout).nb_channels
    samples = np.random.default_rng(0).uniform(-1, 1, size=(100, count)).astype(np.float32)
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), "flt", layout)
    frame.sample_rate = RATE
    (mixed,) = AudioResampler("flt", "mono", RATE, options={"rematrix_maxval": "1"}).resample(frame)
    weights = mixing_weights(layout, count, RATE)
    assert weights is not None
    assert mixed.to_ndarray()[0] == pytest.approx(samples @ weights, abs=1e-6)
