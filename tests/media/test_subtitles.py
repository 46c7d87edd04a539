"""SRT and WebVTT, held against `webvtt-py` and against what the formats' quirks mean."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import webvtt
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str | bytes, name: str = "talk.srt") -> Conversation:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_transcript(path)

    return read


def said(conversation: Conversation) -> list[tuple[str | None, str]]:
    return [(u.speaker, u.text) for u in conversation]


words = st.lists(st.sampled_from(["so", "I", "went", "home.", "Fish & chips", "a < b", "naïve", "42", "–"]), min_size=1)
cues = st.lists(
    st.tuples(
        st.sampled_from(["Anna", "Bob Lee", "Zoë"]),
        words.map(" ".join),
        st.integers(0, 10**7),
        st.integers(0, 9999),
    ),
    min_size=1,
    max_size=8,
)


def clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


@settings(max_examples=60, deadline=None)
@given(cues)
def test_what_webvtt_py_writes_is_read_with_voices_and_times(tmp_path_factory, cues):
    # what is shown again for a twentieth of a second is a flash of captions that roll, and not said again
    assume(all(above[1] != cue[1] or cue[3] > 50 for above, cue in pairwise(cues)))
    written = webvtt.WebVTT()
    for name, text, start, length in cues:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;")
        written.captions.append(webvtt.Caption(clock(start), clock(start + length), f"<v {name}>{escaped}"))
    path = tmp_path_factory.mktemp("vtt") / "talk.vtt"
    written.save(str(path))

    conversation = read_transcript(path)

    assert said(conversation) == [(name, text) for name, text, _, _ in cues]
    assert [(u.start, u.end) for u in conversation] == [(s / 1000, (s + n) / 1000) for _, _, s, n in cues]
    assert [c.voice for c in webvtt.read(str(path))] == [u.speaker for u in conversation]


def test_the_sample_conversation():
    path = Path(__file__).resolve().parents[2] / "examples" / "kitchen.vtt"

    conversation = read_transcript(path)

    captions = webvtt.read(str(path)).captions
    assert said(conversation) == [(caption.voice, caption.text) for caption in captions]
    assert 12 <= len(conversation) <= 16
    assert {u.speaker for u in conversation} == {"Mara", "Jonas", "Lin"}
    assert [u.id for u in conversation][:2] == ["kitchen_1", "kitchen_2"]


def test_a_webvtt_file_with_everything_in_it(read):
    conversation = read(
        "\ufeffWEBVTT - a title\r\nKind: captions\r\nLanguage: en\r\n\r\n"
        "STYLE\r\n::cue { color: red }\r\n\r\nREGION\r\nid:fred\r\n\r\nNOTE Anna: not said\r\n\r\n"
        "intro\r\n00:01.000 --> 00:02.500 align:start line:0%\r\n<v.loud Anna Smith>Hello <i>you</i>\r\n"
        "<c.yellow>there</c> &amp; <00:01.500>everywhere</v>\r\n\r\n"
        "00:03.000 --> 00:04.000\r\n<v Bob>Hi.</v>\r\n<v Anna Smith>Bye.</v>\r\n\r\n"
        "NOTE\r\nAnna: not said either\r\n\r\n"
        "01:00:05.000 --> 01:00:06.000\r\n\r\n"
        "01:00:07.000 --> 01:00:08.000\r\nBob: 1 &lt; 2, I &lt;3 it&nbsp;all\r\n",
        "talk.vtt",
    )
    assert said(conversation) == [
        ("Anna Smith", "Hello you there & everywhere"),
        ("Bob", "Hi."),
        ("Anna Smith", "Bye."),
        (None, ""),
        ("Bob", "1 < 2, I <3 it all"),
    ]
    assert [u.start for u in conversation] == [1.0, 3.0, 3.0, 3605.0, 3607.0]


def test_an_srt_file_with_everything_in_it(read):
    conversation = read(
        '1\n00:00:01,000 --> 00:00:02,000 X1:10 X2:20\nANNA: {\\an8}<font color="#f">Hello,</font>\nBob!\n\n'
        "2\n00:00:03.000-->00:00:04.500\n- Hi.\n-How are you?\n\n"
        "3\n00:00:05,000 --> 00:00:06,000\n\n"
        "4\n00:00:07,000 --> 00:00:08,000\nIt was cold:\n-5 degrees.\n\nStill the same cue.\n"
        "5\n00:00:09,000 --> 00:00:10,000\n>> DR. LEE: Sit.\n>> No --> never.\n\n"
        "6\n00:00:11,000 --> 00:00:12,000\nThe year was\n1999\n"
    )
    assert said(conversation) == [
        ("ANNA", "Hello, Bob!"),
        (None, "Hi."),
        (None, "How are you?"),
        (None, ""),
        (None, "It was cold: -5 degrees. Still the same cue."),
        ("DR. LEE", "Sit."),
        (None, "No --> never."),
        (None, "The year was 1999"),
    ]
    assert [(u.start, u.end) for u in conversation][1:3] == [(3.0, 4.5)] * 2
    assert conversation.utterances[-1].id == "talk_8"


def test_two_names_in_one_cue_are_two_turns_but_a_colon_inside_a_sentence_is_none(read):
    conversation = read(
        "1\n00:00:01,000 --> 00:00:02,000\nAnna: Hi.\nBob: Hello.\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\nI brought three\nthings: milk\n\n"
        "3\n00:00:05,000 --> 00:00:06,000\nand then he said\nRemember: milk\n"
    )
    assert said(conversation) == [
        ("Anna", "Hi."),
        ("Bob", "Hello."),
        (None, "I brought three things: milk"),
        (None, "and then he said Remember: milk"),
    ]


def test_the_content_decides_over_the_name(read):
    cue = "1\n00:00:01.000 --> 00:00:02.000\nAnna: Hi\n"
    for name in ("talk.srt", "talk.vtt", "talk.txt", "talk"):
        assert said(read(cue, name)) == [("Anna", "Hi")]
        assert said(read("WEBVTT\n\n" + cue, name)) == [("Anna", "Hi")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(read, encoding, newline):
    content = "1\n00:00:01,000 --> 00:00:02,000\nZoë: “naïve” …\n".replace("\n", newline)
    assert said(read(content.encode(encoding))) == [("Zoë", "“naïve” …")]


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        ("1\n00:00:05,000 --> 00:00:04,000\nHi\n", 2, "5.0 s or later, found 4.0 s"),
        (
            "1\n-00:00:05,000 --> 00:00:04,000\nHi\n",
            2,
            "expected a time of 0 or later, found '-00:00:05,000'",
        ),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n2\n00:61:00,000 --> 00:62:00,000\nHi\n",
            6,
            "'00:61:00,000'",
        ),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n2\n00:0x:00,000 --> 00:02:00,000\nHi\n",
            6,
            "00:0x:00,000 -->",
        ),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n2\n00:00:03,000 -> 00:00:04,000\nHi\n",
            6,
            "00:00:03,000 ->",
        ),
        ("Hello\n00:00:01,000 --> 00:00:02,000\nHi\n", 1, "expected the first cue, found 'Hello'"),
        ("WEBVTT\n\nintro\n00:01.000 --> 00:xx.000\nHi\n", 4, "00:01.000 --> 00:xx.000"),
    ],
)
def test_bad_times_are_named_with_their_line(read, content, line, found):
    with pytest.raises(InputError) as error:
        read(content)
    assert f"talk.srt, line {line}: " in str(error.value)
    assert found in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("WEBVTT\n\nNOTE nobody\n", "talk.vtt", "expected at least one utterance, found none"),
        ("Just words\n", "talk.srt", "expected cues with a line HH:MM:SS,mmm --> HH:MM:SS,mmm, found none"),
        ("Just words\n", "talk.vtt", "expected WebVTT, which begins with a line WEBVTT, found 'Just words'"),
    ],
)
def test_files_that_are_not_what_their_name_says(read, content, name, message):
    with pytest.raises(InputError, match=message):
        read(content, name)


def spans(conversation: Conversation) -> list[tuple[float | None, float | None, str]]:
    return [(u.start, u.end, u.text) for u in conversation]


@pytest.mark.parametrize("form", ["{}\n00:00:{},{} --> 00:00:{},{}\n{}\n\n", "{}\n00:00:{}.{} --> 00:00:{}.{}\n{}\n\n"])
def test_a_thousand_milliseconds_are_a_second(read, form):
    cues = form.format(1, "01", "250", "02", "1000", "a") + form.format(2, "02", "1000", "04", "099", "b")
    for name, head in (("talk.srt", ""), ("talk.vtt", "WEBVTT\n\n")):
        assert spans(read(head + cues, name)) == [(1.25, 3.0, "a"), (3.0, 4.099, "b")]


def test_fractions_of_other_lengths(read):
    one = "1\n00:00:01,{} --> 00:00:09,{}\na\n"
    assert spans(read(one.format("5", "50"))) == [(1.5, 9.5, "a")]
    assert spans(read(one.format("1000", "2500"))) == [(1.1, 9.25, "a")]
    assert spans(read(one.format("123456", "000001"))) == [(1.123456, 9.000001, "a")]
    with pytest.raises(InputError, match="line 2: expected milliseconds of three digits, found '1234'"):
        read(one.format("1234", "250"))
    for fraction in ("250:12", "60:00", "-5"):
        with pytest.raises(InputError, match="line 2: expected "):
            read(f"1\n00:00:01,{fraction} --> 00:00:09,000\na\n")
    with pytest.raises(InputError, match=r"line 2: .* found '00:00:01:12', which counts frames"):
        read("1\n00:00:01:12 --> 00:00:09:03\na\n")


def test_times_in_other_digits_and_with_marks_of_direction(read):
    assert spans(read("\u202a٠٠:٠٠:٠١,٥٠٠ --> ٠٠:٠٠:٠٢,٠٠٠\u202c\nنعم\n")) == [(1.5, 2.0, "نعم")]
    assert spans(read("1\n００：００：０１，５００ --> ００：００：０２，０００\nはい\n")) == [(1.5, 2.0, "はい")]


def test_a_line_with_a_space_does_not_end_a_cue(read):
    cue = "00:00:0{}.000 --> 00:00:0{}.900\n \none\n \ntwo\n{}"
    content = "WEBVTT\n\n" + cue.format(1, 1, "\n") + "name\n" + cue.format(3, 3, " \nintro\n") + cue.format(5, 5, "")
    assert spans(read(content, "talk.vtt")) == [(1.0, 1.9, "one two"), (3.0, 3.9, "one two"), (5.0, 5.9, "one two")]


@pytest.mark.parametrize("text", ["", " ", "&nbsp;", "<i></i>", "<c> </c>", "{\\an8}"])
def test_cues_without_words(read, text):
    cues = f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n \n\n2\n00:00:03,000 --> 00:00:04,000\n[MUSIC]\n"
    for name, head in (("talk.srt", ""), ("talk.vtt", "WEBVTT\n\n")):
        assert spans(read(head + cues, name)) == [(1.0, 2.0, ""), (3.0, 4.0, "[MUSIC]")]


def test_a_piece_of_a_stream_whose_times_are_moved(read):
    content = "WEBVTT\nX-TIMESTAMP-MAP={}\n\n00:01.000 --> 00:02.000\nHi\n"
    for moved in (
        "MPEGTS:900000,LOCAL:00:00:00.000",
        "LOCAL:00:00:00.000,MPEGTS:1",
        "MPEGTS:x,LOCAL:0",
        "LOCAL:00:00.000",
    ):
        with pytest.raises(
            InputError, match=r"talk\.vtt, line 2: expected times of the whole recording, found a piece"
        ):
            read(content.format(moved), "talk.vtt")
    for unmoved in ("MPEGTS:0,LOCAL:00:00:00.000", "LOCAL:00:00:10.000,MPEGTS:900000"):
        assert spans(read(content.format(unmoved), "talk.vtt")) == [(1.0, 2.0, "Hi")]


def test_files_with_an_empty_line_after_each_line(read):
    content = "3\n\n00:00:01,000 --> 00:00:02,000\n\nHow many?\n\n4\n\n00:00:03,000 --> 00:00:04,000\n\n5\n\n"
    assert said(read(content + "5\n\n00:00:05,000 --> 00:00:06,000\n\n5 or 6.\n")) == [
        (None, "How many?"),
        (None, "5"),
        (None, "5 or 6."),
    ]


def test_a_number_below_an_empty_line_is_said_unless_it_counts_on(read):
    content = "1\n00:00:01,000 --> 00:00:02,000\nIn\n\n1984\n\n2\n00:00:03,000 --> 00:00:04,000\nYes.\n"
    assert said(read(content)) == [(None, "In 1984"), (None, "Yes.")]


@pytest.mark.parametrize("name", ["talk.srt", "talk.txt"])
@pytest.mark.parametrize("arrow", ["->", "—>", "→"])
def test_other_arrows_are_refused(read, arrow, name):
    content = f"1\n00:00:01,000 {arrow} 00:00:02,000\nHi.\n\n2\n00:00:03,000 {arrow} 00:00:04,000\nHo.\n"
    with pytest.raises(InputError, match="expected cues with a line HH:MM:SS,mmm --> HH:MM:SS,mmm"):
        read(content, name)


def test_a_name_in_the_line_above_what_is_said(read):
    cues = "0:0:0.0 --> 0:0:1.5\nCarla Gomez\nIt broke.\n\n0:0:1.5 --> 0:0:4.0\nTim\nWhat did?\nThe vase?\n"
    assert said(read(cues, "talk.txt")) == [("Carla Gomez", "It broke."), ("Tim", "What did? The vase?")]


@pytest.mark.parametrize(
    ("first", "second"),
    [("Guten Abend\nHerr Wolf.", "Viel Spaß\nin Bonn."), ("THEN THE DOG\nRAN OFF.", "THE CAT\nDID NOT.")],
)
def test_two_lines_of_a_text_are_no_name(read, first, second):
    content = f"1\n00:00:01,000 --> 00:00:02,000\n{first}\n\n2\n00:00:03,000 --> 00:00:04,000\n{second}\n"
    assert said(read(content)) == [(None, first.replace("\n", " ")), (None, second.replace("\n", " "))]


def test_captions_of_youtube_whose_spaces_an_editor_took(read):
    content = """WEBVTT
Kind: captions

00:00:01.000 --> 00:00:03.000 align:start position:0%

we<00:00:01.500><c> saw</c><00:00:02.000><c> it</c>

00:00:03.000 --> 00:00:03.010 align:start position:0%
we saw it


00:00:03.010 --> 00:00:05.000 align:start position:0%
we saw it
and<00:00:03.500><c> ran</c>
"""
    assert [(u.text, u.start) for u in read(content, "talk.vtt")] == [("we saw it", 1.0), ("and ran", 3.01)]
    cues = "WEBVTT\n\n00:01.000 --> 00:02.000\n\n{}\n\nid\n00:02.000 --> 00:03.000\nYes.\n"
    assert [u.text for u in read(cues.format("NOTE a pause"), "talk.vtt")] == ["", "Yes."]
    assert [u.text for u in read(cues.replace("{}\n\n", ""), "talk.vtt")] == ["", "Yes."]
