"""Plain text with times, and tables of times without a header, as programs and services export them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript

Said = list[tuple[str | None, str, float | None, float | None]]


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str, name: str = "talk.txt", tiers: tuple[str, ...] = ()) -> Said:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return [(u.speaker, u.text, u.start, u.end) for u in read_transcript(path, tiers=tiers)]

    return read


NAMED = [("Zoë", "We won at 10:30.", 62.0, 65.0), ("Pat Roe", "Who did?", 65.0, None)]
NAMELESS = [(None, *row[1:]) for row in NAMED]


@pytest.mark.parametrize(
    "content",
    [
        "Zoë (01:02): We won at 10:30.\nPat Roe (01:05): Who did?\n",
        "Zoë (01:02):\nWe won at 10:30.\n\nPat Roe (01:05):\nWho did?\n",
        "Zoë (01:02)\nWe won\nat 10:30.\n\nPat Roe (01:05)\nWho did?\n",
        "Zoë  1:02\nWe won at 10:30.\n\nPat Roe  1:05\nWho did?\n",
        "Zoë\t01:02\nWe won at 10:30.\nPat Roe\t01:05\nWho did?\n",
        "Zoë | 01:02\nWe won at 10:30.\n\nPat Roe | 01:05\nWho did?\n",
        "Zoë 01:02\nWe won at 10:30.\n\nPat Roe 01:05\nWho did?\n",
        "Zoë: 00:01:02\nWe won at 10:30.\n\nPat Roe: 00:01:05\nWho did?\n",
        "[Zoë] 00:01:02\nWe won at 10:30.\n\n[Pat Roe] 00:01:05\nWho did?\n",
        "00:01:02 Zoë: We won at 10:30.\n00:01:05 Pat Roe: Who did?\n",
        "00:01:02\tZoë:\tWe won at 10:30.\n00:01:05\tPat Roe:\tWho did?\n",
        "[00:01:02] Zoë: We won at 10:30.\n[00:01:05] Pat Roe: Who did?\n",
        "[00:01:02.000] - Zoë\nWe won at 10:30.\n\n[00:01:05.000] - Pat Roe\nWho did?\n",
        "00:01:02 Zoë\nWe won at 10:30.\n\n00:01:05 Pat Roe\nWho did?\n",
        "Zoë: [00:01:02] We won at 10:30.\nPat Roe: [00:01:05] Who did?\n",
        "Zoë [00:01:02]: We won at 10:30.\nPat Roe [00:01:05]: Who did?\n",
        "00:01:02\nZoë: We won at 10:30.\n\n00:01:05\nPat Roe: Who did?\n",
        "1:02\nZoë: We won\nat 10:30.\n1:05\nPat Roe: Who did?\n",
    ],
)
def test_times_and_names(read, content):
    assert read(content) == NAMED
    assert read(content, "talk.transcript") == NAMED


@pytest.mark.parametrize(
    "content",
    [
        "(01:02) We won at 10:30.\n(01:05) Who did?\n",
        "[01:02] We won at 10:30.\n[01:05] Who did?\n",
        "01:02 - We won at 10:30.\n01:05 - Who did?\n",
        "1:02 We won at 10:30.\n1:05 Who did?\n",
        "1:02\nWe won at 10:30.\n1:05\nWho did?\n",
        "1:02\n1 minute, 2 seconds\nWe won at 10:30.\n1:05\n1 minute, 5 seconds\nWho did?\n",
    ],
)
def test_times_without_names(read, content):
    assert read(content) == NAMELESS


@pytest.mark.parametrize(
    "content",
    [
        "[00:01:02.000 --> 00:01:04.500]   We won at 10:30.\n[00:01:05.000 --> 00:01:06.000]   Who did?\n",
        "[62.00s -> 64.50s] We won at 10:30.\n[65.00s -> 66.00s] Who did?\n",
        "00:01:02.000 - 00:01:04.500 We won at 10:30.\n00:01:05.000 - 00:01:06.000 Who did?\n",
        "0:01:02.000,0:01:04.500\n>> We won\nat 10:30.\n\n0:01:05.000,0:01:06.000\nWho did?\n",
        "62.000000\t64.500000\tWe won at 10:30.\n65.000000\t66.000000\tWho did?\n",
        "62.000000\t64.500000\tWe won at 10:30.\n\\\t150.0\t900.0\n65.000000\t66.000000\tWho did?\n",
        "62,000000\t64,500000\tWe won at 10:30.\n65,000000\t66,000000\tWho did?\n",
    ],
)
@pytest.mark.parametrize("name", ["talk.txt", "talk.sbv", "talk.tsv", "talk"])
def test_starts_and_ends(read, content, name):
    assert read(content, name) == [(None, "We won at 10:30.", 62.0, 64.5), (None, "Who did?", 65.0, 66.0)]


def test_paragraphs_of_f4_end_with_a_time(read):
    content = "I: Who won? #00:00:02-5#\n\nB: We did. #00:01:05-0#\n\nI: Ah.\n"
    assert read(content) == [("I", "Who won?", 0.0, 2.5), ("B", "We did.", 2.5, 65.0), ("I", "Ah.", None, None)]


def test_who_is_unknown_and_a_time_inside_a_turn(read):
    content = "Unknown Speaker  0:01\nHello.\n\nRoe, Pat (00:02):\nWell.\n(00:09)\nMore.\n"
    assert read(content) == [
        (None, "Hello.", 1.0, 2.0),
        ("Roe, Pat", "Well.", 2.0, 9.0),
        ("Roe, Pat", "More.", 9.0, None),
    ]


def test_several_turns_below_one_time_share_it_as_in_a_cue(read):
    content = "00:00:00\n\nZoë: Hi.\nPat: Ho.\n\n00:05:00\n\nZoë: Bye.\n"
    assert read(content) == [("Zoë", "Hi.", 0.0, 300.0), ("Pat", "Ho.", 0.0, 300.0), ("Zoë", "Bye.", 300.0, None)]
    assert read("0:00:01.000,0:00:02.000\n>> Hi.\n>> Ho.\n") == [(None, "Hi.", 1.0, 2.0), (None, "Ho.", 1.0, 2.0)]


def test_a_title_is_not_said_and_the_user_is_told(read, caplog):
    with caplog.at_level(logging.WARNING, logger="broadmamba"):
        assert read("Weekly meeting\n12 May\n\nZoë  0:03\nHello.\n\nPat  0:05\nHi.\n") == [
            ("Zoë", "Hello.", 3.0, 5.0),
            ("Pat", "Hi.", 5.0, None),
        ]
    assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == [
        "lines above the first time are taken for a title, and not read (2)"
    ]


@pytest.mark.parametrize(
    "content",
    [
        "[12.03.24, 10:22:33] Zoë: We won\n[12.03.24, 10:22:50] Pat: Who did?\n",
        "\u200e[12.03.24, 10:22:33] Zoë: We won\n\u200e[12.03.24, 10:22:50] Pat: Who did?\n",
        "12/03/2024, 10:22 - Zoë: We won\n12/03/2024, 10:23 - Pat: Who did?\n",
        "3/12/24, 10:22 AM - Zoë: We won\n3/12/24, 10:23 AM - Pat: Who did?\n",
        "2024-03-12 10:22:33 Zoë: We won\n2024-03-12 10:22:50 Pat: Who did?\n",
        "[10:22] <Zoë> We won\n[10:23] <@Pat> Who did?\n",
        "10:22 <Zoë> We won\n10:23 <Pat> Who did?\n",
        "Zoë  10:22 AM\nWe won\nPat  10:23 AM\nWho did?\n",
        "Zoë, [12.03.24 10:22]\nWe won\n\nPat, [12.03.24 10:23]\nWho did?\n",
        "Zoë — Today at 10:22 AM\nWe won\n\nPat — 12/03/2024 10:23\nWho did?\n",
        "10:22:31 From Zoë to Everyone: We won\n10:22:50 From Pat to Everyone: Who did?\n",
    ],
)
def test_the_clock_times_of_a_chat_are_no_times_of_a_recording(read, content):
    assert read(content) == [("Zoë", "We won", None, None), ("Pat", "Who did?", None, None)]


@pytest.mark.parametrize(
    "content",
    [
        "We met at 10:30.\nThen we left at 11:00.",
        "10:30 was too early.\n11:00 was too late.",
        "10:30 AM was too early.\n11:00 AM was too late.",
        "12.03.2024 10:22 was too early.\n13.03.2024 10:22 was too late.",
        "I came by train.\n(10:30) is not early.\nThat was all.\nNo more.",
        "Zoë: We met at 10:30\nPat: It was 11:00",
        "See you at 10:30\nOr at 11:00",
        "12:30: lunch\nSo hungry.",
    ],
)
def test_a_clock_time_that_is_said_stays_text(read, content):
    said = read(content)
    assert [
        line.split(": ", 1)[-1] if name else line for (name, *_), line in zip(said, content.split("\n"), strict=True)
    ] == [text for _, text, *_ in said]
    assert all(start is None for *_, start, _ in said)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("00:00:01:12 - 00:00:03:10\nZoë\nHi.\n", "line 1: expected a time as HH:MM:SS.mmm, found '00:00:01:12 - "),
        ("00;00;01;12 - 00;00;03;10\nZoë\nHi.\n", "which counts frames"),
        (
            "[01:99] Zoë: Hi.\n[02:00] Pat: Ho.\n",
            "line 1: expected a time in seconds or as HH:MM:SS.mmm, found '01:99'",
        ),
        ("[00:05 --> 00:04] Hi.\n[00:05 --> 00:06] Ho.\n", "line 1: expected an end at 5.0 s or later, found 4.0 s"),
        (
            "0\t2100\tHi.\n2100\t3000\tHo.\n",
            "expected a start and an end in seconds, or a header that names the columns",
        ),
        ("1.5\tHi.\n2.5\tHo.\n", "found cells such as '1.5 Hi.'"),
        ("12:30\n", "expected at least one utterance, found none"),
    ],
)
def test_what_is_refused(read, content, message):
    with pytest.raises(InputError) as error:
        read(content)
    assert message in str(error.value)
    assert "talk.txt" in str(error.value) and "\n" not in str(error.value)


def test_labels_with_names_moments_and_silence(read):
    assert read("1.0\t2.0\tZoë: Hi.\n2.0\t3.0\tPat: Ho.\n3.0\t4.0\t<sil>\n") == [
        ("Zoë", "Hi.", 1.0, 2.0),
        ("Pat", "Ho.", 2.0, 3.0),
    ]
    assert read("1.0\t1.0\tHi.\n2.0\t2.0\tHo.\n") == [(None, "Hi.", 1.0, 2.0), (None, "Ho.", 2.0, None)]
    assert read("0 12500000 hello\n12500000 15000000 sil\n15000000 20000000 there\n", "talk.lab") == [
        (None, "hello", 0.0, 1.25),
        (None, "there", 1.5, 2.0),
    ]


STM = (
    ";; made by hand\ntalk 1 zoë 0.50 2.00 <o,f0,female> we { won / one } @\n"
    "talk 1 inter_segment_gap 2.00 3.00 <o,f0,>\ntalk 1 pat 3.00 3.50 <o,f0,male> ignore_time_segment_in_scoring\n"
    "talk 1 pat 3.50 4.00 <o,f0,male> who did\n"
)


def test_stm(read):
    said = [("zoë", "we won", 0.5, 2.0), ("pat", "who did", 3.5, 4.0)]
    assert read(STM, "talk.stm") == read(STM, "talk.txt") == said
    assert read(STM + "other 1 x 0 1 <o> no\n", "talk.stm") == said
    assert read("talk 1 zoë 0.5 2.0 we won\n", "talk.stm") == said[:1]
    with pytest.raises(InputError, match="expected one recording, or one named one, found 2"):
        read(STM + "other 1 x 0 1 <o> no\n", "one.stm")


ELAN = [("Zoë", "We won.", 0.5, 2.5), ("Pat", "Who did?", 2.5, 3.0)]


@pytest.mark.parametrize(
    "content",
    [
        "Zoë\t\t00:00:00.500\t0.5\t500\t00:00:02.500\t2.5\t2500\t00:00:02.000\t2.0\t2000\tWe won.\n"
        "Pat\t\t00:00:02.500\t2.5\t2500\t00:00:03.000\t3.0\t3000\t00:00:00.500\t0.5\t500\tWho did?\n",
        "A\tZoë\t0.5\t2.5\t2.0\tWe won.\nB\tPat\t2.5\t3.0\t0.5\tWho did?\n",
        "Zoë\t\t0.5\t2.5\tWe won.\nPat\t\t2.5\t3.0\tWho did?\n",
        "Zoë\t0.5\t2.0\tWe won.\nPat\t2.5\t0.5\tWho did?\n",
        "Begin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tZoë\tPat\n"
        "00:00:00.500\t00:00:02.500\tWe won.\t\n00:00:02.500\t00:00:03.000\t\tWho did?\n",
        "Begin Time - msec\tEnd Time - msec\tDuration - msec\tZoë\tPat\n"
        "500\t2500\t2000\tWe won.\n2500\t3000\t500\t\tWho did?\n",
    ],
)
@pytest.mark.parametrize("name", ["talk.txt", "talk.tsv", "talk"])
def test_tables_of_elan(read, content, name):
    assert read(content, name) == ELAN


def test_tiers_of_elans_table_are_chosen_as_in_its_own_format(read):
    content = "Zoë\t\t0.5\t2.5\tWe won.\nZoë-gloss\t\t0.5\t2.5\tbe victorious\nphones\t\t0.5\t0.7\tw\n"
    assert read(content) == ELAN[:1]
    assert [row[1] for row in read(content, tiers=("Zoë-gloss",))] == ["be victorious"]


pieces = st.sampled_from(
    ["0:01", "00:00:02.500", "10:30 AM", "[0:05]", "(0:07):", "Zoë", "Zoë:", "\t", "  ", "\n", "\n\n", "-->", " - ",
     ",", "hi",
     "12.03.24", "<pat>", "1.5", "2", "<o,f0>", ">>", "?", "\\", "00:00:01:12", "[", ")"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(pieces, min_size=1, max_size=24).map("".join),
    st.sampled_from(["a.txt", "a.stm", "a.lab", "a.tsv", "a.sbv"]),
)
def test_any_text_gives_a_sound_conversation_or_a_refusal(tmp_path, content, name):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    try:
        conversation = read_transcript(path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return
    for u in conversation:
        assert u.start is None or (u.start >= 0 and (u.end is None or u.start <= u.end))
        assert u.speaker is None or u.speaker.strip()


def test_what_a_file_holds_counts_more_than_its_suffix_and_a_title_is_no_header(read):
    said = [("Zoë", "We won.", 1.0, 3.0), ("Pat", "Who did?", 3.0, None)]
    assert read("Transcript\n\n[00:01] Zoë: We won.\n[00:03] Pat: Who did?\n", "talk.txt") == said
    cues = "1\n00:00:01,000 --> 00:00:03,000\nZoë: We won.\n"
    assert read(cues, "talk.csv") == read(cues, "talk.lab") == said[:1]


def test_a_name_in_the_line_above_each_time(read):
    content = "Board meeting\n\nCarla Gomez\n0:02\nIt broke.\nAll of it.\n\nTim\n0:09\nWhat did?\n"
    assert read(content) == [("Carla Gomez", "It broke. All of it.", 2.0, 9.0), ("Tim", "What did?", 9.0, None)]


def test_times_of_maxqda(read):
    assert read("A: Wie war es? #00:00:04#\nB: Kalt. #00:00:06.5#\n") == [
        ("A", "Wie war es?", 0.0, 4.0),
        ("B", "Kalt.", 4.0, 6.5),
    ]


def test_a_colon_behind_the_time(read):
    assert read("00:00:03:It snowed.\n00:00:08:Until May.\n") == [
        (None, "It snowed.", 3.0, 8.0),
        (None, "Until May.", 8.0, None),
    ]


def test_elans_table_in_milliseconds_and_with_the_name_of_its_file(read):
    rows = "Carla\t\t500\t1700\t1200\tIt broke.\nTim\t\t2000\t4250\t2250\tWhat did?\n"
    expected = [("Carla", "It broke.", 0.5, 1.7), ("Tim", "What did?", 2.0, 4.25)]
    assert read(rows) == expected
    assert read('"#file:///C:/talks/vase.eaf"\n' + rows) == expected


def test_other_whole_numbers_are_no_times(read):
    with pytest.raises(InputError):
        read("Carla\t500\t1700\t1201\tgood\nTim\t2000\t4250\t2250\tbad\n")


def test_a_thousand_milliseconds_are_a_second(read):
    assert read("[00:00.500 --> 00:04.1000] It snowed.\n[00:04.1000 --> 00:07.250] Until May.\n") == [
        (None, "It snowed.", 0.5, 5.0),
        (None, "Until May.", 5.0, 7.25),
    ]
