"""CSV, JSONL and plain text, sizes, and arbitrary bytes."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript
from broadmamba.media.transcripts.names import known_name, split_speaker


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str | bytes, name: str) -> Conversation:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_transcript(path)

    return read


def said(conversation: Conversation) -> list[tuple[str | None, str]]:
    return [(u.speaker, u.text) for u in conversation]


# CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header",
    [
        ("id", "speaker", "text", "start", "end"),
        ("Utterance_ID", "Name", "Utterance", "StartTime", "EndTime"),
        ("UTTERANCE ID", "Speaker", "Sentence", "Begin", "end"),
    ],
)
def test_a_table_written_by_the_csv_module(read, delimiter, header):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(header)
    writer.writerow(["a", "Anna", 'She said, "no"; then\twent', "1.5", "00:00:02.250"])
    writer.writerow(["b", "", "", "", ""])
    writer.writerow([])
    writer.writerow(["", "Bob", "two\nlines", "16:16,059", "00:16:16,060"])

    conversation = read(file.getvalue(), "talk.csv")

    assert said(conversation) == [("Anna", 'She said, "no"; then\twent'), (None, ""), ("Bob", "two\nlines")]
    assert [u.id for u in conversation] == ["a", "b", "talk_3"]
    assert [(u.start, u.end) for u in conversation] == [(1.5, 2.25), (None, None), (976.059, 976.06)]


def test_one_real_dialogue_of_meld(read, shared_data):
    with (shared_data / "meld" / "csv" / "dev_sent_emo.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [row for row in rows if row["Dialogue_ID"] == "0"]
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)

    conversation = read(file.getvalue(), "meld.csv")

    assert said(conversation) == [(row["Speaker"], row["Utterance"]) for row in rows]
    assert conversation.utterances[0].start == 20 * 60 + 57.256


def test_columns_beside_the_known_ones_and_a_decimal_comma_are_fine(read):
    conversation = read("Sr No.;mood;TEXT;start;end\n1;good;Hi;0,5;1,25\n", "talk.csv")
    assert said(conversation) == [(None, "Hi")]
    assert (conversation.utterances[0].start, conversation.utterances[0].end) == (0.5, 1.25)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\nx,Hi\ny,Ho\nx,Ha\n", "utterance id 'x' is given in line 2 and in line 4"),
        ("text,id\nHi,talk_2\nHo,\n", "utterance id 'talk_2' is given in line 2 and in line 3"),
        ("text,start\nHi,-1\n", "line 2: expected a time of 0 or later, found '-1'"),
        ("text,start\nHi,soon\n", "line 2: expected a time in seconds or as HH:MM:SS.mmm, found 'soon'"),
        ("text,start\nHi,inf\n", "line 2: expected a time in seconds or as HH:MM:SS.mmm, found 'inf'"),
        ("text,start,end\n\nHi,1,0.5\n", "line 3: expected an end at 1.0 s or later, found 0.5 s"),
        ("speaker,text\nAnna,Well, no\n", "line 2: expected 2 cells as in the header, found 3"),
        ("speaker,text\nAnna,Yes\nAnna\n", "line 3: expected 2 cells as in the header, found 1"),
        ('speaker,text\nAnna,"Yes\nBob,No\n', "line 2: expected a row of a CSV table, found bad quoting"),
        (
            "who,what\nAnna,Hi\n",
            "line 1: expected a header with a column text, utterance, sentence or transcript",
        ),
        ("speaker,text\n,\n", "expected at least one utterance, found none"),
    ],
)
def test_bad_tables(read, content, message):
    with pytest.raises(InputError) as error:
        read(content, "talk.csv")
    assert message in str(error.value)
    assert "talk.csv" in str(error.value)


# JSONL

# whole numbers alone could be milliseconds
times = st.none() | st.floats(0, 1e6).filter(lambda time: not time.is_integer())
texts = st.text(st.characters(exclude_categories=["Cs"])).map(str.strip)
records = st.lists(
    st.fixed_dictionaries({"text": texts, "speaker": st.none() | texts, "times": st.tuples(times, times)})
)


@settings(max_examples=100, deadline=None)
@given(records.filter(bool), st.booleans())
def test_what_json_writes_is_read(tmp_path_factory, records, ascii_only):
    rows = []
    for number, record in enumerate(records):
        start, end = record["times"]
        if start is not None and end is not None:
            start, end = min(start, end), max(start, end)
        rows.append({"id": number, "start": start, "end": end, "text": record["text"], "speaker": record["speaker"]})
    path = tmp_path_factory.mktemp("jsonl") / "talk.jsonl"
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows), newline="", encoding="utf-8"
    )

    conversation = read_transcript(path)

    shown = str.maketrans(dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)], " "))

    def show(text: str) -> str:  # control characters are spaces
        return text if text == text.translate(shown) else text.translate(shown).strip()

    assert said(conversation) == [(known_name(show(row["speaker"] or "")), show(row["text"])) for row in rows]
    assert [(u.id, u.start, u.end) for u in conversation] == [(str(r["id"]), r["start"], r["end"]) for r in rows]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "Hi"}\nHo\n', "line 2: expected a JSON object, found 'Ho'"),
        ('{"text": "Hi"}\n\n[1]\n', "line 3: expected a JSON object, found list"),
        ('{"word": "Hi"}\n', "line 1: expected a key text, utterance, sentence or transcript, found word"),
        ("{}\n", "found no key"),
        ('{"text": 7}\n', "line 1: the text is '7', expected a string"),
        ('{"text": "Hi", "speaker": ["Anna"]}\n', "line 1: the speaker is"),
        ('{"text": "half \\ud83d"}\n', "line 1: the text holds half a character"),
        ('{"text": "Hi", "start": -0.5}\n', "line 1: expected a time from 0 to 1000 hours, found -0.5 s"),
        ('{"text": "Hi", "start": NaN}\n', "line 1: expected a time from 0 to 1000 hours, found nan s"),
        ('{"text": "Hi", "start": true}\n', "line 1: expected a time in seconds, found 'True'"),
        ('{"text": "Hi", "start": 1' + "0" * 400 + "}\n", "line 1: expected a time"),
        (
            '{"text": "Hi", "id": 1}\n{"text": "Ho", "id": "1"}\n',
            "utterance id '1' is given in line 1 and in line 2",
        ),
    ],
)
def test_bad_jsonl(read, content, message):
    with pytest.raises(InputError) as error:
        read(content, "talk.jsonl")
    assert message in str(error.value)
    assert len(str(error.value)) < 400


# Plain text


def test_lines_with_names(read):
    conversation = read(
        "Anna: Hello there,\nhow are you?\n\nDr. Lee:\nFine.\n\n(a door opens)\n\n"
        "安娜：你好\nBob:\nMary Ann Van Dyke: yes: no\n",
        "talk.txt",
    )
    assert said(conversation) == [
        ("Anna", "Hello there, how are you?"),
        ("Dr. Lee", "Fine."),
        (None, "(a door opens)"),
        ("安娜", "你好"),
        ("Bob", ""),
        ("Mary Ann Van Dyke", "yes: no"),
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("anna", "anna"),
        ("Speaker 1", "Speaker 1"),
        ("3rd Customer", "3rd Customer"),
        ("Boy in the Cape", "Boy in the Cape"),
        ("MRS. O'BRIEN", "MRS. O'BRIEN"),
        ("J. R. Lee ", "J. R. Lee"),
        ("ANNA (whispers)", "ANNA"),
    ],
)
def test_names(read, written, name):
    assert said(read(f"{written}: Hi", "talk.txt")) == [(name, "Hi")]


def test_no_sentence_of_meld_is_taken_for_a_name_and_nearly_every_speaker_is_found(shared_data):
    with (shared_data / "meld" / "utterances.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert not [row["text"] for row in rows if split_speaker(row["text"])[0]]
    missed = [
        row
        for row in rows
        if split_speaker(f"{row['speaker']}: {row['text']}") != (row["speaker"], row["text"].strip())
    ]
    assert len(missed) < len(rows) / 1000


def test_lines_without_names_are_utterances_of_nobody_known(read):
    lines = [
        "10: 30 is too late.",
        "https://example.org is down",
        "Wait, Anna: no.",
        "I have one question: why?",
        "the thing is: we lost",
        "12:30: lunch",
        "P.S.: come early",
        "A very long sentence that has far more than forty characters: so there",
        "- 'x: y'",
        ": nothing before",
    ]
    assert said(read("\n".join(lines), "talk.txt")) == [(None, line) for line in lines]


# The door


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.csv", "the file is empty"),
        (b" \n\t\n", "a.txt", "found only white space"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a.vtt", "expected (UTF-8 )?text, found"),
        (bytes(range(128, 256)) * 4, "a.txt", "expected UTF-8 text, found other bytes at position 0"),
        (b"\xff\xfeA", "a.txt", "expected UTF-16 text"),
        (b"text\x00more", "a.txt", "found binary content"),
        (b"<TIER>Hi</TIER>", "a.eaf", "line 1: expected an ELAN file with the root ANNOTATION_DOCUMENT, found TIER"),
        (b"<tt>Hi</tt>", "a.ttml", "a .ttml file that is none of them"),
    ],
)
def test_files_that_are_no_transcript(read, content, name, message):
    with pytest.raises(InputError, match=message) as error:
        read(content, name)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_transcript(tmp_path / "none.vtt")
    with pytest.raises(InputError, match="found a folder"):
        read_transcript(tmp_path)


SEEDS = [
    b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Anna>Hi &amp; <i>o</i>\n\n1\n00:03.000 --> 00:04.000\n- a\n- b\n",
    b"1\n00:00:01,000 --> 00:00:02,000\nANNA: Hi\nBOB: Ho\n\n2\n00:00:03,000 --> 00:00:04,000\n\n",
    b'id,speaker,text,start,end\n1,Anna,"a, ""b""",0.5,00:00:02.5\n2,Bob,c,,\n',
    b'{"id": 1, "speaker": "Anna", "text": "Hi \\u00e9", "start": 1.5, "end": null}\n{"text": ""}\n',
    "Anna: naïve\nand so on\n\nBob：ok\n".encode(),
]
PIECES = [
    b"-->",
    b"<v ",
    b"\x00",
    b'"',
    b",",
    b"\n\n",
    b"\r",
    b"\xff",
    b"NaN",
    b"1e999",
    b"-1",
    b"{",
    b"}",
    b"\\ud800",
    b"&#0;",
]
names = st.sampled_from(["a.vtt", "a.srt", "a.csv", "a.jsonl", "a.txt", "a", "a.xml"])
edits = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 8), st.sampled_from(PIECES) | st.binary(max_size=6)),
    max_size=6,
)


@st.composite
def mutations(draw) -> bytes:
    content = draw(st.sampled_from(SEEDS))
    for position, removed, added in draw(edits):
        content = content[:position] + added + content[position + removed :]
    return content


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200) | mutations() | st.text(max_size=100).map(lambda t: t.encode("utf-8", "replace")),
    name=names,
)
def test_any_bytes_give_a_sound_conversation_or_an_input_error(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    try:
        conversation = read_transcript(path)
    except InputError as error:
        assert str(path) in str(error)
        return
    assert len(conversation) >= 1
    assert len({u.id for u in conversation}) == len(conversation)
    for u in conversation:
        json.dumps([u.id, u.text, u.speaker, u.start, u.end], allow_nan=False, ensure_ascii=False).encode()
        assert u.speaker is None or u.speaker.strip()
        assert u.start is None or u.start >= 0
        assert u.start is None or u.end is None or u.start <= u.end


@pytest.mark.parametrize("length", [0, 1, 100_000])
def test_utterances_of_any_length(read, length):
    text = "é" * length
    assert [u.text for u in read(f"speaker,text\nAnna,{text}\n", "a.csv")] == [text]
    assert [u.text for u in read(json.dumps({"text": text}), "a.jsonl")] == [text]
    assert [u.text for u in read(f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n", "a.srt")] == [text]
    assert [u.text for u in read(f"Anna: {text}\n", "a.txt")] == [text]


def hour(number: int) -> str:
    return f"{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000"


@pytest.mark.parametrize(
    ("name", "header", "line"),
    [
        ("a.csv", "speaker,text,start\n", lambda i: f"Anna,some words,{i}\n"),
        ("a.jsonl", "", lambda i: json.dumps({"speaker": "Anna", "text": "some words", "start": i}) + "\n"),
        ("a.vtt", "WEBVTT\n\n", lambda i: f"{hour(i)} --> {hour(i + 1)}\n<v Anna>some words\n\n"),
        ("a.srt", "", lambda i: f"{i + 1}\n{hour(i)} --> {hour(i + 1)}\nAnna: some words\n\n"),
        ("a.txt", "", lambda i: "Anna: some words\n"),
    ],
)
def test_twenty_thousand_utterances_take_less_than_two_seconds(read, name, header, line):
    content = header + "".join(line(i) for i in range(20_000))
    begin = time.process_time()
    conversation = read(content, name)
    assert time.process_time() - begin < 2
    assert said(conversation) == [("Anna", "some words")] * 20_000
