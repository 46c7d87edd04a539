"""Times as people and programs write them, the one limit of all formats, and control characters in all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadmamba.data.conversation import LATEST, Conversation, Utterance
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript
from broadmamba.media.transcripts.rows import check_seconds, parse_time


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("7", 7.0),
        ("7,25", 7.25),
        ("7.25e1", 72.5),
        ("1:02.5", 62.5),
        ("01:02:03,004", 3723.004),
        ("01:02:03.5", 3723.5),
        ("01:02:03,50", 3723.5),
        ("01:02:03.123456", 3723.123456),
        ("01:02:03:045", 3723.045),
        ("٠٠:٠٠:٠٧,٢٥٠", 7.25),
        ("００：００：０７，２５０", 7.25),
        ("\u202a00:00:07,250\u202c", 7.25),
        ("1000:00:00.000", 3_600_000.0),
    ],
)
def test_times_that_are_read(written, seconds):
    assert parse_time(written, "a") == seconds


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("00:00:07:12", "which counts frames"),
        ("00:00:07;12", "which counts frames"),
        ("-00:00:07", "expected a time of 0 or later"),
        ("−7", "expected a time of 0 or later"),
        ("00:00:60,000", "HH:MM:SS.mmm"),
        ("00: 00:07,250", "HH:MM:SS.mmm"),
        ("00:00:07,,250", "HH:MM:SS.mmm"),
        ("00:00:07.250,5", "HH:MM:SS.mmm"),
        ("inf", "HH:MM:SS.mmm"),
        ("nan", "HH:MM:SS.mmm"),
        ("0x10", "HH:MM:SS.mmm"),
        ("1_000", "HH:MM:SS.mmm"),
        ("1e400", "HH:MM:SS.mmm"),
        ("9" * 400, "HH:MM:SS.mmm"),
        ("1e30", "at most 1000 hours"),
        ("3600000.5", "at most 1000 hours"),
        ("1000:00:00.001", "at most 1000 hours"),
        ("1000000000:00:00,000", "HH:MM:SS.mmm"),
        ("999999999:00:00,000", "at most 1000 hours"),
        ("1700000000", "at most 1000 hours"),
    ],
)
def test_times_that_are_refused_in_a_sentence(written, said):
    with pytest.raises(InputError, match=said) as error:
        parse_time(written, "talk, line 3")
    assert str(error.value).startswith("talk, line 3: ") and len(str(error.value)) < 160


@given(st.integers(0, round(LATEST * 1000)))
def test_every_millisecond_of_the_longest_recording(milliseconds):
    seconds, rest = divmod(milliseconds, 1000)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    assert parse_time(f"{clock},{rest:03d}", "a") == parse_time(f"{clock}:{rest:03d}", "a") == milliseconds / 1000


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), LATEST + 1, 10**400, -(10**400)])
def test_numbers_that_are_no_times(value):
    with pytest.raises(InputError, match="a: expected a time from 0 to 1000 hours"):
        check_seconds(value, "a")


FORMATS = [
    ("a.srt", "1\n00:00:01,000 --> {}:00:00,000\nHi\n"),
    ("a.vtt", "WEBVTT\n\n00:01.000 --> {}:00:00.000\nHi\n"),
    ("a.csv", "start,end,text\n1.5,{}:00:00,Hi\n"),
    ("a.jsonl", '{{"start": 1.5, "end": {}e4, "text": "Hi"}}\n'),
    ("a.json", '{{"segments": [{{"start": 1.5, "end": {}e4, "text": "Hi"}}]}}\n'),
    ("a.ctm", "a 1 0.5 0.5 Hi\na 1 {}e4 0.5 Ho\n"),
    ("a.rttm", "SPEAKER a 1 0.5 {}e4 <NA> <NA> Anna <NA> <NA>\n"),
    (
        "a.TextGrid",
        '"ooTextFile"\n"TextGrid"\n0\n9\n<exists>\n1\n"IntervalTier"\n"Anna"\n0\n9\n1\n0.5\n{}e4\n"Hi"\n',
    ),
    (
        "a.eaf",
        '<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="10"/>'
        '<TIME_SLOT TIME_SLOT_ID="b" TIME_VALUE="{}0000000"/></TIME_ORDER><TIER TIER_ID="Anna"><ANNOTATION>'
        '<ALIGNABLE_ANNOTATION ANNOTATION_ID="x" TIME_SLOT_REF1="a" TIME_SLOT_REF2="b"><ANNOTATION_VALUE>Hi'
        "</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>",
    ),
]


@pytest.mark.parametrize(("name", "content"), FORMATS)
def test_no_format_lets_a_time_through_that_no_recording_has(tmp_path, name, content):
    (tmp_path / name).write_text(content.format(90))
    assert read_transcript(tmp_path / name).utterances[-1].end >= 90 * 3600
    for hours in ("1001", "999999999"):
        (tmp_path / name).write_text(content.format(hours))
        with pytest.raises(InputError, match="1000 hours") as error:
            read_transcript(tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("start", "end"),
    [(1.0, 0.5), (0.0, float("inf")), (float("nan"), 1.0), (None, -1.0), (0.0, 3.6e12), (None, 10**400)],
)
def test_a_conversation_made_in_python_is_checked_where_a_recording_comes_in(start, end):
    Conversation("talk", (Utterance("a"), Utterance("b", start=1.0), Utterance("c", start=2.0, end=2.0))).check_times()
    with pytest.raises(InputError, match="utterance 'b': expected times from 0 to 1000 hours"):
        Conversation("talk", (Utterance("a"), Utterance("b", start=start, end=end))).check_times()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json.dumps({"text": "a\x00b\x1b[2Jc", "speaker": "An\x07na", "start": 0, "end": 1}) + "\n"),
        (
            "a.json",
            json.dumps({"segments": [{"text": "a\x00b\x1b[2Jc", "speaker": "An\x07na", "start": 0, "end": 1}]}),
        ),
        ("a.vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\n<v An\x1bna>a\x1bb\x1b[2Jc</v>\n"),
        ("a.srt", "1\n00:00:00,000 --> 00:00:01,000\nAn\x1bna: a\x1bb\x1b[2Jc\n"),
        ("a.csv", "speaker,text,start,end\nAn\x1bna,a\x1bb\x9b[2Jc,0,1\n"),
        ("a.txt", "An\x1bna: a\x1bb\x1b[2Jc\n"),
    ],
)
def test_control_characters_are_a_space_in_every_format(tmp_path: Path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    utterance = read_transcript(tmp_path / name).utterances[0]
    assert utterance.text == "a b [2Jc"
    assert utterance.speaker == "An na"
