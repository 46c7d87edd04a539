"""WebVTT captions, held against webvtt-py, the rules of the format and our own reader."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
import webvtt
from hypothesis import given, settings
from timed_predictions import conversations, lines, predict

from broadmamba.data.conversation import Utterance
from broadmamba.media.transcripts import read_transcript
from broadmamba.recognition.captions import webvtt_text


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captions") / "talk.vtt"


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.split(":")
    return round(int(hours) * 3600 + int(minutes) * 60 + float(rest), 3)


@settings(max_examples=80, deadline=None)
@given(prediction=conversations(apart=False))
def test_webvtt_py_reads_every_cue_with_voice_emotion_text_and_times(path, prediction):
    path.write_text(webvtt_text(prediction), encoding="utf-8", newline="")
    written = lines(prediction)
    captions = webvtt.read(str(path)).captions
    assert [(seconds(c.start), seconds(c.end)) for c in captions] == [entry[2:] for entry in written]
    by_start = sorted(prediction, key=lambda item: item.utterance.start)
    for caption, item, (speaker, text, _, _) in zip(captions, by_start, written, strict=True):
        assert html.unescape(caption.voice or "") == (speaker or "")
        assert html.unescape(caption.text) == f"[{item.label} {item.probability:.0%}] {text}".strip()
        assert f"<c.emotion.{item.label}>[{item.label} {item.probability:.0%}]</c>" in caption.raw_text


@settings(max_examples=80, deadline=None)
@given(prediction=conversations(apart=True))
def test_our_reader_gives_what_was_said_without_the_emotion(path, prediction):
    path.write_text(webvtt_text(prediction), encoding="utf-8", newline="")
    spoken = [entry for entry in lines(prediction) if entry[0] is not None]
    assert [entry for entry in lines(read_transcript(path)) if entry[0] is not None] == spoken


@settings(max_examples=80, deadline=None)
@given(prediction=conversations(apart=False))
def test_blocks_and_cues_are_what_the_format_allows(prediction):
    text = webvtt_text(prediction)
    header, *blocks = text.rstrip("\n").split("\n\n")
    assert header == "WEBVTT" and text.endswith("\n") and not text.endswith("\n\n")
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f]", text) == []
    starts = []
    for block in blocks:
        if block.startswith(("NOTE", "STYLE")):
            assert not starts and "-->" not in block
            continue
        _, timing, *payload = block.split("\n")
        start, end = re.fullmatch(r"(\d{2,}:\d\d:\d\d\.\d{3}) --> (\d{2,}:\d\d:\d\d\.\d{3})", timing).groups()
        assert seconds(start) < seconds(end)
        starts.append(seconds(start))
        assert len(payload) == 1 and "-->" not in payload[0]
        tags = re.sub(r"<v [^<>&\n]*(?:&\w+;[^<>&\n]*)*>|<c\.emotion\.[a-z]+>|</c>|&(amp|lt|gt);", "", payload[0])
        assert not set("<>&") & set(tags)
    assert starts == sorted(starts)


def test_a_caption_as_a_person_sees_it():
    prediction = predict(
        Utterance("1", "We won -->\n\nreally", "Anna", 1.0, 2.5),
        Utterance("2", "at once", "Bob", 360_000.0, 360_000.0),
        Utterance("3", "when?", "Bob"),
        Utterance("4", "when?", "Bob", 3.0, 2.0),
    )
    _, *rest = webvtt_text(prediction).split("\n\n", 2)
    assert rest[1] == (
        "STYLE\n::cue(.emotion) { font-weight: bold; }\n::cue(.joy) { color: #e69f00; }\n\n"
        "NOTE 2 of 4 utterances have no times and are left out.\n\n"
        "1\n00:00:01.000 --> 00:00:02.500\n<v Anna><c.emotion.joy>[joy 70%]</c> We won --&gt; really\n\n"
        "2\n100:00:00.000 --> 100:00:00.001\n<v Bob><c.emotion.joy>[joy 70%]</c> at once\n"
    )


def test_labels_that_are_no_class_names_and_have_no_colour(path):
    for label in ("very happy!", "悲しみ", "7 <b>"):
        text = webvtt_text(predict(Utterance("1", "Hi", "Anna", 0.0, 1.0), label=label))
        assert "STYLE" not in text
        path.write_text(text, encoding="utf-8")
        assert webvtt.read(str(path)).captions[0].text.endswith("70%] Hi")
        assert [u.text for u in read_transcript(path)] == ["Hi"]


def test_nothing_with_times_gives_only_the_note():
    text = webvtt_text(predict(Utterance("1", "Hi", "Anna")))
    assert "1 of 1 utterances have no times" in text and "\n1\n" not in text
