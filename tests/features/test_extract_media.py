"""Features of a corpus from its recordings: clips found, failures reported, kills survived."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")
sys.path.append(str(Path(__file__).parents[1] / "media"))
from recordings import tone, write
from unruly import LOUDNESS, Unruly, load_never, load_unruly

from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.features.audio import load_audio
from broadmamba.features.audio.logmel import logmel_statistics
from broadmamba.features.clips import NO_CLIP, Clip, find_clips
from broadmamba.features.extract_media import extract_media, report_file
from broadmamba.features.workers import Job, run_jobs
from broadmamba.media.recording import Recording

RATE = 16_000


def corpus_of(
    conversations: Mapping[str, Sequence[str | Utterance]], splits: Mapping[str, Sequence[str]] | None = None
) -> Corpus:
    """A corpus in memory; by default all of it is in the split `train`."""
    made = tuple(
        Conversation(id, tuple(u if isinstance(u, Utterance) else Utterance(u) for u in utterances))
        for id, utterances in conversations.items()
    )
    chosen = {name: tuple(ids) for name, ids in (splits or {"train": list(conversations)}).items()}
    return Corpus("test", LabelSet(["sad", "glad"]), made, chosen)


def save(corpus: Corpus, folder: Path) -> Corpus:
    corpus.save(folder)
    return Corpus.open(folder)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def sound(file: Path, loud: float = 0.1, seconds: float = 0.2) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return write(file, tone(seconds, RATE, loud=loud), rate=RATE)


def found(corpus: Corpus, media: Path, modality: str = "audio") -> list[str]:
    """Clips as text: the file below the folder, and the span where it is one."""
    return [
        clip
        if isinstance(clip, str)
        else f"{clip.file.relative_to(media).as_posix()}{'' if clip.end is None else f' {clip.start}-{clip.end}'}"
        for clip in find_clips(corpus, media, modality)
    ]


MELD = corpus_of(
    {
        "train_dia0": ["train_dia0_utt0", "train_dia0_utt1"],
        "dev_dia0": ["dev_dia0_utt0"],
        "test_dia0": ["test_dia0_utt0"],
    },
    {"train": ["train_dia0"], "dev": ["dev_dia0"], "test": ["test_dia0"]},
)


def test_meld_clips_are_told_apart_by_the_folder_of_their_split(tmp_path: Path) -> None:
    folders = ("train/train_splits", "dev/dev_splits_complete", "test/output_repeated_splits_test")
    for folder in folders:
        touch(tmp_path, f"MELD.Raw/{folder}/dia0_utt0.mp4", f"MELD.Raw/{folder}/._dia0_utt0.mp4")
    touch(tmp_path, f"MELD.Raw/{folders[2]}/final_videos_testdia0_utt0.mp4", "MELD.Raw/train_sent_emo.csv")
    expected = [f"MELD.Raw/{folder}/dia0_utt0.mp4" for folder in folders]
    for modality in ("audio", "video"):
        assert found(MELD, tmp_path, modality) == [expected[0], NO_CLIP, *expected[1:]]
    assert found(MELD, tmp_path / "MELD.Raw/dev") == [NO_CLIP, NO_CLIP, "dev_splits_complete/dia0_utt0.mp4", NO_CLIP]
    assert found(MELD, tmp_path / "MELD.Raw/dev/dev_splits_complete") == [NO_CLIP, NO_CLIP, "dia0_utt0.mp4", NO_CLIP]


def test_a_clip_of_no_known_split_is_refused(tmp_path: Path) -> None:
    media = tmp_path / "media"
    touch(media, "clips/dia0_utt1.mp4")  # of train alone
    assert found(MELD, media) == [NO_CLIP, "clips/dia0_utt1.mp4", NO_CLIP, NO_CLIP]
    touch(media, "clips/dia0_utt0.mp4")
    with pytest.raises(InputError, match=r"dia0_utt0 is there in more than one split .*\(train, dev, test\)"):
        find_clips(MELD, media, "audio")


def test_ids_with_their_split_need_no_folder(tmp_path: Path) -> None:
    touch(tmp_path, "train_dia0_utt0.mp4", "dev_dia0_utt0.MKV")
    assert found(MELD, tmp_path) == ["train_dia0_utt0.mp4", NO_CLIP, "dev_dia0_utt0.MKV", NO_CLIP]


IEMOCAP = corpus_of(
    {
        "Ses01F_impro01": [
            Utterance("Ses01F_impro01_F000", start=6.25, end=8.5),
            Utterance("Ses01F_impro01_M000", start=7.5),
        ]
    }
)


def test_iemocap_sentences_and_dialogues(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav",
        "Session1/sentences/wav/Ses01F_impro01/._Ses01F_impro01_M000.wav",
        "Session1/sentences/ForcedAlignment/Ses01F_impro01/Ses01F_impro01_F000.wdseg",
        "Session1/dialog/wav/Ses01F_impro01.wav",
        "Session1/dialog/avi/DivX/Ses01F_impro01.avi",
    )
    folder = "Session1/sentences/wav/Ses01F_impro01"
    assert found(IEMOCAP, tmp_path) == [f"{folder}/Ses01F_impro01_{who}000.wav" for who in "FM"]
    film = "Session1/dialog/avi/DivX/Ses01F_impro01.avi 6.25-8.5"
    without = "its conversation is one recording, and it has no start and end in it"
    assert found(IEMOCAP, tmp_path, "video") == [film, without]
    assert found(IEMOCAP, tmp_path / "Session1/dialog") == ["wav/Ses01F_impro01.wav 6.25-8.5", without]


def test_two_files_for_one_utterance_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "raw/Ses01F_impro01_F000.wav", "clean/Ses01F_impro01_F000.wav")
    with pytest.raises(InputError, match=r"both clean/.* and raw/.* could be the clip of Ses01F_impro01_F000"):
        find_clips(IEMOCAP, tmp_path, "audio")


@pytest.mark.parametrize("start, end", [(3.0, 2.0), (-1.0, 2.0), (2.0, 2.0)])
def test_times_that_are_no_span(tmp_path: Path, start: float, end: float) -> None:
    touch(tmp_path, "c.wav")
    corpus = corpus_of({"c": [Utterance("u", start=start, end=end), Utterance("v", start=0.0, end=1.0)]})
    clips = find_clips(corpus, tmp_path, "audio")
    assert "no span" in str(clips[0])
    assert clips[1] == Clip(tmp_path / "c.wav", 0.0, 1.0)


def test_folders_without_a_clip(tmp_path: Path) -> None:
    touch(tmp_path, "other.mp4", "clips/nothing.wav")
    with pytest.raises(
        InputError, match=r"none of its 2 sound or video files belongs .* such as train_dia0_utt0, dia0_utt0"
    ):
        find_clips(MELD, tmp_path, "audio")
    with pytest.raises(InputError, match=r"there is no such folder of recordings"):
        find_clips(MELD, tmp_path / "absent", "audio")
    with pytest.raises(InputError, match=r"expected a folder of recordings, found a file"):
        find_clips(MELD, tmp_path / "other.mp4", "audio")


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/dia0_utt0.mp4", "media/notes.txt")
    (tmp_path / "media/train_splits").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "media")
    assert found(MELD, tmp_path / "media")[0] == "train_splits/dia0_utt0.mp4"


def test_the_feature_of_clips_and_of_spans(tmp_path: Path) -> None:
    clip = sound(tmp_path / "media/b/alone_0.mp4", seconds=0.5)
    whole = write(
        tmp_path / "media/talk.flac", np.concatenate([tone(0.5, RATE, h) for h in (200, 400, 800)]), rate=RATE
    )
    spans = [(1.0, 1.5), (0.0, 0.5), (0.25, 1.25)]
    talk = [Utterance(f"t{i}", start=start, end=end) for i, (start, end) in enumerate(spans)]
    corpus = save(corpus_of({"talk": talk, "alone": ["alone_0"]}), tmp_path / "corpus")
    told: list[tuple[int, int]] = []
    extended, report = extract_media(
        corpus, partial(load_audio, "logmel"), tmp_path / "media", 2, lambda *seen: told.append(seen)
    )
    feature = extended.features["logmel"]
    assert feature.spec == load_audio("logmel").spec
    with Recording.open(whole) as recording:
        expected = [logmel_statistics(recording.audio(*span)) for span in spans]
    with Recording.open(clip) as recording:
        expected.append(logmel_statistics(recording.audio()))
    np.testing.assert_array_equal(feature.values, expected)
    assert told == [(done, 4) for done in range(1, 5)]
    assert (report.utterances, report.failures, report.summary()) == (4, (), [])
    files = {str(path.relative_to(corpus.path)) for path in corpus.path.rglob("*") if path.is_file()}
    assert files == {"corpus.json", "utterances.jsonl", "features/logmel.safetensors", "reports/logmel.csv"}

    before = (corpus.path / "features/logmel.safetensors").stat().st_mtime_ns
    again, empty = extract_media(extended, partial(load_audio, "logmel"), tmp_path / "nowhere", 2, None)
    assert again is extended and not empty.failures
    assert (corpus.path / "features/logmel.safetensors").stat().st_mtime_ns == before


def test_failures_cost_their_own_rows_alone(tmp_path: Path) -> None:
    media = tmp_path / "media"
    wanted = ["fine0", *LOUDNESS, "silent", "broken", "empty", "absent", "fine1"]
    for name in wanted[:7]:
        sound(media / f"{name}.wav", LOUDNESS.get(name, 0.0 if name == "silent" else 0.1))
    sound(media / "fine1.mp4", seconds=0.4)
    whole = sound(media / "broken.mp4").read_bytes()
    (media / "broken.mp4").write_bytes(whole[: len(whole) // 3] + os.urandom(200))
    touch(media, "empty.wav")
    pieces = [0.1, LOUDNESS["crash"], 0.1, LOUDNESS["refuse"], 0.1, LOUDNESS["exit"]]
    write(media / "talk.wav", np.concatenate([tone(0.5, RATE, loud=loud) for loud in pieces]), rate=RATE)
    talk = [Utterance(f"talk{i}", start=i * 0.5, end=i * 0.5 + 0.5) for i in range(len(pieces))]
    corpus = save(corpus_of({"all": wanted, "talk": talk}), tmp_path / "corpus")
    extended, report = extract_media(corpus, load_unruly, media, 2, limit=2)

    values = dict(zip([u.id for u in corpus.utterances], extended.features["unruly"].values, strict=True))
    assert {id for id, row in values.items() if not np.isnan(row).any()} == {
        "fine0",
        "fine1",
        "talk0",
        "talk2",
        "talk4",
    }
    assert values["fine0"][0] == 0.2 * RATE and values["talk4"][0] == 0.5 * RATE
    reasons = {failure.utterance: failure.reason for failure in report.failures}
    assert list(reasons) == [id for id in values if np.isnan(values[id]).any() and id != "silent"]
    assert reasons["crash"] == reasons["talk1"] == "its worker process was killed by SIGSEGV"
    assert reasons["exit"] == reasons["talk5"] == "its worker process ended with code 3"
    assert reasons["refuse"] == reasons["talk3"] == "ZeroDivisionError: no such number"
    assert reasons["hang"] == "it took longer than 2 s"
    assert reasons["infinite"] == "its values are not finite"
    assert reasons["absent"] == NO_CLIP
    assert str(media) not in " ".join(reasons.values())

    with report_file(corpus.path, "unruly").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"utterance": f.utterance, "file": f.file, "reason": f.reason} for f in report.failures]
    assert {row["utterance"]: row["file"] for row in rows}["talk3"] == "talk.wav"
    assert {row["utterance"]: row["file"] for row in rows}["absent"] == ""
    assert "2 × its worker process was killed by SIGSEGV: crash, talk1" in report.summary()
    assert not (corpus.path / ".extract").exists()


def test_nothing_that_can_be_used_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "media/a.wav")
    corpus = save(corpus_of({"c": ["z", "a"]}), tmp_path / "corpus")
    with pytest.raises(InputError, match=r"unruly failed for all 2 utterances, as for a \(a\.wav: .*empty"):
        extract_media(corpus, load_unruly, tmp_path / "media")
    assert sorted(path.name for path in corpus.path.iterdir()) == ["corpus.json", "utterances.jsonl"]
    sound(tmp_path / "media/a.wav")
    extended, _ = extract_media(corpus, load_unruly, tmp_path / "media")
    assert extended.features["unruly"].missing().tolist() == [True, False]


def test_a_worker_that_cannot_load_its_extractor_is_an_error(tmp_path: Path) -> None:
    sound(tmp_path / "media/a.wav")
    corpus = save(corpus_of({"c": ["a"]}), tmp_path / "corpus")
    with pytest.raises(InputError, match="no such weights"):
        extract_media(corpus, load_never, tmp_path / "media")


def test_threads_that_start_workers_leave_their_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    main = sys.modules["__main__"]
    try:
        with ThreadPoolExecutor(3) as threads:
            tried = [
                threads.submit(list, run_jobs(load_never, [Job(Path("none"), ((0, 1),), (0,))], 1, 10))
                for _ in range(3)
            ]
        assert all(isinstance(one.exception(), InputError) for one in tried)
        assert os.environ["OMP_NUM_THREADS"] == "7"
        assert sys.modules["__main__"] is main
    finally:
        sys.modules["__main__"] = main


def test_a_corpus_in_memory_or_with_another_such_feature_is_refused(tmp_path: Path) -> None:
    corpus = corpus_of({"c": ["a"]})
    with pytest.raises(InputError, match="only in memory"):
        extract_media(corpus, load_unruly, tmp_path)
    sound(tmp_path / "media/a.wav")
    extended, _ = extract_media(save(corpus, tmp_path / "corpus"), load_unruly, tmp_path / "media")
    with pytest.raises(InputError, match="has another feature of this name already"):
        extract_media(extended, load_renamed, tmp_path / "media")


def load_renamed() -> Unruly:
    unruly = load_unruly()
    return replace(unruly, spec=replace(unruly.spec, version="2"))


KILLED = """
import os, signal, sys, time
from functools import partial
from pathlib import Path
from broadmamba.data.corpus import Corpus
from broadmamba.features import rows
from broadmamba.features.extract_media import extract_media
from unruly import load_unruly

rows._PART_ROWS, rows._PART_SECONDS = 4, float("inf")
trace = Path(sys.argv[3])
def kill(done, total):
    while len({line.split()[0] for line in trace.read_text().splitlines()}) < 2:
        time.sleep(0.01)  # both workers have a job, but one may still be starting
    if done >= 14:
        os.kill(os.getpid(), signal.SIGKILL)
extract_media(Corpus.open(sys.argv[1]), partial(load_unruly, trace), Path(sys.argv[2]), 2, kill)
"""


@pytest.fixture
def thirty(tmp_path: Path) -> Callable[[str], Corpus]:
    """Thirty utterances, half of them spans of one recording, in a corpus of the given name."""
    random = np.random.default_rng(1)
    for number in range(15):
        sound(tmp_path / f"media/clip{number}.wav", random.uniform(0.01, 0.15))
    write(tmp_path / "media/talk.wav", (random.normal(size=8 * RATE) * 0.03).astype(np.float32), rate=RATE)
    talk = [Utterance(f"talk{i}", start=i * 0.5, end=i * 0.5 + random.uniform(0.1, 1)) for i in range(15)]
    corpus = corpus_of({"clips": [f"clip{i}" for i in range(15)], "talk": talk})
    return lambda name: save(corpus, tmp_path / name)


def test_a_killed_run_goes_on_to_the_same_result(thirty: Callable[[str], Corpus], tmp_path: Path) -> None:
    media, trace = tmp_path / "media", tmp_path / "trace"
    unbroken, _ = extract_media(thirty("unbroken"), load_unruly, media)
    corpus = thirty("killed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    arguments = [sys.executable, "-c", KILLED, str(corpus.path), str(media), str(trace)]
    killed = subprocess.run(arguments, env=environment, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not Corpus.open(corpus.path).features
    workers = {int(line.split()[0]) for line in trace.read_text().splitlines()}
    assert len(workers) == 2
    wait_for_end(workers)

    trace.unlink()
    resumed, report = extract_media(corpus, partial(load_unruly, trace), media, 2)
    np.testing.assert_array_equal(resumed.features["unruly"].values, unbroken.features["unruly"].values)
    assert len(trace.read_text().splitlines()) == 30 - 12  # three parts of four were stored
    assert not report.failures
    assert not (corpus.path / ".extract").exists()


def wait_for_end(processes: set[int]) -> None:
    """The workers of a killed run end by themselves."""
    until = time.monotonic() + 20
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_has_changed_since_is_extracted_anew(
    thirty: Callable[[str], Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media, trace = tmp_path / "media", tmp_path / "trace"
    corpus = thirty("corpus")
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(Corpus, "add_feature", interrupt)
        extract_media(corpus, load_unruly, media)
    assert list(corpus.path.glob(".extract/unruly/*/*.safetensors"))
    sound(media / "clip3.wav", seconds=0.3)
    extended, _ = extract_media(corpus, partial(load_unruly, trace), media)
    assert [line.split()[1] for line in trace.read_text().splitlines()] == ["clip3.wav"]
    assert extended.features["unruly"].values[3, 0] == 0.3 * RATE


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
