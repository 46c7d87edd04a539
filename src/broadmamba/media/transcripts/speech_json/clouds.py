"""Clouds: AWS Transcribe, Azure Speech, Google Speech, NVIDIA Riva, IBM Watson."""

from __future__ import annotations

from typing import Any

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source, end_after
from broadmamba.media.transcripts.segments import Spoken, result_rows, segment_rows, word_rows
from broadmamba.media.transcripts.speech_json.entries import MILLISECONDS, TICKS, Entry, entries_of, first_of
from broadmamba.media.transcripts.speech_json.services import has_channels, no_times, of_channel


def is_aws(value: object) -> bool:
    """`{"results": {"transcripts": …, "items": …}}`."""
    results = value.get("results") if isinstance(value, dict) else None
    return isinstance(results, dict) and isinstance(results.get("items"), list)


def aws(source: Source, value: Any) -> list[Row]:
    """AWS Transcribe: segments of sound where there are any, else words; times are strings, in seconds.

    Who speaks is in each item, or in `speaker_labels` by the time at which an item begins; of several channels,
    each is a speaker.
    """
    results = Entry(source, value).entry("results")
    labels = {
        str(item.values.get("start_time")): item.name("speaker_label") or segment.name("speaker_label")
        for segment in results.entry("speaker_labels").entries("segments", "segment")
        for item in segment.entries("items", "item")
    }
    channels = results.entry("channel_labels").entries("channels", "channel")

    def spoken(item: Entry) -> Spoken:
        mark = item.values.get("type") == "punctuation"
        text = item.first("alternatives").text("content").strip()
        start, end = (None, None) if mark else (item.clock("start_time"), item.clock("end_time"))
        speaker = item.name("speaker_label") or labels.get(str(item.values.get("start_time")))
        return Spoken(item.place, text, start, end, speaker, "" if mark else None)

    if len(channels) > 1:
        words = [
            spoken(item)._replace(speaker=channel.name("channel_label") or f"channel {number}")
            for number, channel in enumerate(channels)
            for item in channel.entries("items", "item")
        ]
        return word_rows(source, words)
    items = results.entries("items", "item")
    segments = results.entries("audio_segments", "segment")
    if not segments:
        return word_rows(source, [spoken(item) for item in items])
    by_id = {str(item.values.get("id")): spoken(item) for item in items}
    found = []
    for segment in segments:
        ids = segment.values.get("items")
        words = [by_id[str(id)] for id in ids if str(id) in by_id] if isinstance(ids, list) else []
        speaker = segment.name("speaker_label") or next((word.speaker for word in words if word.speaker), None)
        start, end = segment.clock("start_time"), segment.clock("end_time")
        timed = [word for word in words if word.start is not None]
        text = segment.text("transcript").strip()
        found.append(Spoken(segment.place, text, start, end, speaker, words=timed))
    return segment_rows(source, found)


def is_aws_calls(value: object) -> bool:
    """Call analytics: `{"Transcript": [{"Content", "BeginOffsetMillis"}]}`."""
    return {"Content", "BeginOffsetMillis"} <= first_of(value, "Transcript").keys()


def aws_calls(source: Source, value: Any) -> list[Row]:
    """AWS call analytics: turns of agent and customer; milliseconds."""
    return segment_rows(
        source,
        [
            entry.spoken(
                "Content", start="BeginOffsetMillis", end="EndOffsetMillis", units=MILLISECONDS,
                speaker="ParticipantRole" if entry.has("ParticipantRole") else "ParticipantId",
            )
            for entry in Entry(source, value).entries("Transcript", "turn")
        ],
    )  # fmt: skip


def is_azure(value: object) -> bool:
    """Batch (`recognizedPhrases`), fast transcription (`phrases` with `offsetMilliseconds`)."""
    first = first_of(value, "phrases")
    return isinstance(value, dict) and (
        isinstance(value.get("recognizedPhrases"), list)
        or "offsetMilliseconds" in first
        or ("combinedPhrases" in value and "offset" in first)
    )


def azure(source: Source, value: Any) -> list[Row]:
    """Azure's batch and fast transcription: phrases, whose times are ticks, ISO durations or milliseconds by key."""
    whole = Entry(source, value)
    batch = whole.has("recognizedPhrases")
    phrases = whole.entries("recognizedPhrases" if batch else "phrases", "phrase")
    several = has_channels(phrases)
    found: list[Spoken] = []
    for phrase in phrases:
        if batch and phrase.values.get("recognitionStatus", "Success") != "Success":
            continue
        text = phrase.first("nBest").text("display", "lexical") if batch else phrase.text("text")
        start, length = _azure_time(phrase, "offset", batch), _azure_time(phrase, "duration", batch)
        end = None if start is None or length is None else end_after(start, length, phrase.where)
        speaker = of_channel(phrase.name("speaker"), phrase.values.get("channel"), several)
        found.append(Spoken(phrase.place, text.strip(), start, end, speaker))
    return segment_rows(source, found)


def _azure_time(phrase: Entry, key: str, batch: bool) -> float | None:
    if phrase.has(f"{key}InTicks"):
        return phrase.seconds(f"{key}InTicks", TICKS)
    if phrase.has(f"{key}Milliseconds"):
        return phrase.seconds(f"{key}Milliseconds", MILLISECONDS)
    return phrase.iso(key) if batch else phrase.seconds(key, MILLISECONDS)


def is_azure_event(value: object) -> bool:
    """A result of the Speech SDK, or a list of them: `{"RecognitionStatus", "Offset", "Duration"}`."""
    parts = value if isinstance(value, list) else [value]
    keys = {"RecognitionStatus", "Offset", "Duration"}
    return bool(parts) and all(isinstance(part, dict) and keys <= part.keys() for part in parts)


def azure_events(source: Source, value: Any) -> list[Row]:
    """Azure's Speech SDK: results in ticks; those that are not a success are passed over."""
    found: list[Spoken] = []
    for event in entries_of(source, value if isinstance(value, list) else [value], "result"):
        if event.values["RecognitionStatus"] not in ("Success", 0):
            continue
        best = event.first("NBest")
        text = event.text("DisplayText") if event.has("DisplayText") else best.text("Display", "Lexical")
        start, length = event.seconds("Offset", TICKS), event.seconds("Duration", TICKS)
        end = None if start is None or length is None else end_after(start, length, event.where)
        found.append(Spoken(event.place, text.strip(), start, end, event.name("SpeakerId")))
    return segment_rows(source, found)


_START = ("startTime", "start_time", "startOffset", "start_offset")
_END = ("endTime", "end_time", "endOffset", "end_offset")
_RESULT_END = ("resultEndTime", "result_end_time", "resultEndOffset", "result_end_offset")
_TAGS = ("speakerLabel", "speaker_label", "speakerTag", "speaker_tag")


def is_google(value: object) -> bool:
    """`{"results": [{"alternatives": [{"transcript"}]}]}` of Google or Riva; Watson's has `timestamps`."""
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(results, list):
        return False
    best = [first_of(result, "alternatives") for result in results]
    known = [part for part in best if "transcript" in part or "words" in part]
    return bool(known) and not any("timestamps" in part for part in known)


def google(source: Source, value: Any) -> list[Row]:
    """Google Speech (v1, v2) with times such as `1.300s`, and NVIDIA Riva with milliseconds as numbers.

    If the last result holds all words again, with their speakers, it alone is read. Results without words begin
    where the one before ended.

    Raises:
        InputError: there are no times at all.
    """
    results = Entry(source, value).entries("results", "result")
    several = has_channels(results, "channelTag")
    texts = [[_google_word(word) for word in r.first("alternatives").entries("words", "word")] for r in results]
    with_words = [words for words in texts if words]
    if with_words:
        last = texts[-1]
        if len(with_words) > 1 and last and _speakers(last) and not any(_speakers(words) for words in texts[:-1]):
            return word_rows(source, last)
        channels = [
            [word._replace(speaker=of_channel(word.speaker, r.values.get("channelTag"), several)) for word in words]
            for r, words in zip(results, texts, strict=True)
        ]
        return result_rows(source, channels)
    found: list[Spoken] = []
    begin = 0.0
    for result in results:
        end = result.proto(*_RESULT_END)
        best = result.first("alternatives")
        if "transcript" not in best.values:
            continue
        if end is None:
            raise no_times(source)
        speaker = of_channel(None, result.values.get("channelTag"), several)
        found.append(Spoken(result.place, best.text("transcript").strip(), min(begin, end), end, speaker))
        begin = end
    return segment_rows(source, found)


def _speakers(words: list[Spoken]) -> bool:
    return any(word.speaker for word in words)


def _google_word(word: Entry) -> Spoken:
    riva = next((key for key in (*_START, *_END) if type(word.values.get(key)) in (int, float)), None)
    text = word.text("word").strip().removeprefix("▁")
    # Google's own library writes every key, and zero or nothing under those that do not count
    tags = [key for key in _TAGS if word.values.get(key) not in (None, 0, "")]
    speaker = word.name(*tags)
    if riva:
        start, end = (
            word.seconds(next((key for key in keys if word.has(key)), keys[0]), MILLISECONDS) for keys in (_START, _END)
        )
    else:
        start, end = word.proto(*_START), word.proto(*_END)
    # a zero is not written in protocol buffers
    return Spoken(word.place, text, 0.0 if start is None and end is not None else start, end, speaker)


def is_watson(value: object) -> bool:
    """`{"results": [{"alternatives": [{"timestamps": [[word, start, end]]}]}]}`."""
    return "timestamps" in first_of(first_of(value, "results"), "alternatives")


def watson(source: Source, value: Any) -> list[Row]:
    """IBM Watson: words, and `speaker_labels` by the time at which a word begins; seconds."""
    whole = Entry(source, value)
    labels = {entry.seconds("from"): entry.name("speaker") for entry in whole.entries("speaker_labels", "label")}
    results: list[list[Spoken]] = []
    for result in whole.entries("results", "result"):
        best = result.first("alternatives")
        times = best.values.get("timestamps")
        results.append([])
        for number, entry in enumerate(times if isinstance(times, list) else [], start=1):
            place = f"{best.place}, word {number}"
            if not (isinstance(entry, list) and len(entry) == 3):
                raise InputError(
                    f"{source.path}, {place}: expected a word, a start and an end, found {str(entry)[:40]!r}"
                )
            word = Entry(source, dict(zip(("word", "start", "end"), entry, strict=True)), place).spoken("word")
            results[-1].append(word._replace(speaker=labels.get(word.start)))
    return result_rows(source, results)
