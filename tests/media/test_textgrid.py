"""Praat's TextGrid, held against Praat itself and praatio; and which tiers count."""

from __future__ import annotations

from pathlib import Path

import parselmouth
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript
from broadmamba.media.transcripts.silence import is_silence

call = parselmouth.praat.call


def said(conversation: Conversation) -> list[tuple[str | None, str, float | None, float | None]]:
    return [(u.speaker, u.text, u.start, u.end) for u in conversation]


def grid(*tiers: tuple[str, list[tuple[float, float, str]]], end: float = 100.0) -> str:
    """The short form, as praatio and Praat write it."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", f"{end}", "<exists>", f"{len(tiers)}"]
    for name, spans in tiers:
        points = spans and len(spans[0]) == 2
        lines += [f'"{"TextTier" if points else "IntervalTier"}"', f'"{name}"', "0", f"{end}", f"{len(spans)}"]
        for *times, text in spans:
            lines += [*map(str, times), '"{}"'.format(text.replace('"', '""'))]
    return "\n".join(lines) + "\n"


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str | bytes, name: str = "talk.TextGrid") -> Conversation:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_transcript(path)

    return read


# silence and numbers are in tests of their own
labels = (
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Nd"]), max_size=20)
    .map(str.strip)
    .filter(lambda text: not text or not is_silence(text))
)
spans = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 900), labels), min_size=1, max_size=6)


@st.composite
def tiers(draw) -> dict[str, list[tuple[float, float, str]]]:
    found = {}
    for name in draw(st.lists(st.sampled_from(["Anna", 'B "b"', "Zoë, D."]), min_size=1, max_size=3, unique=True)):
        position, intervals = 0, []
        for gap, length, label in draw(spans):
            start = position + gap
            position = start + length
            intervals.append((start / 1000, position / 1000, label))
        found[name] = intervals
    return found


@pytest.mark.parametrize("form", ["short_textgrid", "long_textgrid"])
def test_what_praatio_writes_is_read(tmp_path, form):
    path = tmp_path / "talk.TextGrid"

    @settings(max_examples=50, deadline=None)
    @given(tiers())
    def check(tiers):
        written = textgrid.Textgrid()
        for name, intervals in tiers.items():
            written.addTier(textgrid.IntervalTier(name, intervals, 0, 20))
        written.save(str(path), form, includeBlankSpaces=True)
        wanted = [(name, text, a, b) for name, intervals in tiers.items() for a, b, text in intervals if text]
        if wanted:
            assert said(read_transcript(path)) == sorted(wanted, key=lambda entry: entry[2])

    check()


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
@pytest.mark.parametrize("command", ["Save as text file...", "Save as short text file..."])
def test_what_praat_writes_is_read(tmp_path, command, encoding):
    path = tmp_path / "talk.textgrid"
    path.write_text(grid(("Anna", [(0, 1.25, 'Zoë says "hi"'), (1.25, 2, ""), (2, 100, "悲")])), encoding="utf-8")
    made = parselmouth.read(str(path))
    parselmouth.praat.run(f'Text writing preferences: "{encoding}"')
    call(made, command, str(path))
    assert path.read_bytes().startswith(b"\xfe\xff") == (encoding == "UTF-16")
    assert said(read_transcript(path)) == [("Anna", 'Zoë says "hi"', 0.0, 1.25), ("Anna", "悲", 2.0, 100.0)]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("Save as binary file...", "expected a TextGrid saved as a text file, found one of Praat's binary files"),
        ("Save as chronological text file...", "found a chronological one"),
    ],
)
def test_praats_other_forms_are_refused(tmp_path, command, message):
    path = tmp_path / "talk.TextGrid"
    path.write_text(grid(("Anna", [(0, 100, "hi")])), encoding="utf-8")
    call(parselmouth.read(str(path)), command, str(path))
    with pytest.raises(InputError, match=message):
        read_transcript(path)


def test_another_object_of_praats_is_refused(tmp_path):
    path = tmp_path / "talk.TextGrid"
    call(parselmouth.Sound([0.0, 0.5]), "Save as short text file...", str(path))
    with pytest.raises(InputError, match="expected a TextGrid, found 'Sound"):
        read_transcript(path)


def test_the_content_decides_over_the_name(read):
    assert said(read(grid(("Anna", [(0, 1, "hi")])), "talk.txt")) == [("Anna", "hi", 0.0, 1.0)]


def test_what_praat_passes_over_and_what_people_write_between(read):
    content = grid(("Anna", [(0, 1, "hi ! <exists> 7")])).replace("<exists>\n", 'tiers? <exists> ! 3 "tiers"\n', 1)
    assert said(read(content.replace("\n0\n1\n", "\n[1]: 0 from xmax=5 to 1 text =", 1))) == [
        ("Anna", "hi ! <exists> 7", 0.0, 1.0)
    ]


WORDS = [(0, 0.4, "so"), (0.4, 0.9, "I"), (0.9, 2, "sp"), (2, 2.3, "went"), (2.3, 2.8, "home")]
GROUPED = [("so I", 0.0, 0.9), ("went home", 2.0, 2.8)]
PHONES = [(0, 0.2, "s"), (0.2, 0.4, "oʊ")]


@pytest.mark.parametrize(
    ("tiers", "wanted"),
    [
        # what the Montreal Forced Aligner gives
        ([("words", WORDS), ("phones", PHONES)], [(None, *entry) for entry in GROUPED]),
        (
            [("Anna - words", WORDS), ("Anna - phones", PHONES), ("Bob - words", [(1, 1.5, "hm")])],
            [("Anna", *GROUPED[0]), ("Bob", "hm", 1.0, 1.5), ("Anna", *GROUPED[1])],
        ),
        # utterances are better than words
        ([("Anna", [(0, 3, "So I went home.")]), ("Anna - words", WORDS)], [("Anna", "So I went home.", 0.0, 3.0)]),
        ([("words", WORDS), ("Anna", [(0, 3, "So I went home.")])], [("Anna", "So I went home.", 0.0, 3.0)]),
        (
            [("Anna", [(0, 1, "So.")]), ("Bob_words", [(1, 1.5, "hm")])],
            [("Anna", "So.", 0.0, 1.0), ("Bob", "hm", 1.0, 1.5)],
        ),
        ([("utterances", [(0, 1, "So.")]), ("Bob - words", [(1, 1.5, "hm")])], [(None, "So.", 0.0, 1.0)]),
        # emotions and notes are about utterances
        (
            [("Anna", [(0, 1, "So."), (1, 2, ""), (2, 3, "")]), ("Anna-emotion", [(0, 1, "joy"), (2, 3, "fear")])],
            [("Anna", "So.", 0.0, 1.0), ("Anna", "", 2.0, 3.0)],
        ),
        (
            [("A", [(0, 1, "a")]), ("B", [(1, 2, "b")]), ("B-emotion", [(1, 2, "joy")]), ("A-emotion", [(0, 1, "x")])],
            [("A", "a", 0.0, 1.0), ("B", "b", 1.0, 2.0)],
        ),
        ([("words", [(0, 1, "Word up.")]), ("words-emotion", [(0, 1, "joy")])], [("words", "Word up.", 0.0, 1.0)]),
        ([("Anna", [(0, 1, "a")]), ("notes", [(0, 1, "loud")]), ("Anna: gaze", [(0, 1, "up")])], [("Anna", "a", 0, 1)]),
        # points, and notes, if there is nothing else
        ([("Anna", [(0, 1, "a")]), ("clicks", [(0.5, "click")])], [("Anna", "a", 0.0, 1.0)]),
        ([("clicks", [(0.5, "click"), (0.7, "")])], [("clicks", "click", 0.5, None)]),
        ([("labels", [(0, 1, "a")]), ("Bob - notes", [(1, 2, "b")])], [(None, "a", 0.0, 1.0)]),
    ],
)
def test_which_tiers_are_utterances(read, tiers, wanted):
    assert said(read(grid(*tiers))) == wanted


def test_words_get_their_speakers_from_turns(read, tmp_path):
    read(grid(("words", WORDS)))
    turns = tmp_path / "turns.rttm"
    turns.write_text(
        "SPEAKER talk 1 0 1 <NA> <NA> Anna <NA> <NA>\nSPEAKER talk 1 2 0.35 <NA> <NA> Bob <NA> <NA>\n"
        "SPEAKER talk 1 2.35 1 <NA> <NA> Anna <NA> <NA>\n"
    )
    assert said(read_transcript(tmp_path / "talk.TextGrid", speakers=turns)) == [
        ("Anna", "so I", 0.0, 0.9),
        ("Bob", "went", 2.0, 2.3),
        ("Anna", "home", 2.3, 2.8),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (grid(("phones", PHONES)), "expected a tier of utterances or words, found only phones"),
        (grid(("Anna", [(0, 1, "")])), "expected at least one utterance, found none"),
        (grid(), "expected at least one utterance, found none"),
        (grid(("Anna", [(3, 1, "x")])), "line 15: expected an end at 3.0 s or later, found 1.0 s"),
        (grid(("Anna", [(-1, 1, "x")])), "line 13: expected a time from 0 to 1000 hours, found -1.0 s"),
        (grid(("Anna", [(0, "1e999", "x")])), "line 14: expected a time from 0 to 1000 hours, found inf s"),
        (grid(("Anna", [(0, "nan", "x")])), "line 15: expected a time, found 'x'"),
        (
            grid(("Anna", [(0, 1, "x")]))[:-3],
            "expected a text with a closing quotation mark, found the end of the file",
        ),
        (grid(("Anna", [(0, 1, "x"), (1, 2, "y")]))[:-6], "expected a time, found the end of the file"),
        (grid(("Anna", [(0, 1, "x")])).replace("IntervalTier", "PitchTier"), "expected IntervalTier or TextTier"),
        (grid().replace("<exists>", "<absent>"), "expected <exists>, so tiers, found '<absent>'"),
        (grid().replace("\n0\n100.0", "\n"), "expected the start of the time domain, found '<exists>'"),
        (grid(("A", [(0, 1, "x")])).replace('"A"\n0\n100.0\n1', '"A"\n0\n100.0\n1.5'), "expected the number of"),
        (
            grid(("A", [(0, 1, "x")])).replace('"A"\n0\n100.0\n1', '"A"\n0\n100.0\n999999999'),
            "found the end of the file",
        ),
    ],
)
def test_damaged_files(read, content, message):
    with pytest.raises(InputError) as error:
        read(content)
    assert message in str(error.value)
    assert "talk.TextGrid" in str(error.value) and "\n" not in str(error.value)
