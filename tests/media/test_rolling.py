"""Rolled captions, made here as the programs that roll them do, line by line and word by word."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadmamba.data.conversation import Conversation
from broadmamba.media.transcripts import read_transcript

LINES = ["we were late again", "and nobody", "waited for us at the gate", "no", "no", "so we walked home"]
Said = list[tuple[float, str]]


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str, name: str) -> Conversation:
        (tmp_path / name).write_text(content)
        return read_transcript(tmp_path / name)

    return read


def clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    return f"00:{milliseconds // 60_000:02d}:{milliseconds // 1000 % 60:02d}{point}{milliseconds % 1000:03d}"


def srt(cues: list[tuple[float, float, list[str]]]) -> str:
    return "".join(
        f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n" + "\n".join(lines) + "\n\n"
        for number, (start, end, lines) in enumerate(cues, start=1)
    )


def vtt(cues: list[tuple[float, float, list[str]]]) -> str:
    return "WEBVTT\nKind: captions\nLanguage: en\n\n" + "".join(
        f"{clock(start, '.')} --> {clock(end, '.')} align:start position:0%\n" + "\n".join(lines) + "\n\n"
        for start, end, lines in cues
    )


def with_word_times(line: str, start: float) -> str:
    first, *rest = line.split()
    return first + "".join(f"<{clock(start + n / 10, '.')}><c> {word}</c>" for n, word in enumerate(rest, start=1))


def video_site(lines: list[str], tags: bool) -> list[tuple[float, float, list[str]]]:
    """Two rows: the last line and the one being spoken, and between two lines a flash of the finished one."""
    cues = []
    for number, line in enumerate(lines):
        start = 2.0 * number
        above = lines[number - 1] if number else " "
        cues.append((start, start + 1.99, [above, with_word_times(line, start) if tags else line]))
        cues.append((start + 1.99, start + 2, [line, " "]))
    return cues


def roll_up(lines: list[str], rows: int, gap: float = 0.0) -> list[tuple[float, float, list[str]]]:
    return [
        (2.0 * number, 2.0 * number + 2 - gap, lines[max(0, number - rows + 1) : number + 1])
        for number in range(len(lines))
    ]


def painted(lines: list[str]) -> list[tuple[float, float, list[str]]]:
    cues, now = [], 0.0
    for number, line in enumerate(lines):
        words = line.split()
        for count in range(1, len(words) + 1):
            cues.append((now, now + 0.3, [*lines[max(0, number - 1) : number], " ".join(words[:count])]))
            now += 0.3
    return cues


def starts_of(conversation: Conversation) -> Said:
    return [(u.start, u.text) for u in conversation]


TWO_SECONDS = [(2.0 * number, line) for number, line in enumerate(LINES)]


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("kind", [vtt, srt])
def test_captions_that_a_video_site_makes(read, kind, tags):
    conversation = read(kind(video_site(LINES, tags)), f"talk.{kind.__name__}")
    assert starts_of(conversation) == TWO_SECONDS
    assert [u.end for u in conversation] == [start + 1.99 for start, _ in TWO_SECONDS]


def test_the_shortest_of_them(read):
    assert starts_of(read(vtt(video_site(LINES[:2], True)), "talk.vtt")) == TWO_SECONDS[:2]
    assert starts_of(read(vtt(video_site(LINES[:1], True)), "talk.vtt")) == TWO_SECONDS[:1]


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("gap", [0.0, 0.04])
def test_roll_up_captions_of_television(read, rows, gap):
    assert starts_of(read(srt(roll_up(LINES, rows, gap)), "talk.srt")) == TWO_SECONDS


def test_lines_that_are_painted_word_by_word(read):
    lines = ["we were late again", "and nobody waited", "so we walked"]
    conversation = read(srt(painted(lines)), "talk.srt")
    assert [u.text for u in conversation] == lines
    assert [u.start for u in conversation] == [0.0, 1.2, 2.1]
    assert [u.end for u in conversation] == [1.2, 2.1, 3.0]


def test_rolled_lines_that_a_program_joined(read):
    lines = ["we were late again", "and nobody was there", "so we walked home"]
    cues = [(start, end, [" ".join(rows)]) for start, end, rows in roll_up(lines, 2)]
    conversation = read(srt(cues), "talk.srt")
    assert " ".join(u.text for u in conversation) == " ".join(lines)


words = st.sampled_from(["no", "yes", "well", "it rained", "and then", "all day long", "nobody came", "why not now"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, min_size=1, max_size=8), st.booleans())
def test_whatever_is_said_comes_once_for_each_time_that_it_was_said(tmp_path, lines, tags):
    """A site's captions, whatever is repeated in them, against the lines that they were made of."""
    (tmp_path / "talk.vtt").write_text(vtt(video_site(lines, tags)))
    assert [u.text for u in read_transcript(tmp_path / "talk.vtt")] == lines


@pytest.mark.parametrize("kind", [srt, vtt])
@pytest.mark.parametrize(
    "texts",
    [
        ["No.", "No."],
        ["No.", "No.", "Why not?", "Why not?"],
        ["I said no.", "I said no. Go away.", "And I will not."],
        ["La la la", "La la la", "La la la", "Hey!"],
        ["Come here.\nNow.", "Now.\nOr never.", "Never, then.", "Fine.", "Bye.", "Bye."],
        ["[MUSIC]", "[MUSIC]"],
    ],
)
def test_real_repetitions_stay(read, kind, texts):
    cues = [(2.0 * n, 2.0 * n + 2, text.split("\n")) for n, text in enumerate(texts)]
    conversation = read(kind(cues), f"talk.{kind.__name__}")
    assert [u.text for u in conversation] == [" ".join(text.split()) for text in texts]


def test_subtitles_that_overlap_in_time_but_not_in_words(read):
    cues = [(0.0, 4.5, ["we were late"]), (2.3, 6.0, ["and it rained"]), (4.5, 8.0, ["all day"])]
    assert [(u.start, u.end, u.text) for u in read(srt(cues), "talk.srt")] == [
        (start, end, text) for start, end, (text,) in cues
    ]


@pytest.mark.parametrize("joint", [" ", "\n"])
def test_cues_of_any_length_take_no_longer_than_their_length(read, joint):
    text = joint.join(["and", "then"] * 50_000)
    cues = [(0.0, 1.0, [f"so{joint}{text}"]), (1.0, 2.0, [f"{text}{joint}well"]), (2.0, 3.0, ["bye"])]
    begin = time.process_time()
    assert len(read(srt(cues), "talk.srt")) == 3
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("texts", [["so", "so"], ["so so", "so so so", "so so so so"]])
def test_what_is_said_at_one_moment_does_not_roll(read, texts):
    cues = "".join(f"00:00.000 --> 00:00.000\n<v Anna>{text}</v>\n\n" for text in texts)
    assert [u.text for u in read(f"WEBVTT\n\n{cues}", "talk.vtt")] == texts
