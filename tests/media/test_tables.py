"""Tables as other programs write them: units of time, quotation marks, backslashes, and what stands for nothing."""

from __future__ import annotations

import csv
import io
import json
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str, name: str = "talk.tsv") -> Conversation:
        (tmp_path / name).write_bytes(content.encode())
        return read_transcript(tmp_path / name)

    return read


def rows(conversation: Conversation) -> list[tuple[float | None, float | None, str]]:
    return [(u.start, u.end, u.text) for u in conversation]


TALK = [(0, 1840, "The train was late"), (1840, 2600, "Again?"), (3000, 7250, "Yes, and nobody told us why.")]


# units


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("talk.tsv", "start\tend\ttext\n" + "".join(f"{a}\t{b}\t{text}\n" for a, b, text in TALK)),
        ("talk.csv", "start,end,text\n" + "".join(f'{a},{b},"{text}"\n' for a, b, text in TALK)),
        ("talk.csv", "start,end,speaker,text\n" + "".join(f'{a},{b},S0," {text}"\n' for a, b, text in TALK)),
        ("talk.csv", "start;end;text\n" + "".join(f"{a}.0;{b}.0;{text}\n" for a, b, text in TALK)),
        ("talk.jsonl", "".join(json.dumps({"start": a, "end": b, "text": text}) + "\n" for a, b, text in TALK)),
    ],
)
def test_whole_numbers_in_which_nobody_could_speak_as_seconds_are_milliseconds(read, name, content, caplog):
    with caplog.at_level(logging.WARNING, logger="broadmamba"):
        assert rows(read(content, name)) == [(a / 1000, b / 1000, text) for a, b, text in TALK]
    assert ["read as milliseconds" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 2), (2, 5), (5, 9)],
        [(100, 102), (2000, 2001), (86_000, 86_003)],
        [(0, 60), (60, 120), (120, 180)],
        [(0, 0), (7, 7), (9, 9)],
        [(0, 30), (30, 630), (700, 760)],
    ],
)
def test_whole_seconds_stay_seconds(read, spans, caplog):
    for content in (
        "start\tend\ttext\n" + "".join(f"{a}\t{b}\t{text}\n" for (a, b), (*_, text) in zip(spans, TALK, strict=True)),
        "".join(
            json.dumps({"start": a, "end": b, "text": text}) + "\n"
            for (a, b), (*_, text) in zip(spans, TALK, strict=True)
        ),
    ):
        conversation = read(content, "talk.jsonl" if content.startswith("{") else "talk.tsv")
        assert [(u.start, u.end) for u in conversation] == spans
    assert not caplog.records


def test_rows_in_which_nothing_is_said_do_not_tell_the_unit(read, caplog):
    content = "start,end,text\n0,10,Hi\n10,600,\n600,610,ok\n"
    assert [u.end for u in read(content, "a.csv")] == [10, 600, 610]
    assert [u.end for u in read(content.replace("Hi", "").replace("ok", ""), "a.csv")] == [10, 600, 610]
    assert not caplog.records


@pytest.mark.parametrize(
    ("start", "end", "a_second"),
    [
        ("start_ms", "end_ms", 1000),
        ("Start (ms)", "End (ms)", 1000),
        ("begin_ms", "end_ms", 1000),
        ("start_time_ms", "end_time_ms", 1000),
        ("startMillis", "endMillis", 1000),
        ("onset_ms", "offset_ms", 1000),
        ("start_sec", "end_sec", 1),
        ("start_s", "end_s", 1),
        ("Start [s]", "Stop [s]", 1),
        ("StartTime_in_seconds", "EndTime_in_seconds", 1),
    ],
)
def test_a_unit_in_a_name(read, start, end, a_second, caplog):
    for a, b, content in (
        (1500, 2750.5, f"text,{start},{end}\nHi,1500,2750.5\n"),
        (3000, 90_000, f"text,{start},{end}\nHi,3000,90000\n"),
        (1500, 2750, json.dumps({"text": "Hi", start: 1500, end: 2750}) + "\n"),
    ):
        conversation = read(content, "a.jsonl" if content.startswith("{") else "a.csv")
        assert rows(conversation) == [(a / a_second, b / a_second, "Hi")]
    assert not caplog.records
    assert rows(read("text,onset,offset\nHi,1.5,2\n", "a.csv")) == [(1.5, 2, "Hi")]
    assert rows(read(f"text,{start},{end}\nHi,00:00:01.500,00:00:02:750\n", "a.csv")) == [(1.5, 2.75, "Hi")]


def test_milliseconds_of_days_are_refused(read):
    with pytest.raises(InputError, match="line 2: expected a time of at most 1000 hours"):
        read("text,start_ms\nHi,3600000001\n")
    with pytest.raises(InputError, match="line 1: expected a time from 0 to 1000 hours"):
        read('{"text": "Hi", "start_ms": 3600000001}\n', "a.jsonl")


def test_a_thousand_milliseconds_in_a_table(read):
    assert rows(read("start,end,text\n00:00:01.500,00:00:02.1000,Hi\n", "a.csv")) == [(1.5, 3.0, "Hi")]
    assert rows(read("start,end,text\n00:00:01.5001,00:00:02.1000,Hi\n", "a.csv")) == [(1.5001, 2.1, "Hi")]


# quotation marks


def test_quotation_marks_in_a_table_with_tabs_are_text(read):
    for texts in (
        ['"It was so late', "Why?", 'Nobody knows."', "Right."],
        ['"It was so late', "Why?"],
        ['"No," she said.', 'He said "yes"'],
        ['say "hi" now', '"', '""'],
        ['"Yes."', "No."],
        ['5" of rain', 'and 6"'],
    ):
        content = "start\tend\ttext\n" + "".join(f"{n}\t{n + 1}\t{text}\n" for n, text in enumerate(texts))
        assert rows(read(content)) == [(n, n + 1, text) for n, text in enumerate(texts)]


line_texts = st.text(st.sampled_from("ab \"',;"), max_size=8).map(str.strip)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(line_texts, min_size=1, max_size=5), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.data())
def test_what_the_csv_module_writes_is_read(tmp_path, texts, quoting, data):
    delimiter = data.draw(st.sampled_from([",", ";", "\t"]))
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
    writer.writerow(["start", "end", "text"])
    for number, text in enumerate(texts):
        writer.writerow([f"{number}.5", number + 1, text])
    (tmp_path / "talk.csv").write_text(file.getvalue(), newline="")
    assert [u.text for u in read_transcript(tmp_path / "talk.csv")] == texts


def test_tabs_and_line_breaks_in_quotes_are_read_as_the_csv_module_writes_them(read):
    file = io.StringIO()
    writer = csv.writer(file, delimiter="\t")
    texts = ["one\ttwo", 'three "four"\nfive', "six"]
    writer.writerows([["start", "end", "text"], *([n, n + 1, text] for n, text in enumerate(texts))])
    assert [u.text for u in read(file.getvalue())] == texts


@pytest.mark.parametrize(
    "content",
    [
        'start,end,text\n0,2,"It was so late.\n2,3,Why?\n3,4,Nobody knows."\n4,5,Right.\n',
        'start;end;text\n0,5;2;"It was so late.\n2;3;Why?"\n',
        'start,end,text\n0,2,"It was so late.\n2,3,Why?\n',
    ],
)
def test_a_quotation_mark_that_swallows_rows_is_refused(read, content):
    with pytest.raises(InputError, match="line 2: expected a row of a CSV table, found bad quoting"):
        read(content, "talk.csv")


# backslashes


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (r'0,2,"She said \"no\", and left."|2,3,"Why?"', ['She said "no", and left.', "Why?"]),
        (r'0,2,"It fell 5\""|2,3,"Or 6\", I think"', ['It fell 5"', 'Or 6", I think']),
        (r'0,2,"\"Stop\""|2,3,ok', ['"Stop"', "ok"]),
        (r'0,2,"one\ttwo\nthree"|2,3,"four"', ["one two three", "four"]),
        (r'0,2,"C:\dir\"|2,3,"x"', ["C:\\dir\\", "x"]),
        (r'0,2,"a \\ b"|2,3,"x"', [r"a \\ b", "x"]),
        (r"0,2,see C:\temp and C:\work|2,3,x", [r"see C:\temp and C:\work", "x"]),
    ],
)
def test_backslashes(read, content, texts):
    for delimiter in (",", "\t"):
        if delimiter == "," or "," not in "".join(texts):
            table = "start,end,text\n" + content.replace("|", "\n") + "\n"
            assert [u.text for u in read(table.replace(",", delimiter), "talk.csv")] == texts


def test_a_table_as_mysql_writes_it(read):
    content = "start\tend\tspeaker\ttext\n0\t2\tAnn\tone\\\ttwo\\\nthree\n2\t\\N\t\\N\tsay \\\\ it\n"
    conversation = read(content)
    assert rows(conversation) == [(0, 2, "one two three"), (2, None, "say \\ it")]
    assert [u.speaker for u in conversation] == ["Ann", None]


# the rest of what is found in tables


@pytest.mark.parametrize("nothing", ["", " ", "NaN", "nan", "null", "None", "NA", "N/A", "-"])
def test_what_stands_for_nothing(read, nothing):
    conversation = read(
        f"start,end,speaker,text\n{nothing},{nothing},{nothing},None\n1.5,{nothing},Ann,null\n", "a.csv"
    )
    assert [(u.start, u.end, u.text) for u in conversation] == [(None, None, "None"), (1.5, None, "null")]
    assert [u.speaker for u in conversation] == [None, "Ann"]


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\n', "SEP=;\r\n", "\ufeffsep=;\n", "\n"])
def test_a_first_line_for_a_spreadsheet(read, first):
    conversation = read(first + '"Start";"End";"Text"\n0,5;1,25;Hi, you\n', "a.csv")
    assert rows(conversation) == [(0.5, 1.25, "Hi, you")]
    with pytest.raises(InputError, match="line 3: expected a time"):
        read(first + '"Start";"Text"\nsoon;Hi, you\n', "a.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("debut,fin,texte\n0,1,Bonjour\n", "expected a header with a column text, utterance, sentence or transcript"),
        ("text,start\nHi,1.234,5\n", "line 2: expected 2 cells as in the header, found 3"),
        ("text;start\nHi;1.234,5\n", "line 2: expected a time in seconds or as HH:MM:SS.mmm, found '1.234,5'"),
        ("text,start\nHi,0x1F\n", "line 2: expected a time"),
        ("text,start\nHi,1_000\n", "line 2: expected a time"),
        ("text,start\nHi,1e400\n", "line 2: expected a time"),
        ("text,start\nHi," + "9" * 400 + "\n", "line 2: expected a time"),
        ("text,start\nHi,1700000000\n", "line 2: expected a time of at most 1000 hours"),
    ],
)
def test_what_is_refused(read, content, message):
    with pytest.raises(InputError) as error:
        read(content, "a.csv")
    assert message in str(error.value) and len(str(error.value)) < 300


def test_of_two_columns_with_one_name_the_first_counts(read):
    assert rows(read("text,start,text\nHi,1.5,Ho\n", "a.csv")) == [(1.5, None, "Hi")]


def test_a_start_and_a_duration(read):
    times = [(1.0, 3.5), (4.0, 5.0)]
    for header, rows in {
        "start,duration,text": "1,2.5,It broke.\n4,1,What did?\n",
        "start_ms,duration_ms,text": "1000,2500,It broke.\n4000,1000,What did?\n",
        "Start,Duration,Text": "0:00:01,0:00:02.5,It broke.\n0:00:04,0:00:01,What did?\n",
        "start,end,duration,text": "1,3.5,9,It broke.\n4,5,9,What did?\n",
        "start,duration,words,text": "1000,2500,2,It broke.\n4000,1000,2,What did?\n",
    }.items():
        assert [(u.start, u.end) for u in read(f"{header}\n{rows}", "talk.csv")] == times


def test_a_manifest_of_nemo(read):
    lines = '{"offset": 1.1, "duration": 2.2, "text": "it broke"}\n{"offset": 4, "duration": 1, "text": "what did"}\n'
    assert [(u.start, u.end) for u in read(lines, "talk.jsonl")] == [(1.1, 3.3), (4.0, 5.0)]
    assert [u.start for u in read("duration,text\n2,It broke.\n1,What did?\n", "talk.csv")] == [None, None]


def test_lines_that_are_recordings(read):
    line = '{"text": "it broke", "segments": [{"start": 0, "end": 1, "text": "it broke"}]}\n'
    with pytest.raises(InputError, match=r"line 1: expected an utterance, found a recording with segments of its own"):
        read(line * 2, "talk.jsonl")


def test_paths_have_no_line_breaks(read):
    paths = ["It is in C:\\new\\texts.", "No, in d:\\talks."]
    for name, mark in (("talk.csv", ","), ("talk.tsv", "\t")):
        rows = [f"speaker{mark}text", *(f"Ana{mark}{path.replace(',', '')}" for path in paths)]
        assert [u.text for u in read("\n".join(rows), name)] == [path.replace(",", "") for path in paths]
