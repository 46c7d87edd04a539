"""Speech to text on conversations spoken by `flite`, and how words become utterances."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spoken import (
    RATE,
    TALK,
    SpokenRecording,
    converse,
    make_recording,
    plain,
    same_grouping,
    speech_model,
    word_error_rate,
    write_mp4,
    write_wav,
)

from broadmamba.errors import InputError, MissingExtraError
from broadmamba.media.recording import Recording
from broadmamba.media.speech import SpeechBlock, SpeechRecognizer, Word, find_speech
from broadmamba.media.turns import Turn
from broadmamba.media.utterances import spoken_conversation
from broadmamba.media.voices import find_turns


@pytest.fixture(scope="session")
def recognizer() -> SpeechRecognizer:
    return SpeechRecognizer.load(str(speech_model()), threads=1)


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> SpokenRecording:
    return make_recording(tmp_path_factory.mktemp("talk") / "talk.mp4")


@pytest.fixture(scope="session")
def heard(recognizer: SpeechRecognizer, talk: SpokenRecording) -> list[SpeechBlock]:
    with Recording.open(talk.path) as recording:
        return list(recognizer.blocks(recording))


def words_of(blocks: Sequence[SpeechBlock]) -> str:
    return "".join(word.text for block in blocks for word in block.words)


def test_a_conversation_without_a_transcript(talk: SpokenRecording, heard: list[SpeechBlock]) -> None:
    with Recording.open(talk.path) as recording:
        turns = find_turns(recording, [span for block in heard for span in block.speech])
        conversation = spoken_conversation(recording, heard, turns)
    assert len(conversation) == len(talk.turns)
    assert same_grouping([u.speaker for u in conversation], [turn.speaker for turn in talk.turns])
    assert conversation.utterances[0].speaker == "Speaker 1"
    said = " ".join(turn.text for turn in talk.turns)
    assert word_error_rate(said, " ".join(u.text for u in conversation)) <= 0.3
    for utterance, turn in zip(conversation, talk.turns, strict=True):
        assert utterance.start == pytest.approx(turn.start, abs=0.5)
        assert utterance.end == pytest.approx(turn.end, abs=0.5)
        assert word_error_rate(turn.text, utterance.text) <= 0.5
    assert conversation.utterances[1].id == "talk_2"


def test_blocks_cover_the_recording(talk: SpokenRecording, heard: list[SpeechBlock]) -> None:
    assert heard[0].start == 0
    assert all(block.end == after.start for block, after in pairwise(heard))
    assert heard[-1].end == pytest.approx(talk.turns[-1].end + 0.6, abs=0.2)
    assert {block.language for block in heard} == {"en"}
    for block in heard:
        times = [time for word in block.words for time in (word.start, word.end)]
        assert all(block.start <= time <= block.end for time in times)
        assert [w.start for w in block.words] == sorted(w.start for w in block.words)
        assert all(any(a <= w.start <= w.end <= b for a, b in block.speech) for w in block.words)


def test_work_goes_on_after_stored_blocks(recognizer: SpeechRecognizer, tmp_path: Path) -> None:
    samples, _ = converse(TALK[:2], 0.6)
    samples = np.concatenate([samples, np.zeros(21 * RATE, np.float32), samples])  # two blocks
    with Recording.open(write_wav(tmp_path / "talk.wav", samples)) as recording:
        whole = list(recognizer.blocks(recording))
        assert len(whole) == 2
        stored = [SpeechBlock.from_dict(json.loads(json.dumps(block.to_dict()))) for block in whole]
        assert stored == whole
        assert list(recognizer.blocks(recording, done=stored[:1])) == whole[1:]
        assert list(recognizer.blocks(recording, done=stored)) == []
    said = f"{TALK[0][1]} {TALK[1][1]}"
    assert word_error_rate(f"{said} {said}", words_of(whole)) <= 0.3


def test_speech_without_a_pause_is_cut_at_its_quietest_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Mute:
        supported_languages = ("en",)

        def transcribe(self, samples: np.ndarray, **options: object) -> tuple[list[object], object]:
            lengths.append(len(samples) / RATE)
            return [], SimpleNamespace(language="en")

    lengths: list[float] = []
    samples = np.random.default_rng(0).normal(0, 0.1, 70 * RATE).astype(np.float32)
    samples[22 * RATE : 22 * RATE + RATE // 10] = 0
    monkeypatch.setattr("broadmamba.media.speech.find_speech", lambda samples: [(0.0, len(samples) / RATE)])
    with Recording.open(write_wav(tmp_path / "noise.wav", samples)) as recording:
        blocks = list(SpeechRecognizer("mute", Mute()).blocks(recording))
    assert blocks[0].end == pytest.approx(22.05, abs=0.06)
    assert blocks[-1].end == 70
    assert max(lengths) <= 30 and sum(lengths) == pytest.approx(70)


def test_telephone_sound(recognizer: SpeechRecognizer, tmp_path: Path) -> None:
    samples, turns = converse(TALK[:3])
    with Recording.open(write_wav(tmp_path / "phone.wav", samples, rate=8000)) as recording:
        blocks = list(recognizer.blocks(recording))
    assert word_error_rate(" ".join(turn.text for turn in turns), words_of(blocks)) <= 0.3


@pytest.mark.parametrize("kind", ["silence", "noise", "music"])
def test_sound_without_speech(recognizer: SpeechRecognizer, tmp_path: Path, kind: str) -> None:
    time = np.arange(12 * RATE) / RATE
    samples = {
        "silence": np.zeros(len(time)),
        "noise": np.random.default_rng(0).normal(0, 0.1, len(time)),
        "music": 0.2 * sum(np.sin(2 * np.pi * f * time) * (np.sin(np.pi * time) ** 2) for f in (262, 330, 392)),
    }[kind].astype(np.float32)
    path = write_wav(tmp_path / f"{kind}.wav", samples)
    with Recording.open(path) as recording:
        blocks = list(recognizer.blocks(recording))
        assert words_of(blocks) == ""
        assert blocks[-1].end == pytest.approx(12, abs=0.01)
        with pytest.raises(InputError, match=rf"{kind}\.wav: expected speech, found no word in it"):
            spoken_conversation(recording, blocks)


def test_recording_without_sound(recognizer: SpeechRecognizer, tmp_path: Path) -> None:
    import av

    path = write_mp4(tmp_path / "with.mp4", np.zeros(RATE, np.float32), plain)
    silent = tmp_path / "mute.mp4"
    with av.open(str(path)) as source, av.open(str(silent), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with Recording.open(silent) as recording, pytest.raises(InputError, match=r"mute\.mp4: expected .* sound"):
        next(recognizer.blocks(recording))


def test_language(recognizer: SpeechRecognizer, talk: SpokenRecording) -> None:
    with Recording.open(talk.path) as recording, pytest.raises(InputError, match="no language 'de'; known are en"):
        next(recognizer.blocks(recording, language="de"))


def test_no_samples() -> None:
    assert find_speech(np.empty(0, np.float32)) == []
    assert find_speech(np.zeros(100, np.float32)) == []


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no config\.json and no model\.bin and no tokenizer\.json and no voc"):
        SpeechRecognizer.load(str(tmp_path))
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"found no vocabulary\.json$"):
        SpeechRecognizer.load(str(tmp_path))
    (tmp_path / "vocabulary.txt").write_text("a\n")
    with pytest.raises(InputError, match="cannot be loaded as a Whisper model"):
        SpeechRecognizer.load(str(tmp_path))
    with pytest.raises(InputError, match="found a file"):
        SpeechRecognizer.load(str(tmp_path / "model.bin"))
    with pytest.raises(InputError, match=r"unknown speech model 'bsae.en' \(did you mean base.en\?\)"):
        SpeechRecognizer.load("bsae.en")


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 0.999])
def test_a_model_that_was_cut_is_refused(tmp_path: Path, share: float) -> None:
    folder = shutil.copytree(speech_model(), tmp_path / "model")
    with (folder / "model.bin").open("r+b") as file:
        file.truncate(int(share * (folder / "model.bin").stat().st_size))
    with pytest.raises(InputError, match="cannot be loaded as a Whisper model") as caught:
        SpeechRecognizer.load(str(folder), threads=1)
    assert "\n" not in str(caught.value)


def test_folder_needs_no_network(no_network: list[object]) -> None:
    SpeechRecognizer.load(str(speech_model()), threads=1)
    assert no_network == []


def test_name_without_a_network(
    no_network: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"tiny\.en. is no folder here and could not be downloaded"):
        SpeechRecognizer.load("tiny.en")
    assert [record.getMessage() for record in caplog.records if record.name.startswith("broadmamba")] == [
        "the speech model tiny.en is not in the cache: downloading it from Hugging Face"
    ]


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: object, **options: object) -> object:
        if name.startswith("faster_whisper"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"broadmamba\[recording\].*, or pass a transcript"):
        SpeechRecognizer.load("tiny.en")
    with pytest.raises(MissingExtraError, match=r"broadmamba\[recording\]"):
        find_speech(np.zeros(RATE, np.float32))


@pytest.mark.parametrize(
    "values", [{}, {"start": 0}, {"start": 0, "end": 1, "language": None, "speech": 3, "words": []}]
)
def test_damaged_blocks(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match="stored block of speech"):
        SpeechBlock.from_dict(values)


class Named:
    """All that the words' way to a conversation needs of a recording."""

    path = Path("talk.wav")


def said(text: str, start: float = 0.0, seconds: float = 0.4, gap: float = 0.0) -> list[Word]:
    """Words of equal length, one after the other."""
    step = seconds + gap
    return [Word(start + i * step, start + i * step + seconds, f" {word}") for i, word in enumerate(text.split())]


def texts(words: Sequence[Word], turns: Sequence[Turn] = ()) -> list[tuple[str | None, str]]:
    block = SpeechBlock(0.0, 999.0, "en", (), tuple(words))
    return [(u.speaker, u.text) for u in spoken_conversation(Named(), [block], turns)]


def test_utterances_end_at_pauses() -> None:
    assert texts(said("Well then.") + said("Good night.", start=1.7)) == [(None, "Well then. Good night.")]
    assert texts(said("Well then.") + said("Good night.", start=1.9)) == [(None, "Well then."), (None, "Good night.")]


def test_a_change_of_speaker_goes_to_the_end_of_the_sentence_beside_it() -> None:
    words = said("I have it. Where was it then")
    for change in (0.9, 1.2, 1.7):
        turns = [Turn(0, change, "A"), Turn(change, 9, "B")]
        assert texts(words, turns) == [("A", "I have it."), ("B", "Where was it then")]


def test_a_change_of_speaker_without_any_sign_stays() -> None:
    words = said("one two three four five six")
    assert texts(words, [Turn(0, 0.8, "A"), Turn(0.8, 9, "B")]) == [("A", "one two"), ("B", "three four five six")]


def test_words_between_turns_go_to_the_nearest() -> None:
    words = said("one") + said("two", start=5)
    assert texts(words, [Turn(1, 2, "A"), Turn(4, 4.5, "B")]) == [("A", "one"), ("B", "two")]


def test_long_speech_is_divided_after_a_sentence() -> None:
    sentence = "this is a sentence of eight words altogether. "
    found = texts(said(sentence * 12))
    assert len(found) > 1
    assert all(text.endswith("altogether.") for _, text in found)


def test_long_speech_without_marks_is_divided_at_a_pause() -> None:
    words = said("word " * 30) + said("last " * 30, start=12.5)
    assert texts(words) == [(None, ("word " * 30).strip()), (None, ("last " * 30).strip())]


def test_languages_without_spaces() -> None:
    words = [Word(0, 0.5, "今日は"), Word(0.5, 1, "いい天気。")]
    assert texts(words) == [(None, "今日はいい天気。")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.floats(0, 2), st.sampled_from([" a", " b.", " c?", "d"])), min_size=1, max_size=60
    ),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 9), st.sampled_from("AB")), max_size=12),
)
def test_no_word_is_lost(lengths: list[tuple[float, float, str]], stretches: list[tuple[float, float, str]]) -> None:
    words: list[Word] = []
    for gap, length, text in lengths:
        start = (words[-1].end if words else 0.0) + gap
        words.append(Word(start, start + length, text))
    turns: list[Turn] = []
    for gap, length, speaker in stretches:
        start = (turns[-1].end if turns else 0.0) + gap
        turns.append(Turn(start, start + length, speaker))
    found = spoken_conversation(Named(), [SpeechBlock(0, 999, "en", (), tuple(words))], turns)
    assert "".join(u.text for u in found).replace(" ", "") == "".join(w.text for w in words).replace(" ", "")
    assert {u.speaker for u in found} <= {turn.speaker for turn in turns} | (set() if turns else {None})
    spans = [(u.start, u.end) for u in found]
    assert spans == sorted(spans)
    assert all(start <= end for start, end in spans)
