"""`broadmamba.recognize`: what people give it, and that it does what the command line does."""

from __future__ import annotations

import doctest
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from meetings import make_meeting
from spoken import speech_model

import broadmamba
from broadmamba import Conversation, InputError, Recognizer, Utterance, read_transcript, recognize
from broadmamba.bundle.folder import Bundle
from broadmamba.recognition import front_door, prediction
from corpora import LABELS, WORDS

SAID = Conversation("c", (Utterance("u", "hm"),))
KITCHEN = Path(__file__).resolve().parents[2] / "examples" / "kitchen.vtt"


def talk(path: Path, *labels: str) -> Path:
    """A transcript of a line for each label, as the tiny model learnt them."""
    path.write_text("".join(f"Ann: {' '.join([*WORDS[label], WORDS[label][0]])}\n" for label in labels))
    return path


@pytest.fixture(scope="module")
def recognizer(text_model: tuple[Path, Path]) -> Recognizer:
    """The tiny model of words."""
    encoder, model = text_model
    return Recognizer.from_pretrained(model, encoder=encoder)


@pytest.fixture(scope="module")
def spoken_meeting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording and its transcript."""
    return make_meeting(tmp_path_factory.mktemp("meeting"))


@pytest.fixture
def meeting(spoken_meeting: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, in which the test runs, and in which nothing is left."""
    monkeypatch.chdir(spoken_meeting)
    yield spoken_meeting
    assert {file.name for file in spoken_meeting.iterdir()} == {"meeting.wav", "meeting.srt"}


def test_a_file_and_what_it_says_give_the_same(recognizer: Recognizer, tmp_path: Path) -> None:
    path = talk(tmp_path / "talk.txt", "glad", "upset", "upset", "calm", "glad")
    read = read_transcript(path)
    found = recognize(path, model=recognizer)
    assert found.utterances == recognizer.predict(read).utterances
    assert [item.label for item in found] == ["glad", "upset", "upset", "calm", "glad"]
    assert (found.source, found.transcript, found.recording) == (path, None, None)
    of_conversation = recognize(read, model=recognizer)
    assert of_conversation.utterances == found.utterances and of_conversation.source is None


def test_a_list_gives_a_list_and_loads_the_model_once(
    text_model: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, model = text_model
    files = [talk(tmp_path / f"{label}.txt", label) for label in LABELS]
    mixed = [str(files[0]), files[1], read_transcript(files[2])]
    loaded, load = [], Bundle.load
    monkeypatch.setattr(Bundle, "load", lambda path: loaded.append(path) or load(path))
    stages: list[tuple[str, float, float]] = []
    found = recognize(mixed, model=model, encoder=encoder, progress=lambda *told: stages.append(told))
    assert loaded == [model]
    assert [result.conversation for result in found] == list(LABELS)
    assert [result.utterances for result in found] == [
        recognize(file, model=model, encoder=encoder).utterances for file in files
    ]
    assert ("Loading the model", 1, 1) in stages and (f"{files[1]}: Recognising", 1, 1) in stages
    assert recognize(tuple(mixed[:1]), model=model, encoder=encoder)[0].utterances == found[0].utterances
    assert recognize([], model=model, encoder=encoder) == []


def test_a_bad_file_of_a_list_is_named_before_any_work(recognizer: Recognizer, tmp_path: Path) -> None:
    good, bad = talk(tmp_path / "good.txt", "glad"), tmp_path / "bad.srt"
    bad.write_bytes(b"\x00\x01\x02" * 50)
    stages: list[str] = []
    for wrong, named in ((bad, str(bad)), (tmp_path / "no.mp4", "no.mp4"), (3, "found int")):
        with pytest.raises(InputError, match=named.replace("\\", "\\\\")):
            recognize([good, wrong], model=recognizer, progress=lambda stage, *_: stages.append(stage))  # type: ignore[list-item]
    assert not stages
    empty = Conversation("nobody", ())  # seen only when it is recognised
    with pytest.raises(InputError, match=r"^conversation 'nobody' has no utterances"):
        recognize([good, empty], model=recognizer)
    late = Conversation("late", (Utterance("u1", "hm", start=2.0, end=1.0),))
    with pytest.raises(InputError, match=r"^conversation 'late': utterance 'u1': expected times"):
        recognize([good, late], model=recognizer)


def test_what_is_done_of_a_recording_is_kept_where_it_is_asked_for(meeting: Path, tmp_path: Path) -> None:
    def stop(stage: str, done: float, total: float) -> None:
        if stage == "Recognising":
            raise KeyboardInterrupt

    options = {"transcript": "meeting.srt", "model": Recognizer.from_pretrained(), "work": tmp_path / "work"}
    with pytest.raises(KeyboardInterrupt):
        recognize("meeting.wav", progress=stop, **options)  # type: ignore[arg-type]
    stages: list[str] = []
    recognize("meeting.wav", progress=lambda stage, *_: stages.append(stage), **options)  # type: ignore[arg-type]
    assert set(stages) == {"Recognising"}


def test_the_work_of_several_recordings_is_kept_apart(meeting: Path, tmp_path: Path) -> None:
    (tmp_path / "second.wav").write_bytes((meeting / "meeting.wav").read_bytes())
    both = ["meeting.wav", tmp_path / "second.wav"]
    options = {"speech_model": speech_model(), "work": tmp_path / "work"}
    found = recognize(both, language="en", **options)  # type: ignore[arg-type]
    assert [len(result) for result in found] == [3, 3]
    assert [result.conversation for result in found] == ["meeting", "second"]
    assert len(list((tmp_path / "work").glob("*/speech-*.jsonl"))) == 2


def test_nothing_is_left_of_the_work(meeting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    words = read_transcript("meeting.srt")
    result = recognize("meeting.wav", transcript=words, audio_track=1, channels="mix", workers=1)
    assert [item.present for item in result] == [("text", "audio")] * 3
    assert (result.source, result.transcript) == (meeting / "meeting.wav", None)
    assert list(tmp_path.iterdir()) == []


def test_encoding_and_tiers_are_those_of_the_transcript(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nЯна: Уже поздно.\n".encode("koi8_r"))
    (item,) = recognize(path, model=recognizer, encoding="koi8-r")
    assert (item.speaker, item.text, item.start, item.end) == ("Яна", "Уже поздно.", 1.0, 2.0)
    grid = tmp_path / "talk.TextGrid"
    tiers = " ".join(f'"IntervalTier" "{name}" 0 1 1 0 1 "{name}"' for name in ("Ann", "notes", "Bo"))
    grid.write_text(f'File type = "ooTextFile"\nObject class = "TextGrid"\n0 1 <exists> 3 {tiers}')
    for named in ("notes,Bo", ["notes", "Bo"]):
        assert [item.text for item in recognize(grid, model=recognizer, tiers=named)] == ["notes", "Bo"]


@pytest.mark.parametrize(
    ("source", "options", "told"),
    [
        (3, {}, "by its path, a Conversation, or a list of these, found int"),
        (b"talk.txt", {}, "found bytes"),
        (None, {}, "found NoneType"),
        ("talk.txt", {"transcript": 3}, "talk.txt: expected a recording, since a transcript was given too"),
        ("voice.wav", {"transcript": 3}, "expected a transcript by its path, or a Conversation, found int"),
        ("voice.wav", {"tiers": ["Bo"]}, "voice.wav: expected a transcript too, since tiers of one were named"),
        ("voice.wav", {"encoding": "cp1251"}, "voice.wav: expected a transcript too, since its encoding was said"),
        ("absent.vtt", {}, "absent.vtt: there is no such file"),
        ("n" * 300, {}, "cannot be read"),
        ({"talk.txt"}, {}, "found set"),
        (["talk.txt", {"text": "x" * 99}], {}, r"^{.text.: .x{30}: expected .* by its path, .* found dict"),
        (["talk.txt"], {"transcript": "talk.txt"}, "expected one recording, .* found a list of 1"),
        ("talk.txt", {"speakers": 0}, "expected speakers as a number from 1 to 1000, found 0"),
        ("talk.txt", {"workers": True}, "expected workers as a number from 1 to 1024, found True"),
        ("talk.txt", {"encoding": 3}, "expected encoding as a text, found int"),
        ("talk.txt", {"tiers": ["Bo", 3]}, "expected tier 2 as a text, found int"),
        ("talk.txt", {"tiers": 3}, "expected tiers as a list of their names, found int"),
        ("talk.txt", {"tiers": iter(["Bo"])}, "expected tiers as a list of their names, found list_iterator"),
        ("talk.txt", {"progress": 3}, "expected progress as a function, found int"),
        ("talk.txt", {"audio_track": True}, "expected audio_track as a number or a text, found bool"),
        ("talk.txt", {"channels": [1]}, "expected channels as a number or a text, found list"),
        ("talk.txt", {"work": 3}, "expected work as a path, found int"),
        ("talk.txt", {"channels": "left"}, "expected the channels as mix, best or a number"),
        ("talk.txt", {"device": "cpu"}, "expected no encoder, runtime or device beside a Recognizer"),
        ("talk.txt", {"model": 3}, "expected a model as a name or folder, found int"),
        ("talk.txt", {"model": "melt"}, "did you mean meld"),
        ("talk.txt", {"model": "meld", "device": "abacus"}, "abacus"),
        ("talk.txt", {"model": "meld", "runtime": 3}, "unknown runtime 3; known are onnx, torch"),
        (Conversation("c", iter(SAID)), {}, "conversation 'c': expected a tuple of utterances, found tuple_iterator"),
        (SAID, {"encoding": "cp1251"}, "conversation 'c': expected the file of"),
        (SAID, {"transcript": "talk.txt"}, "conversation 'c': expected a recording"),
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", str(value)),  # the same in every process
)  # fmt: skip
def test_what_is_wrong_is_refused_in_a_sentence(
    recognizer: Recognizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: object,
    options: dict[str, object],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    talk(tmp_path / "talk.txt", "glad")
    (tmp_path / "voice.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=told) as caught:
        recognize(source, **{"model": recognizer, **options})  # type: ignore[call-overload]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", [front_door, prediction], ids=["recognize", "results"])
def test_the_examples_say_what_happens(module: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kitchen.vtt").write_bytes(KITCHEN.read_bytes())
    told = doctest.testmod(module, extraglobs={"broadmamba": broadmamba})  # type: ignore[arg-type]
    assert told.failed == 0 and told.attempted >= 3
