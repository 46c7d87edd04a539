"""JSON of openai-whisper, faster-whisper, whisperX and whisper.cpp, as these programs write it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript


@pytest.fixture
def read(tmp_path: Path):
    def read(content: object, name: str = "talk.json", indent: int | None = None, turns: str = "") -> Conversation:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=indent), encoding="utf-8")
        speakers = None
        if turns:
            speakers = tmp_path / "turns.rttm"
            speakers.write_text(turns)
        return read_transcript(path, speakers=speakers)

    return read


def said(conversation: Conversation) -> list[tuple[str | None, str, float | None, float | None]]:
    return [(u.speaker, u.text, u.start, u.end) for u in conversation]


SEGMENTS = [
    {"id": 0, "seek": 0, "start": 0.0, "end": 2.5, "text": " Hello there.", "tokens": [1, 2], "temperature": 0.0},
    {"id": 1, "seek": 0, "start": 2.5, "end": 4.0, "text": " Général Kenobi.", "avg_logprob": -0.2},
]
PLAIN = [(None, "Hello there.", 0.0, 2.5), (None, "Général Kenobi.", 2.5, 4.0)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["talk.json", "talk.txt", "talk.jsonl"])
def test_segments_of_openai_whisper_and_a_bare_list(read, name, indent):
    whole = {"text": " Hello there. Général Kenobi.", "segments": SEGMENTS, "language": "en"}
    assert said(read(whole, name, indent)) == PLAIN
    assert said(read(SEGMENTS, name, indent)) == PLAIN


def test_segments_of_faster_whisper(read):
    from faster_whisper.transcribe import Segment, Word

    segment = Segment(
        id=1, seek=0, start=0.5, end=1.5, text=" Oh no.", tokens=[], avg_logprob=0.0, compression_ratio=1.0,
        no_speech_prob=0.0, words=[Word(0.5, 1.0, " Oh", 0.9), Word(1.0, 1.5, " no.", 0.9)], temperature=0.0,
    )  # fmt: skip
    assert said(read([asdict(segment)])) == [(None, "Oh no.", 0.5, 1.5)]


def test_milliseconds_of_whisper_cpp(read):
    entries = [
        {
            "timestamps": {"from": "00:00:00,000", "to": "00:00:02,560"},
            "offsets": {"from": 0, "to": 2560},
            "text": " Hi.",
        },
        {"timestamps": {}, "offsets": {"from": 2560, "to": 3999}, "text": " Ho.", "speaker": "1"},
    ]
    whole = {"systeminfo": "", "model": {}, "params": {}, "result": {"language": "en"}, "transcription": entries}
    assert said(read(whole, indent=2)) == [(None, "Hi.", 0.0, 2.56), ("1", "Ho.", 2.56, 3.999)]


def word(text: str, start: float | None, speaker: str | None = None) -> dict[str, object]:
    times = {} if start is None else {"start": start, "end": start + 0.5, "score": 0.9}
    return {"word": text, **times, **({} if speaker is None else {"speaker": speaker})}


def test_segments_of_whisperx_are_split_where_the_words_change_speaker(read):
    segments = [
        {"start": 0.1, "end": 1.0, "text": " One speaker.", "speaker": "S0", "words": [word("One", 0.1, "S0")]},
        {
            "start": 1.0,
            "end": 6.0,
            "text": " How are you, 42?  Fine, thanks. Good.",
            "speaker": "S0",
            "words": [
                word("How", 1.0), word("are", 1.5, "S0"), word("you,", 2.0, "S0"), word("42?", None),
                word("Fine,", 3.0, "S1"), word("thanks.", 3.5, "S1"),
                word("Good.", None, "S0"),
            ],
        },
        {"start": 6.0, "end": 7.0, "text": "[S1]: Bye.", "speaker": "S1"},
    ]  # fmt: skip
    assert said(read({"segments": segments, "word_segments": []})) == [
        ("S0", "One speaker.", 0.1, 1.0),
        ("S0", "How are you, 42?", 1.0, 2.5),
        ("S1", "Fine, thanks.", 3.0, 4.0),
        ("S0", "Good.", None, None),
        ("S1", "Bye.", 6.0, 7.0),
    ]


def test_words_in_a_script_without_spaces_and_words_that_are_not_in_the_text(read):
    words = [word("你", 0.0, "A"), word("好", 0.5, "A"), word("好", 1.0, "B")]
    segment = {"start": 0, "end": 2, "text": "你好。好", "words": words}
    assert [entry[:2] for entry in said(read([segment]))] == [("A", "你好。"), ("B", "好")]
    segment["text"] = "other"
    assert [entry[:2] for entry in said(read([segment]))] == [("A", "你好"), ("B", "好")]


TURNS = "SPEAKER talk 1 0 2.2 <NA> <NA> Anna <NA> <NA>\nSPEAKER talk 1 2.2 9 <NA> <NA> Bob <NA> <NA>\n"


def test_turns_give_speakers_to_words_and_to_segments_without_words(read):
    words = [word("Well,", 1.0), word("no.", 1.5), word("Yes.", 2.5)]
    segments = [
        {"start": 1.0, "end": 3.0, "text": " Well, no. Yes.", "words": words},
        {"start": 3.0, "end": 4.0, "text": "Hm."},
        {"start": 4.0, "end": 5.0, "text": "Known.", "speaker": "Zoë"},
    ]
    assert said(read(segments, turns=TURNS)) == [
        ("Anna", "Well, no.", 1.0, 2.0),
        ("Bob", "Yes.", 2.5, 3.0),
        ("Bob", "Hm.", 3.0, 4.0),
        ("Zoë", "Known.", 4.0, 5.0),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"segments": []}, "expected at least one utterance, found none"),
        ({"segments": [1]}, "segment 1: expected a JSON object, found int"),
        ([{"start": 0}, {}], "segment 1: expected a key text, found start"),
        ([{"text": "a"}, {"text": None}], "segment 2: the text is 'None', expected a string"),
        ([{"text": "a", "start": -1, "end": 1}], "segment 1: expected a time from 0 to 1000 hours, found -1 s"),
        ([{"text": "a", "start": float("nan"), "end": 1}], "expected a time from 0 to 1000 hours, found nan s"),
        ([{"text": "a", "start": 2, "end": 1}], "segment 1: expected an end at 2.0 s or later, found 1.0 s"),
        ([{"text": "a", "start": "soon"}], "segment 1: expected a time in seconds, found 'soon'"),
        ([{"text": "a", "speaker": ["x"]}], "segment 1: the speaker is"),
        (
            [{"text": "a", "words": [{"word": "a", "start": "x"}]}, {"text": "b"}],
            "segment 1, word 1: expected a time in seconds",
        ),
        ('{\n  "segments": [\n', "expected JSON, found something else"),
        (
            '{\n  "language": "en"\n}',
            "or utterances with times, found an object with language",
        ),
        ('{"text": "Hi", "segments": [{"text": "\\ud800"}]}', "holds half a character"),
        ("[" + '{"segments":[' * 100_000, "expected a JSON object"),
    ],
)
def test_damaged_files(read, content, message):
    with pytest.raises(InputError) as error:
        read(content)
    assert message in str(error.value)
    assert "talk.json" in str(error.value) and "\n" not in str(error.value)


def test_lines_of_json_stay_lines(read):
    lines = '{"text": "Hi", "segments": []}\n{"text": "Ho"}\n'
    assert [entry[1] for entry in said(read(lines))] == ["Hi", "Ho"]
    assert [entry[1] for entry in said(read("[door opens]\nAnna: Hi\n", "talk.txt"))] == ["[door opens]", "Hi"]
