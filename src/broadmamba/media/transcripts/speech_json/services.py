"""Services: Deepgram, AssemblyAI, Rev, Gladia, Speechmatics, Soniox, ElevenLabs, pyannoteAI, Fireflies, Recall.ai."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source, end_after
from broadmamba.media.transcripts.segments import Spoken, segment_rows, with_own_blanks, word_rows
from broadmamba.media.transcripts.speech_json.entries import MILLISECONDS, Entry, entries_of, first_of
from broadmamba.media.transcripts.words import join_words


def has_channels(entries: Iterable[Entry], key: str = "channel") -> bool:
    """Whether entries are of several channels."""
    return len({str(entry.values[key]) for entry in entries if entry.has(key)}) > 1


def of_channel(speaker: str | None, channel: object, several: bool) -> str | None:
    """Who speaks where each of several channels has its own people."""
    if not several or channel is None:
        return speaker
    return f"channel {channel}" if speaker is None else f"channel {channel}, speaker {speaker}"


def no_times(source: Source) -> InputError:
    """The refusal of a text that is known as a whole only."""
    return InputError(f"{source.path}: expected words or utterances with times, found a text without any")


def is_deepgram(value: object) -> bool:
    """`{"results": {"channels": …}}`."""
    results = value.get("results") if isinstance(value, dict) else None
    return isinstance(results, dict) and ("channels" in results or "utterances" in results)


def deepgram(source: Source, value: Any) -> list[Row]:
    """Deepgram: `utterances` if it was asked for them, else the words of each channel; seconds."""
    results = Entry(source, value).entry("results")
    channels = results.entries("channels", "channel")
    several = len(channels) > 1

    def word(entry: Entry, channel: object) -> Spoken:
        spoken = entry.spoken("punctuated_word", "word")
        return spoken._replace(speaker=of_channel(spoken.speaker, channel, several))

    if results.has("utterances") and results.values["utterances"]:
        segments = []
        for entry in results.entries("utterances", "utterance"):
            channel = entry.values.get("channel")
            whole = entry.spoken("transcript")
            whole = whole._replace(speaker=of_channel(whole.speaker, channel, several))
            segments.append(whole._replace(words=[word(part, channel) for part in entry.entries("words", "word")]))
        return segment_rows(source, segments)
    alternatives = [channel.first("alternatives") for channel in channels]
    words = [word(entry, number) for number, best in enumerate(alternatives) for entry in best.entries("words", "word")]
    if words:
        return word_rows(source, words)
    sentences: list[Spoken] = []
    for number, best in enumerate(alternatives):
        for paragraph in best.entry("paragraphs").entries("paragraphs", "paragraph"):
            speaker = of_channel(paragraph.name("speaker"), number, several)
            for sentence in paragraph.entries("sentences", "sentence"):
                sentences.append(sentence.spoken("text")._replace(speaker=speaker))
    if not sentences and any(best.values.get("transcript") for best in alternatives):
        raise no_times(source)
    return segment_rows(source, sentences)


_ASSEMBLYAI = frozenset(
    ["acoustic_model", "audio_duration", "audio_url", "language_model", "speech_model", "speech_models", "utterances"]
)


def is_assemblyai(value: object) -> bool:
    """What AssemblyAI answers, or a list of its utterances alone."""
    if isinstance(value, list):
        first = first_of({"": value}, "")
        return _is_assemblyai_part(first) and "words" in first
    if not isinstance(value, dict) or value.keys().isdisjoint(_ASSEMBLYAI):
        return False
    return any(_is_assemblyai_part(first_of(value, key)) for key in _ASSEMBLYAI_LISTS)


def _is_assemblyai_part(part: Mapping[str, Any]) -> bool:
    """Whether an utterance or a word has AssemblyAI's keys, and its times whole milliseconds."""
    words = first_of(part, "words")
    known = {"text", "confidence", "start", "end"} <= part.keys() and part.keys().isdisjoint(
        ["id", "seek", "tokens", "type"]
    )
    return known and type(part["start"]) is int and (not words or "text" in words)


_ASSEMBLYAI_LISTS = ("utterances", "sentences", "paragraphs", "words")


def assemblyai(source: Source, value: Any) -> list[Row]:
    """AssemblyAI: `utterances`, sentences or paragraphs, else `words`; milliseconds."""
    whole = Entry(source, {"utterances": value} if isinstance(value, list) else value)
    several = has_channels(whole.entries("utterances", "utterance"))

    def spoken(entry: Entry) -> Spoken:
        part = entry.spoken("text", units=MILLISECONDS)
        return part if part.speaker else part._replace(speaker=of_channel(None, entry.values.get("channel"), several))

    key = next(key for key in _ASSEMBLYAI_LISTS if first_of(whole.values, key))
    entries = whole.entries(key, key.removesuffix("s"))
    if key == "words":
        return word_rows(source, [spoken(entry) for entry in entries])
    return segment_rows(
        source,
        [spoken(entry)._replace(words=list(map(spoken, entry.entries("words", "word")))) for entry in entries],
    )


def is_rev(value: object) -> bool:
    """`{"monologues": …}`."""
    return isinstance(value, dict) and isinstance(value.get("monologues"), list)


def rev(source: Source, value: Any) -> list[Row]:
    """Rev and Rev AI: monologues of elements, whose punctuation holds the blanks; seconds."""
    whole = Entry(source, value)
    names: dict[str | None, str | None] = {}
    for entry in whole.entries("speakers", "speaker"):
        names[entry.name("id")] = entry.name("name") or entry.name("id")
    segments: list[Spoken] = []
    for monologue in whole.entries("monologues", "monologue"):
        label = monologue.name("speaker") or monologue.entry("speaker_info").name("display_name", "id")
        elements = monologue.entries("elements", "element")
        starts = [time for element in elements if (time := element.seconds("ts")) is not None]
        ends = [time for element in elements if (time := element.seconds("end_ts")) is not None]
        text = "".join(element.text("value") for element in elements).strip()
        start, end = min(starts, default=None), max(ends, default=None)
        segments.append(Spoken(monologue.place, text, start, end, names.get(label, label)))
    return segment_rows(source, segments)


def is_gladia(value: object) -> bool:
    """`{"transcription": {"utterances": …}}`, or the older `prediction`."""
    if not isinstance(value, dict):
        return False
    transcription = value.get("transcription")
    return (
        (isinstance(transcription, dict) and "utterances" in transcription)
        or {"utterances", "full_transcript"} <= value.keys()
        or "time_begin" in first_of(value, "prediction")
    )


def gladia(source: Source, value: Any) -> list[Row]:
    """Gladia: utterances with words; seconds."""
    whole = Entry(source, value)
    older = whole.has("prediction")
    inner = whole.entry("transcription") if whole.has("transcription") else whole
    entries = inner.entries("prediction" if older else "utterances", "utterance")
    text, start, end = ("transcription", "time_begin", "time_end") if older else ("text", "start", "end")
    several = has_channels(entries)
    segments = []
    for entry in entries:
        part = entry.spoken(text, start=start, end=end)
        speaker = of_channel(part.speaker, entry.values.get("channel"), several)
        words = [word.spoken("word", start=start, end=end) for word in entry.entries("words", "word")]
        segments.append(part._replace(speaker=speaker, words=words))
    return segment_rows(source, segments)


def is_speechmatics(value: object) -> bool:
    """`{"results": [{"alternatives": [{"content"}], "type"}]}`."""
    first = first_of(value, "results")
    return "type" in first and ("content" in first_of(first, "alternatives") or "start_time" in first)


def speechmatics(source: Source, value: Any) -> list[Row]:
    """Speechmatics (json-v2): words and the punctuation that they carry; seconds."""
    whole = Entry(source, value)
    delimiter = whole.entry("metadata").entry("language_pack_info").values.get("word_delimiter")
    results = whole.entries("results", "result")
    several = has_channels(results)
    words: list[Spoken] = []
    joins = False  # whether the next one stands close to this one
    for entry in results:
        if not entry.values.get("alternatives"):
            continue
        best = entry.first("alternatives")
        attaches = entry.values.get("attaches_to") or ("previous" if entry.values.get("type") == "punctuation" else "")
        before = "" if joins or attaches in ("previous", "both") else delimiter if isinstance(delimiter, str) else None
        joins = attaches in ("next", "both")
        speaker = of_channel(best.name("speaker"), entry.values.get("channel"), several)
        start, end = entry.seconds("start_time"), entry.seconds("end_time")
        if before == "" and attaches:
            start = end = None
        words.append(Spoken(entry.place, best.text("content").strip(), start, end, speaker, before))
    return word_rows(source, words)


def is_soniox(value: object) -> bool:
    """`{"tokens": [{"text", "start_ms"}]}`, or the older `words` of the same."""
    return any({"text", "start_ms"} <= first_of(value, key).keys() for key in ("tokens", "words"))


def soniox(source: Source, value: Any) -> list[Row]:
    """Soniox: tokens that are parts of words and carry their blanks; milliseconds. Translations are passed over."""
    whole = Entry(source, value)
    tokens = whole.entries("tokens", "token") or whole.entries("words", "token")
    words: list[Spoken] = []
    for token in tokens:
        if token.values.get("translation_status") == "translation":
            continue
        length = token.seconds("duration_ms", MILLISECONDS)
        part = token.spoken("text", start="start_ms", end="end_ms", units=MILLISECONDS)
        if part.start is not None and part.end is None and length is not None:
            part = part._replace(end=end_after(part.start, length, token.where))
        words.append(part._replace(text=token.text("text")))
    return word_rows(source, with_own_blanks(words))


def is_elevenlabs(value: object) -> bool:
    """`{"words": [{"text", "type"}]}`, or `transcripts` of them, one for each channel."""
    return any({"text", "type"} <= first_of(part, "words").keys() for part in (value, first_of(value, "transcripts")))


def elevenlabs(source: Source, value: Any) -> list[Row]:
    """ElevenLabs Scribe: words, the blanks between them, and events that are heard; seconds."""
    whole = Entry(source, value)
    channels = whole.entries("transcripts", "transcript") or [whole]
    words: list[Spoken] = []
    for channel in channels:
        entries = channel.entries("words", "word")
        close = "" if any(entry.values.get("type") == "spacing" for entry in entries) else None
        before = close
        for entry in entries:
            if entry.values.get("type") == "spacing":
                before = " "
                continue
            part = entry.spoken("text", speaker="speaker_id")
            speaker = of_channel(part.speaker, channel.values.get("channel_index"), len(channels) > 1)
            words.append(part._replace(speaker=speaker, before=before))
            before = close
    return word_rows(source, words)


_PYANNOTE = ("turnLevelTranscription", "wordLevelTranscription", "diarization")


def is_pyannote(value: object) -> bool:
    """What pyannoteAI puts under `output`."""
    return any({"speaker", "start", "end"} <= first_of(value, key).keys() for key in _PYANNOTE)


def pyannote(source: Source, value: Any) -> list[Row]:
    """pyannoteAI: turns with their texts, else words, else turns without words; seconds."""
    whole = Entry(source, value)
    key = next(key for key in _PYANNOTE if {"speaker", "start", "end"} <= first_of(value, key).keys())
    entries = whole.entries(key, "turn")
    if key == "diarization":
        rows = [Spoken(e.place, "", e.seconds("start"), e.seconds("end"), e.name("speaker")) for e in entries]
        return segment_rows(source, rows)
    spoken = [entry.spoken("text") for entry in entries]
    return word_rows(source, spoken) if key.startswith("word") else segment_rows(source, spoken)


def is_fireflies(value: object) -> bool:
    """`{"sentences": [{"text", "speaker_name", "start_time"}]}`."""
    first = first_of(value, "sentences")
    return {"text", "start_time"} <= first.keys() and bool(first.keys() & {"speaker_name", "speaker_id"})


def fireflies(source: Source, value: Any) -> list[Row]:
    """Fireflies: sentences; seconds."""
    entries = Entry(source, value).entries("sentences", "sentence")
    spoken = [entry.spoken("text", start="start_time", end="end_time") for entry in entries]
    speakers = [entry.name("speaker_name", "speaker_id") for entry in entries]
    return segment_rows(source, [part._replace(speaker=name) for part, name in zip(spoken, speakers, strict=True)])


def is_recall(value: object) -> bool:
    """A list of `{"words": [{"text", "start_timestamp"}]}` with a participant or a speaker."""
    first = first_of({"": value}, "")
    return {"text", "start_timestamp"} <= first_of(first, "words").keys()


def recall(source: Source, value: Any) -> list[Row]:
    """Recall.ai: a participant's turn and its words; seconds, in older files plain and in newer ones `relative`."""
    segments: list[Spoken] = []
    for turn in entries_of(source, value, "turn"):
        name = turn.entry("participant").name("name", "id") if turn.has("participant") else turn.name("speaker")
        words = turn.entries("words", "word")
        text = join_words((word.text("text").strip(), None) for word in words)
        starts = [time for word in words if (time := _relative(word, "start_timestamp")) is not None]
        ends = [time for word in words if (time := _relative(word, "end_timestamp")) is not None]
        spoken = Spoken(turn.place, text, min(starts, default=None), max(ends, default=None), name)
        segments.append(spoken)
    return segment_rows(source, segments)


def _relative(word: Entry, key: str) -> float | None:
    return word.entry(key).seconds("relative") if isinstance(word.values.get(key), dict) else word.seconds(key)
