"""Subtitles of a cue a word, in which the word that is being said is marked: what is said once is read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from broadmamba.media.transcripts import read_transcript

Said = list[tuple[str | None, str, float | None, float | None]]
MARKS = {
    "u": ("<u>", "</u>"),
    "font": ('<font color="#00ff00">', "</font>"),
    "class": ("<c.now>", "</c>"),
    "brackets": (r"{\u1}", r"{\u0}"),
}
TALK = [
    (1.0, "I know that he came."),
    (3.5, "I know."),
    (4.5, "I know."),  # said again at once
    (6.0, "No."),
    (6.5, "So then."),
]


@pytest.fixture
def read(tmp_path: Path):
    def read(cues: list[tuple[float, float, str]], webvtt: bool = True) -> Said:
        path = tmp_path / ("talk.vtt" if webvtt else "talk.srt")
        written = "\n\n".join(
            (f"00:{start:06.3f} --> 00:{end:06.3f}" if webvtt else f"00:00:{start:06.3f} --> 00:00:{end:06.3f}")
            + f"\n{text}"
            for start, end, text in cues
        )
        path.write_text(f"WEBVTT\n\n{written}\n" if webvtt else f"{written}\n", encoding="utf-8")
        return [(u.speaker, u.text, u.start, u.end) for u in read_transcript(path)]

    return read


def karaoke(mark: tuple[str, str], pause: float, prefix: str = "") -> list[tuple[float, float, str]]:
    """A cue for each word of `TALK`, half a second long; in a pause before a word the text has no mark."""
    cues = []
    for start, text in TALK:
        words = text.split()
        for n in range(len(words)):
            begin = start + 0.5 * n
            if n and pause:
                cues.append((begin, begin + pause, prefix + text))
                begin += pause
            marked = [*words[:n], f"{mark[0]}{words[n]}{mark[1]}", *words[n + 1 :]]
            cues.append((begin, start + 0.5 * (n + 1), prefix + " ".join(marked)))
    return cues


@pytest.mark.parametrize("webvtt", [True, False])
@pytest.mark.parametrize("pause", [0.0, 0.1])
@pytest.mark.parametrize("mark", MARKS)
def test_what_is_said_once_is_read_once_and_what_is_said_twice_twice(read, mark, pause, webvtt):
    expected = [(None, text, start, start + 0.5 * len(text.split())) for start, text in TALK]
    assert read(karaoke(MARKS[mark], pause), webvtt) == expected


def test_the_name_before_each_is_the_speaker(read):
    assert {speaker for speaker, *_ in read(karaoke(MARKS["u"], 0.0, "[SPEAKER_01]: "))} == {"SPEAKER_01"}


def test_repetitions_in_ordinary_subtitles_stay(read):
    cues = [
        (0.0, 1.0, "You <i>did</i> it."),
        (1.0, 2.0, "You did it."),
        (2.0, 3.0, "<i>You did it.</i>"),
        (4.0, 5.0, "I <b>know</b> it."),
        (6.0, 7.0, "I know <b>it.</b>"),
        (8.0, 9.0, "Well, no."),
    ]
    assert [text for _, text, *_ in read(cues)] == [
        "You did it.", "You did it.", "You did it.", "I know it.", "I know it.", "Well, no.",
    ]  # fmt: skip
