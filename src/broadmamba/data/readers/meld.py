"""MELD's official annotation: `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv` in one folder."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.data.readers.conventions import MELD_LABELS, decode
from broadmamba.data.readers.labels import plain_label
from broadmamba.errors import InputError
from broadmamba.storage import read_bytes

_SPLITS = ("train", "dev", "test")
_NEEDED = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID", "StartTime", "EndTime")
_WITHOUT_CLIP = ("train_dia125_utt3", "dev_dia110_utt7")
_TIME = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})")


def recognises(source: Path) -> bool:
    """Whether the source is a folder with at least one of the three files."""
    return any(_file(source, split).is_file() for split in _SPLITS)


def read(source: Path, name: str | None = None, modalities: Mapping[str, str] | None = None) -> Corpus:
    """Read the annotation; utterance ids are `<split>_dia<n>_utt<m>`.

    Args:
        source: the folder with the CSV files.
        name: of the corpus; `meld` if not given.
        modalities: not used, since the annotation has no features.

    Raises:
        InputError: no such file, a column is missing, or a row has an unknown emotion, id or time.
    """
    found = [split for split in _SPLITS if _file(source, split).is_file()]
    if not found:
        raise InputError(f"{source}: expected a folder with train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv")
    notes: list[str] = [f"there is no {_file(source, split).name}" for split in _SPLITS if split not in found]
    conversations: list[Conversation] = []
    splits = {}
    for split in found:
        of_split = _read_split(_file(source, split), split, notes)
        splits[split] = tuple(conversation.id for conversation in of_split)
        conversations += of_split
    ids = {utterance.id for conversation in conversations for utterance in conversation}
    if without := [id for id in _WITHOUT_CLIP if id in ids]:
        notes.append(f"MELD's recordings have no clip of {', '.join(without)}: audio and video are missing there")
    return Corpus(name or "meld", MELD_LABELS, tuple(conversations), splits, notes=tuple(notes))


def _file(source: Path, split: str) -> Path:
    return source / f"{split}_sent_emo.csv"


def _read_split(path: Path, split: str, notes: list[str]) -> list[Conversation]:
    """The conversations of one file by number, since the rows of some releases are out of order."""
    rows: dict[tuple[int, int], Utterance] = {}
    repeated = 0
    reader = csv.DictReader(io.StringIO(decode(read_bytes(path)), newline=""), strict=True)
    try:
        if missing := [column for column in _NEEDED if column not in (reader.fieldnames or ())]:
            raise InputError(f"{path}: expected the columns of MELD, missing are {', '.join(missing)}")
        if twice := [column for column in _NEEDED if (reader.fieldnames or ()).count(column) > 1]:
            raise InputError(f"{path}: expected each column once, found {', '.join(twice)} more than once")
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row.values() or None in row:
                raise InputError(f"{place}: expected {len(reader.fieldnames or ())} fields, found more or fewer")
            numbers, utterance = _read_row(row, split, place)
            if rows.setdefault(numbers, utterance) != utterance:
                raise InputError(f"{place}: {utterance.id} is there already, with other content")
            repeated += rows[numbers] is not utterance
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.reader.line_num}: expected CSV, found something else ({error})"
        ) from None
    if not rows:
        raise InputError(f"{path}: expected utterances, found only the header")
    if repeated:
        notes.append(f"{path.name}: rows that were there twice and are kept once: {repeated}")
    if unlabelled := [u.id for u in rows.values() if u.label is None]:
        notes.append(f"{path.name}: utterances without an emotion: {len(unlabelled)} ({unlabelled[0]}, …)")
    if instant := [u.id for u in rows.values() if u.start is not None and u.end is not None and u.end <= u.start]:
        notes.append(f"{path.name}: utterances that do not end after their start: {len(instant)} ({instant[0]}, …)")
    dialogues: dict[int, list[Utterance]] = {}
    for (dialogue, _), utterance in sorted(rows.items(), key=lambda item: item[0]):
        dialogues.setdefault(dialogue, []).append(utterance)
    return [Conversation(f"{split}_dia{number}", tuple(turns)) for number, turns in dialogues.items()]


def _read_row(row: Mapping[str, str], split: str, place: str) -> tuple[tuple[int, int], Utterance]:
    numbers = row["Dialogue_ID"].strip(), row["Utterance_ID"].strip()
    if not all(number.isdecimal() and len(number) < 10 for number in numbers):
        raise InputError(f"{place}: Dialogue_ID and Utterance_ID are {numbers}, expected whole numbers")
    dialogue, turn = map(int, numbers)
    label = plain_label(row["Emotion"].lower())
    if label not in (None, *MELD_LABELS):
        raise InputError(f"{place}: unknown emotion {label!r}; known are {', '.join(MELD_LABELS)}")
    return (dialogue, turn), Utterance(
        id=f"{split}_dia{dialogue}_utt{turn}",
        text=row["Utterance"],
        speaker=row["Speaker"].strip() or None,
        start=_seconds(row["StartTime"], place),
        end=_seconds(row["EndTime"], place),
        label=label,
    )


def _seconds(time: str, place: str) -> float | None:
    """`HH:MM:SS,mmm` (leading zeros may lack) as seconds."""
    if not time.strip():
        return None
    match = _TIME.fullmatch(time.strip())
    if match is None:
        raise InputError(f"{place}: the time is {time!r:.40}, expected HH:MM:SS,mmm")
    hours, minutes, seconds, fraction = match.groups()
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return round(whole + int(fraction.ljust(3, "0")) / 1000, 3)
