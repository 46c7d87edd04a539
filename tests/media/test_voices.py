"""Who spoke when: the grouping held against scikit-learn, and on real speech."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from spoken import RATE, converse, make_recording, same_grouping, write_wav

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.media import voices
from broadmamba.media.recording import Recording
from broadmamba.media.speech import find_speech
from broadmamba.media.turns import Turn
from broadmamba.media.voices import find_turns, group_voices, renumber_voices

PAIR = (
    ("slt", "I really did not expect the meeting to finish this early today."),
    ("kal16", "Well, we had very little to talk about after all."),
    ("slt", "The report is still missing, and nobody knows who has it."),
)


def turns_of(path: Path, samples: NDArray[np.float32], speakers: int | None = None) -> list[Turn]:
    with Recording.open(write_wav(path, samples)) as recording:
        return find_turns(recording, find_speech(samples), speakers)


def speaker_at(turns: list[Turn], time: float) -> str | None:
    return next((turn.speaker for turn in turns if turn.start <= time <= turn.end), None)


def vectors(stretches: int, voices_of: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(voices_of, 256))
    made = centres[random.integers(voices_of, size=stretches)] + random.normal(0, 0.3, size=(stretches, 256))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 1000), st.one_of(st.none(), st.integers(1, 60)))
def test_groups_are_those_of_scikit_learn(stretches: int, voices_of: int, seed: int, groups: int | None) -> None:
    made = vectors(stretches, voices_of, seed)
    wanted = AgglomerativeClustering(
        n_clusters=None if groups is None else min(groups, stretches),
        distance_threshold=0.27 if groups is None else None,
        metric="cosine",
        linkage="average",
    ).fit_predict(made.astype(np.float64))
    found = group_voices(made, [2.0] * stretches, groups)
    assert same_grouping(found, list(wanted))
    assert sorted(set(found), key=found.index) == list(range(len(set(found))))


def test_short_stretches_make_no_groups_of_their_own() -> None:
    made = vectors(20, 2, seed=3)
    seconds = [2.0] * 18 + [0.5] * 2
    made[18:] = vectors(2, 2, seed=99)  # unlike all others
    assert set(group_voices(made, seconds)[18:]) <= set(group_voices(made[:18], seconds[:18]))
    assert len(set(group_voices(made, seconds, groups=20))) == 20  # unless so many are asked for


def test_more_stretches_than_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    made = vectors(200, 3, seed=1)
    wanted = group_voices(made, [2.0] * 200)
    monkeypatch.setattr(voices, "_MOST_CLUSTERED", 30)
    assert group_voices(made, [2.0] * 200) == wanted


def test_a_voice_of_zeros_is_grouped() -> None:
    made = np.concatenate([vectors(5, 1, seed=0), np.zeros((1, 256), dtype=np.float32)])
    assert len(set(group_voices(made, [2.0] * 6))) == 2


@pytest.mark.parametrize("pause", [0.6, 0.1, -0.3])
def test_voices_are_told_apart(tmp_path: Path, pause: float) -> None:
    samples, said = converse(PAIR, pause)
    turns = turns_of(tmp_path / "talk.wav", samples)
    middles = [(turn.start + turn.end) / 2 for turn in said]
    assert [speaker_at(turns, time) for time in middles] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert len(turns) == 3
    assert all(abs(turn.start - true.start) < 0.9 for turn, true in zip(turns, said, strict=True))


def test_one_span_over_everything_is_cut_where_the_voice_changes(tmp_path: Path) -> None:
    samples, said = converse(PAIR, 0.2)
    with Recording.open(write_wav(tmp_path / "talk.wav", samples)) as recording:
        heard: list[tuple[float, float]] = []
        turns = find_turns(recording, [(0.0, 99.0)], on_progress=lambda done, total: heard.append((done, total)))
    middles = [(turn.start + turn.end) / 2 for turn in said]
    assert [speaker_at(turns, time) for time in middles] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert heard[-1] == (99.0, 99.0)
    assert turns[-1].end <= len(samples) / RATE + 0.01


def test_one_speaker(tmp_path: Path) -> None:
    samples, _ = converse([("rms", PAIR[0][1]), ("rms", PAIR[1][1])], 0.7)
    assert {turn.speaker for turn in turns_of(tmp_path / "talk.wav", samples)} == {"Speaker 1"}


def test_stated_number_of_speakers(tmp_path: Path) -> None:
    samples, _ = converse(PAIR, 0.6)
    for speakers, wanted in ((1, 1), (2, 2), (3, 3), (9, 3)):
        turns = turns_of(tmp_path / "talk.wav", samples, speakers)
        assert len({turn.speaker for turn in turns}) == wanted
    with pytest.raises(InputError, match="at least 1, found 0"):
        turns_of(tmp_path / "talk.wav", samples, 0)


def test_a_voice_that_no_utterance_is_given_to_leaves_no_hole_in_the_numbers() -> None:
    heard = ["Speaker 3", None, "Speaker 1", "Speaker 3", "Speaker 7"]
    conversation = Conversation("talk", tuple(Utterance(str(n), "hm", name) for n, name in enumerate(heard)))
    renumbered = renumber_voices(conversation)
    assert [u.speaker for u in renumbered] == ["Speaker 1", None, "Speaker 2", "Speaker 1", "Speaker 3"]
    assert [(u.id, u.text) for u in renumbered] == [(u.id, u.text) for u in conversation]
    assert renumber_voices(renumbered) == renumbered


def test_sound_at_8_khz(tmp_path: Path) -> None:
    spoken = make_recording(tmp_path / "talk.wav", PAIR)
    samples, said = converse(PAIR)
    path = write_wav(tmp_path / "narrow.wav", samples, rate=8000)
    with Recording.open(path) as narrow, Recording.open(spoken.path) as wide:
        spans = [(turn.start, turn.end) for turn in said]
        assert [t.speaker for t in find_turns(narrow, spans)] == [t.speaker for t in find_turns(wide, spans)]


def test_nothing_to_hear(tmp_path: Path) -> None:
    with Recording.open(write_wav(tmp_path / "silence.wav", np.zeros(RATE, np.float32))) as recording:
        assert find_turns(recording, []) == []
        assert find_turns(recording, [(5.0, 6.0)]) == []  # beyond the end
        assert [turn.speaker for turn in find_turns(recording, [(0.2, 0.2), (0.3, 0.9)])] == ["Speaker 1"]


def test_long_speech_is_read_in_parts() -> None:
    asked: list[float] = []

    class Endless:
        def audio(self, start: float, end: float) -> NDArray[np.float32]:
            asked.append(end - start)
            return np.random.default_rng(0).normal(0, 0.1, round((end - start) * RATE)).astype(np.float32)

    turns = find_turns(Endless(), [(0.0, 130.0)])
    assert max(asked) <= 60 and sum(asked) == pytest.approx(130)
    assert (turns[0].start, turns[-1].end) == pytest.approx((0, 130), abs=0.01)


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r"finding who speaks needs SciPy: .*broadmamba\[recording\]"):
        find_turns(None, [(0.0, 1.0)])  # type: ignore[arg-type]


@pytest.mark.parametrize("speakers", [None, 1, 2, 5])
def test_one_stretch_of_speech_has_one_speaker(tmp_path: Path, speakers: int | None) -> None:
    samples, _ = converse(PAIR[:1])
    turns = turns_of(tmp_path / "talk.wav", samples, speakers)
    assert {turn.speaker for turn in turns} == {"Speaker 1"}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.1, 9.0), max_size=6), st.one_of(st.none(), st.integers(1, 9)))
def test_any_number_of_stretches_has_speakers(seconds: list[float], groups: int | None) -> None:
    found = group_voices(vectors(max(len(seconds), 1), 2, seed=4)[: len(seconds)], seconds, groups)
    assert len(found) == len(seconds)
    assert len(set(found)) <= min(groups or len(seconds), len(seconds))
