"""Who is nobody known, and which words before a colon are names, by all lines of a conversation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.media.transcripts import read_transcript, read_turns
from broadmamba.media.transcripts.names import Names, known_name


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str, name: str = "talk.txt") -> list[tuple[str | None, str]]:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return [(u.speaker, u.text) for u in read_transcript(tmp_path / name)]

    return read


def cues(lines: list[str], webvtt: bool = False) -> str:
    mark = "." if webvtt else ","
    blocks = [f"00:00:{n:02d}{mark}000 --> 00:00:{n + 1:02d}{mark}000\n{line}\n" for n, line in enumerate(lines)]
    return ("WEBVTT\n\n" if webvtt else "") + "\n".join(blocks)


NOBODY = [
    "?", "??", "unknown", "UNKNOWN", "Unknown Speaker", "unknown_speaker", "Speaker Unknown", "SPEAKER_UNKNOWN",
    "(speaker ?)",
    "speaker ?", "spk_?", "Speaker: ?", "UU", "None", "null", "NA", "<NA>", "N/A", "nan", "-1", "-", "—", " ", "",
    "<unk>",
]  # fmt: skip
SOMEBODY = [
    "0",
    "1",
    "Speaker 0",
    "spk_0",
    "SPEAKER_00",
    "S1",
    "A",
    "speaker",
    "Anna",
    "张伟",
    "🦊",
    "Unknown 2",
    "Ann Known",
]


@pytest.mark.parametrize("name", NOBODY)
def test_nobody_known(name):
    assert known_name(name) is None


@pytest.mark.parametrize("name", SOMEBODY)
def test_somebody(name):
    assert known_name(f" {name} ") == name


@pytest.mark.parametrize("name", ["?", "Unknown Speaker", "SPEAKER_UNKNOWN"])
def test_nobody_is_nobody_in_every_format(read, tmp_path, name):
    assert read(f"speaker,text\n{name},hi\nAnna,ho\n", "a.csv") == [(None, "hi"), ("Anna", "ho")]
    assert read(json.dumps({"speaker": name, "text": "hi", "start": 1}), "a.jsonl") == [(None, "hi")]
    assert read(json.dumps([{"speaker": name, "text": "hi", "start": 0, "end": 1}]), "a.json") == [(None, "hi")]
    assert read(f"WEBVTT\n\n00:01.000 --> 00:02.000\n<v {name}>hi\n", "a.vtt") == [(None, "hi")]
    column = name.replace(" ", "_")
    assert read(f"a 1 0 1 hi 1 lex {column}\na 1 1.9 1 ho 1 lex Anna\n", "a.ctm") == [(None, "hi"), ("Anna", "ho")]
    turns = f"SPEAKER a 1 0 1 <NA> <NA> {column} <NA>\nSPEAKER a 1 1 1 <NA> <NA> Anna <NA>\n"
    assert read(turns, "a.rttm") == [(None, ""), ("Anna", "")]
    assert [turn.speaker for turn in read_turns(tmp_path / "a.rttm")] == ["Anna"]


def test_a_prefix_of_nobody_known_opens_a_turn_and_is_not_said(read):
    assert read("Unknown Speaker: Hi.\nAnna: Ho.\nUnknown Speaker: Ha.\n") == [
        (None, "Hi."),
        ("Anna", "Ho."),
        (None, "Ha."),
    ]
    assert read(cues(["(speaker 0) Hi.", "(speaker ?) Ho.", "(speaker 1)Ha."]), "a.srt") == [
        ("0", "Hi."),
        (None, "Ho."),
        ("1", "Ha."),
    ]


ODD = [
    "Roe, Richard", "richard roe", "Mia’s iPad", "+49 30 901820", "Guest 7", "Erika Muster | Example Ltd",
    "r.roe@example.org",
    "O'Neil-Smith, Pat, PhD", "Zoë 🎸", "Room (2)", "李雷", "שרה כהן", "Иван Петров", "conference room 3", "mia",
    "P. Q. Roe",
    "Ana.K", "DOMAIN\\pat",
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["a.txt", "a.srt", "a.vtt"])
def test_a_name_that_comes_again_is_a_name_whatever_it_looks_like(read, odd, name):
    lines = [f"{odd}: Hello there.", "Anna: Who is it?", f"{odd}: It's me: {'your friend'}.", "Anna: So?"]
    content = "\n".join(lines) if name == "a.txt" else cues(lines, name == "a.vtt")
    assert read(content, name) == [
        (odd, "Hello there."),
        ("Anna", "Who is it?"),
        (odd, "It's me: your friend."),
        ("Anna", "So?"),
    ]


def test_where_every_cue_has_a_name_somebody_who_speaks_once_is_named_too(read):
    said = [(name, f"I am number {n}.") for n, name in enumerate(ODD)]
    assert read(cues([f"{name}: {text}" for name, text in said], webvtt=True), "a.vtt") == said


def test_only_the_first_line_of_a_cue_has_an_odd_name(read):
    content = cues(["richard roe: I said this\nthe plan: none at all", "mia: fine", "richard roe: right"])
    assert read(content, "a.srt")[0] == ("richard roe", "I said this the plan: none at all")


def test_a_full_width_colon_and_marks_of_direction(read):
    assert read("李 雷：你好\nroe, r：早\n李 雷：再见\nroe, r：好\n")[1] == ("roe, r", "早")
    rtl = "\u202bדנה:\u202c שלום\n\u200fרון כץ:\u200f היי\n\u202bדנה:\u202c כן\n"
    assert [name for name, _ in read(rtl)] == ["דנה", "רון כץ", "דנה"]


def test_wrapped_paragraphs_begin_with_a_name(read):
    content = (
        "Roe, Richard: a long text\nthat is wrapped\nover lines\n\nmia k: and\nso on\nand on\n\nRoe, Richard: yes\nno\n"
    )
    assert read(content) == [
        ("Roe, Richard", "a long text that is wrapped over lines"),
        ("mia k", "and so on and on"),
        ("Roe, Richard", "yes no"),
    ]


@pytest.mark.parametrize(
    "lines",
    [
        ["I slept.", "Note: the door was open.", "It rained.", "Question: who came in?", "I froze.",
         "Warning: it is sad."],
        ["I have one thing to say: stay.", "We did.", "I have one thing to say: stay.", "So we stayed."],
        ["my favourite quote: be kind.", "My plan: to win.", "my favourite quote: be kind."],
        ["He said: no.", "She said: yes.", "He said: why?", "She said: because."],
        ["Er sagte: nein.", "Sie sagte: ja.", "Er sagte: warum?", "Sie sagte: darum."],
        ["他说：“不”", "她说：“好”", "他说：“不”"],
        ["There are three reasons.", "First: it is late.", "Second: it is cold.", "Finally: I am tired."],
        ["I bought a few things.", "Apples: four.", "Pears: two.", "Plums: a bag.", "That was all."],
        ["once more: go.", "I ran.", "It was hot.", "once more: go.", "I fell.", "once more: go.", "No.", "Hm."],
        ["http://example.org is down.", "https://example.org: too.", "10:30 was early.", "12: 45 was late."],
        ["Note: be quick.", "Note: be kind.", "Note: be loud."],
    ],
)  # fmt: skip
def test_notes_sentences_quotations_and_lists_are_no_people(read, lines):
    assert read("\n".join(lines)) == [(None, line) for line in lines]
    assert read(cues(lines), "a.srt") == [(None, line) for line in lines]


def test_an_interview_of_question_and_answer(read):
    assert read("Question: Why?\nAnswer: So.\nQuestion: How?\nAnswer: Thus.\n") == [
        ("Question", "Why?"),
        ("Answer", "So."),
        ("Question", "How?"),
        ("Answer", "Thus."),
    ]
    assert read("Q: Why?\nA: So.\n") == [("Q", "Why?"), ("A", "So.")]


names = st.sampled_from(["Anna", "Bob Lee", "Doe, Jo", "kim", "Ana (x)", "?", "+1 555 010 0"])
lines = st.lists(
    st.tuples(names | st.text(max_size=8), st.sampled_from([": ", "：", ":", " "]), st.text(max_size=8)).map("".join)
)


@settings(max_examples=200, deadline=None)
@given(lines)
def test_a_name_and_what_is_said_stand_in_the_line(lines):
    found = Names(lines)
    for line in lines:
        said = found.split(line)
        if said is not None:
            assert line.strip().endswith(said.text)
            assert said.speaker is None or (said.speaker.strip() and len(said.text) < len(line))


def test_a_name_in_square_brackets_before_a_colon(read):
    lines = ["[SPEAKER_00]: We won.", "[SPEAKER_01]: Who did?", "[Anna Lee]: We did.", "[1]: a footnote, of nobody"]
    expected = [("SPEAKER_00", "We won."), ("SPEAKER_01", "Who did?"), ("Anna Lee", "We did."), (None, lines[3])]
    assert read(cues(lines)) == expected


def test_a_name_in_double_brackets_before_a_label(read):
    lines = ["0.50\t1.25\t[[SPEAKER_00]]We won: at last.", "2.25\t3.00\t[[?]] Who did?", "3.50\t4.00\t[We] did."]
    assert read("\n".join(lines)) == [("SPEAKER_00", "We won: at last."), (None, "Who did?"), (None, "[We] did.")]


@pytest.mark.parametrize(
    "lines",
    [
        ["It was dark.", "Honestly: we were afraid.", "So we sang.", "Nobody came."],
        ["Es war dunkel.", "Ehrlich: wir hatten Angst.", "Also sangen wir.", "Niemand kam."],
        ["Ingredients: rice, salt.", "Directions: boil it.", "Serves: four."],
        ["Option B: we hide.", "Friday: rain.", "Dinner: soup."],
        ["Te digo una cosa: vete.", "Resultado: nada.", "我只说一句：走吧。", "结果：没有。"],
        ["Cut to: a street at night.", "Weather: rain.", "Breaking news: it snows."],
    ],
)
def test_sentences_and_headings_with_a_colon(read, lines):
    assert read("\n".join(lines)) == [(None, line) for line in lines]


def test_somebody_who_speaks_once_among_sentences(read):
    assert read("Where is it?\n\nOlga: Up there.\n\nI see.\n") == [
        (None, "Where is it?"),
        ("Olga", "Up there."),
        (None, "I see."),
    ]
    assert read("Where is it?\n\nOLGA: up there.\n\nI see.\n")[1] == ("OLGA", "up there.")


def test_names_in_brackets_and_in_bold_letters(read):
    said = [("Olga", "Up there."), ("Dr. Wu", "I see."), ("Olga", "Do you?")]
    for form in ("[{}]: {}", "**{}:** {}", "**{}**: {}", "__{}:__ {}"):
        assert read("\n".join(form.format(*turn) for turn in said)) == said
