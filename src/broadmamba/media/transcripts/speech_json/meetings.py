"""Meetings, films and corpora: Teams, Azure's Video Indexer, YouTube, and the JSON of CHiME and MeetEval."""

from __future__ import annotations

from typing import Any

from broadmamba.media.transcripts.rows import Row, Source, end_after, of_one_recording
from broadmamba.media.transcripts.segments import Spoken, cut_at_next, segment_rows
from broadmamba.media.transcripts.speech_json.entries import MILLISECONDS, Entry, entries_of, first_of


def is_teams(value: object) -> bool:
    """`{"entries": [{"text", "startOffset"}]}`."""
    return {"text", "startOffset"} <= first_of(value, "entries").keys()


def teams(source: Source, value: Any) -> list[Row]:
    """Microsoft Teams: entries with times such as `00:00:03.4100000`."""
    found: list[Spoken] = []
    for entry in Entry(source, value).entries("entries", "entry"):
        speaker = entry.name("speakerDisplayName", "speakerId")
        times = (entry.clock("startOffset"), entry.clock("endOffset"))
        found.append(Spoken(entry.place, entry.text("text").strip(), *times, speaker))
    return segment_rows(source, found)


def is_indexer(value: object) -> bool:
    """`{"videos": [{"insights": {"transcript": …}}]}`."""
    insights = first_of(value, "videos").get("insights")
    return isinstance(insights, dict) and isinstance(insights.get("transcript"), list)


def indexer(source: Source, value: Any) -> list[Row]:
    """Azure's Video Indexer: lines with instances, of which the first counts."""
    insights = Entry(source, value).first("videos").entry("insights")
    names = {entry.name("id"): entry.name("name") for entry in insights.entries("speakers", "speaker")}
    found: list[Spoken] = []
    for line in insights.entries("transcript", "line"):
        instance = line.first("instances")
        label = line.name("speakerId")
        times = (instance.clock("start"), instance.clock("end"))
        found.append(Spoken(line.place, line.text("text").strip(), *times, names.get(label, label)))
    return segment_rows(source, found)


def is_youtube(value: object) -> bool:
    """`{"events": [{"tStartMs"}]}`."""
    return "tStartMs" in first_of(value, "events")


def youtube(source: Source, value: Any) -> list[Row]:
    """YouTube's json3: events with segments; milliseconds.

    Captions that are made while somebody speaks roll: a line stays while the next one comes, so each ends where the
    next one begins. Their events have the times of single words (`tOffsetMs`).
    """
    events = Entry(source, value).entries("events", "event")
    found: list[Spoken] = []
    rolls = False
    for event in events:
        parts = event.entries("segs", "segment")
        text = " ".join("".join(part.text("utf8") for part in parts if part.has("utf8")).split())
        rolls = rolls or any(part.has("tOffsetMs") for part in parts)
        start, length = event.seconds("tStartMs", MILLISECONDS), event.seconds("dDurationMs", MILLISECONDS)
        if text:
            end = None if start is None or length is None else end_after(start, length, event.where)
            found.append(Spoken(event.place, text, start, end))
    return segment_rows(source, cut_at_next(found) if rolls else found)


def is_seglst(value: object) -> bool:
    """A list of `{"session_id", "speaker", "words", "start_time", "end_time"}`."""
    first = first_of({"": value}, "")
    return {"words", "start_time"} <= first.keys() and isinstance(first["words"], str)


def seglst(source: Source, value: Any) -> list[Row]:
    """MeetEval's SegLST with seconds, and CHiME's files with `H:MM:SS.ss`.

    Raises:
        InputError: there are several sessions, and none has the file's name.
    """
    entries = entries_of(source, value, "segment")
    found: list[Spoken] = []
    for entry in of_one_recording(source, entries, lambda entry: entry.name("session_id") or ""):
        times = [
            entry.clock(key) if isinstance(entry.values.get(key), str) else entry.seconds(key)
            for key in ("start_time", "end_time")
        ]
        found.append(Spoken(entry.place, entry.text("words").strip(), times[0], times[1], entry.name("speaker")))
    return segment_rows(source, found)
