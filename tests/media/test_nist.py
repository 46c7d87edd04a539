"""CTM and RTTM, and how words become utterances."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript, read_turns
from broadmamba.media.transcripts.words import PAUSE, Word, group_words
from broadmamba.media.turns import Turn


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str, name: str = "talk.ctm", **others: str) -> Conversation:
        for ending, text in others.items():
            (tmp_path / f"talk.{ending}").write_text(text, encoding="utf-8")
        (tmp_path / name).write_text(content, encoding="utf-8")
        return read_transcript(tmp_path / name)

    return read


def said(conversation: Conversation) -> list[tuple[str | None, str, float | None, float | None]]:
    return [(u.speaker, u.text, u.start, u.end) for u in conversation]


CTM = (
    ";; made by hand\n\ntalk 1 0.10 0.20 so 0.98\ntalk 1 0.30 0.35 naïve NA\n"
    "talk 1 1.10 0.20 not 1.0 lex\ntalk 1 1.35 .5 now\n  ;; end\n"
)
RTTM = (
    ";; turns\nSPKR-INFO talk 1 <NA> <NA> <NA> unknown Anna <NA>\n"
    "SPEAKER talk 1 0.0 1.3 <NA> <NA> Anna <NA> <NA>\nSPEAKER talk 1 1.3 2 <NA> <NA> Bob 0.9\n"
)


def test_words_are_grouped_at_pauses_and_speakers_come_from_the_file_beside(read):
    pauses = [("so naïve", 0.1, 0.65), ("not now", 1.1, 1.85)]
    assert said(read(CTM.replace("1.10", "1.16"))) == [(None, "so naïve", 0.1, 0.65), (None, "not now", 1.16, 1.85)]
    assert said(read(CTM)) == [(None, "so naïve not now", 0.1, 1.85)]
    assert said(read(CTM, rttm=RTTM)) == [("Anna", "so naïve not", 0.1, 1.3), ("Bob", "now", 1.35, 1.85)]
    assert pauses[0][2] + PAUSE > pauses[1][1]  # the example stands at the border


@pytest.mark.parametrize("name", ["talk.ctm", "talk.txt", "talk", "talk.words"])
def test_ctm_by_content(read, name):
    assert len(read(CTM, name)) == 1


def test_a_talk_about_numbers_is_no_ctm(read):
    lines = "Room A 12 30 people came.\nThat is all.\n"
    assert [entry[1] for entry in said(read(lines, "talk.txt"))] == lines.splitlines()


def test_turns_alone_are_utterances_without_words(read, tmp_path):
    for name in ("talk.rttm", "talk.txt"):
        assert said(read(RTTM, name)) == [("Anna", "", 0.0, 1.3), ("Bob", "", 1.3, 3.3)]
        assert read_turns(tmp_path / name) == (Turn(0.0, 1.3, "Anna"), Turn(1.3, 3.3, "Bob"))


def test_turns_give_speakers_to_any_transcript(tmp_path):
    (tmp_path / "who.rttm").write_text(RTTM)
    (tmp_path / "talk.srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nHi\n\n2\n00:00:01,500 --> 00:00:02,000\nZoë: Ho\n\n"
        "3\n00:00:01,500 --> 00:00:02,000\nHa\n\n4\n00:09:00,000 --> 00:09:01,000\nLate\n",
        encoding="utf-8",
    )
    (tmp_path / "talk.rttm").write_text(RTTM)
    conversation = read_transcript(tmp_path / "talk.srt", speakers=tmp_path / "who.rttm")
    assert [u.speaker for u in conversation] == ["Anna", "Zoë", "Bob", None]
    assert [u.speaker for u in read_transcript(tmp_path / "talk.srt")] == [None, "Zoë", None, None]


def test_of_several_recordings_the_one_of_the_files_name_is_read(read):
    other = "other 1 5 1 no\nother 1 6 1 no\n"
    assert said(read(other + CTM)) == said(read(CTM))
    turns = RTTM + "SPEAKER other 1 0 9 <NA> <NA> Zoë <NA> <NA>\n"
    assert [u.speaker for u in read(CTM, rttm=turns)] == ["Anna", "Bob"]
    with pytest.raises(InputError, match=r"one.ctm: expected one recording, or one named one, found 2 \(other, talk\)"):
        read(other + CTM, "one.ctm")


def test_channels_and_named_speakers(read):
    two = "talk A 0 0.5 hi\ntalk B 0.2 0.2 hm\ntalk A 0.6 0.5 there\ntalk B 2 0.5 oh NA lex Bob\n"
    assert said(read(two)) == [("A", "hi there", 0.0, 1.1), ("B", "hm", 0.2, 0.4), ("Bob", "oh", 2.0, 2.5)]
    named = "talk 1 0 0.5 hi 1 lex Anna\ntalk 1 0.5 0.5 ho 1 lex unknown\n"
    assert said(read(named)) == [("Anna", "hi", 0.0, 0.5), (None, "ho", 0.5, 1.0)]


def test_silence_is_not_said_not_in_the_times_and_no_bridge(read):
    lines = (
        ";; decoded\ntalk 1 0.0 0.4 <eps>\ntalk 1 0.4 0.3 they 0.9\ntalk 1 0.7 0 <s> 1\ntalk 1 0.7 0.3 SIL\n"
        "talk 1 1.0 0 left\ntalk 1 1.0 0.1 <unk> 0.2\ntalk 1 1.1 2.0 <eps> 1.00\ntalk 1 3.1 0.2 sp\n"
        "talk 1 3.3 0.4 why 0.7\ntalk 1 3.7 1 [noise]\n"
    )
    assert said(read(lines)) == [(None, "they left", 0.4, 1.0), (None, "why", 3.3, 3.7)]
    with pytest.raises(InputError, match="expected at least one utterance, found none"):
        read("talk 1 0 1 <eps>\ntalk 1 1 1 sil\n")
    with pytest.raises(InputError, match="line 2: expected a start and a duration in seconds, found 'x'"):
        read("talk 1 0 1 <eps>\ntalk 1 x 1 <eps>\n")


def test_lines_that_say_that_they_are_no_words_and_channels_without_a_word(read):
    lines = (
        "talk A 0 0.5 hi 0.9 lex\ntalk A 0.5 0.2 door NA noise\ntalk A 0.7 0.2 %laugh 0.5 non-lex\n"
        "talk A 0.9 0.3 uh 1 fp\ntalk B 0 9 <eps> 1\n"
    )
    assert said(read(lines)) == [(None, "hi uh", 0.0, 1.2)]


def test_of_alternatives_the_first_counts(read):
    lines = (
        "talk 1 0 0.5 I\ntalk 1 * * <ALT_BEGIN>\ntalk 1 0.5 0.2 am\ntalk 1 * * <ALT>\ntalk 1 0.5 0.2 was\n"
        "talk 1 * * <ALT>\ntalk 1 0.5 0.2 be\ntalk 1 * * <ALT_END>\ntalk 1 0.7 0.2 here\n"
    )
    assert [entry[1] for entry in said(read(lines, "talk.txt"))] == ["I am here"]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("talk 1 0 0.5\n", "a.ctm", "line 1: expected recording, channel, start, duration and word, found 4 fields"),
        ("talk 1 0 0.5 a\ntalk 1 -1 0.5 a\n", "a.ctm", "line 2: expected a time from 0 to 1000 hours, found -1.0 s"),
        ("talk 1 0 -0.5 a\n", "a.ctm", "line 1: expected a time from 0 to 1000 hours, found -0.5 s"),
        ("talk 1 nan 0.5 a\n", "a.ctm", "line 1: expected a start and a duration in seconds, found 'nan'"),
        ("talk 1 1e999 0.5 a\n", "a.ctm", "line 1: expected a time from 0 to 1000 hours, found inf s"),
        (";; nothing\n", "a.ctm", "expected at least one utterance, found none"),
        (";; nothing\n", "a.rttm", "expected an RTTM table with lines SPEAKER, found none"),
        ("SPEAKER a 1 0 1 <NA>\n", "a.rttm", "line 1: expected 9 or 10 fields of RTTM, found 6"),
        ("SPEAKER a 1 x 1 <NA> <NA> A <NA>\n", "a.rttm", "line 1: expected a start and a duration in seconds"),
        (
            "".join(f"SPEAKER a 1 {n} 1 <NA> <NA> {n} <NA>\n" for n in range(1001)),
            "a.rttm",
            "expected at most 1000 speakers, found 1001",
        ),
    ],
)
def test_damaged_files(read, content, name, message):
    with pytest.raises(InputError) as error:
        read(content, name)
    assert message in str(error.value)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_a_damaged_file_beside_is_named(read):
    with pytest.raises(InputError, match=r"talk\.rttm, line 1: expected 9 or 10 fields"):
        read(CTM, rttm="SPEAKER a 1 0\n")


def spoken(words: list[Word]) -> list[tuple[str | None, str, float, float]]:
    return [(row.speaker, row.text, row.start, row.end) for row in group_words(words)]


def test_a_reply_ends_an_utterance_and_one_spoken_over_it_does_not():
    reply = [Word("", "yes", 0, 0.5, "A"), Word("", "no", 0.55, 0.7, "B"), Word("", "but", 0.75, 1, "A")]
    assert [entry[1] for entry in spoken(reply)] == ["yes", "no", "but"]
    over = [Word("", "yes", 0, 0.5, "A"), Word("", "no", 0.4, 0.7, "B"), Word("", "but", 0.75, 1, "A")]
    assert [entry[1] for entry in spoken(over)] == ["yes but", "no"]


words = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6), st.sampled_from("ABC")), min_size=1, max_size=25)


@settings(max_examples=200, deadline=None)
@given(words)
def test_utterances_are_those_of_the_slow_rule(entries):
    """The rule as it is stated, each word held against every other; tenths of a second."""
    entries = sorted(((s, s + n, name) for s, n, name in entries), key=lambda entry: entry[:2])
    spoken_words = [Word("", str(i), s / 10, e / 10, name) for i, (s, e, name) in enumerate(entries)]
    slow: list[list[int]] = []
    last: dict[str, list[int]] = {}
    for i, (start, _, name) in enumerate(entries):
        current = last.get(name)
        if current is not None:
            end = entries[current[-1]][1]
            between = any(s >= end and e <= start for s, e, other in entries[:i] if other != name)
            if start - end > PAUSE * 10 or between:
                current = None
        if current is None:
            current = last[name] = []
            slow.append(current)
        current.append(i)
    assert [row.text for row in group_words(spoken_words)] == [" ".join(map(str, indices)) for indices in slow]


def test_marks_in_the_text_of_a_segment(tmp_path):
    path = tmp_path / "talk.stm"
    path.write_text("talk 1 Ana 0.5 2.0 <eps> it <sil> snowed\ntalk 1 Ben 2.0 3.0 <o,f0,male> sp is <unk> Spanish @\n")
    assert [u.text for u in read_transcript(path)] == ["it snowed", "sp is Spanish"]
