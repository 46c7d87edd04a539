"""JSON of programs and services for speech to text, each in the shape that its documentation publishes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript

Said = list[tuple[str | None, str, float | None, float | None]]


@pytest.fixture
def read(tmp_path: Path):
    def read(content: object, name: str = "talk.json") -> Said:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return [(u.speaker, u.text, u.start, u.end) for u in read_transcript(path)]

    return read


def words(key: str = "word", start: str = "start", end: str = "end", per_second: int = 1, **more: object) -> list[dict]:
    """`We won. Who did?` by two speakers, the second after a second of silence."""
    times = [("We", 0.5, 0.75), ("won.", 0.75, 1.25), ("Who", 2.25, 2.5), ("did?", 2.5, 3.0)]
    return [
        {key: text, start: a * per_second if per_second == 1 else int(a * per_second),
         end: b * per_second if per_second == 1 else int(b * per_second), **more}
        for text, a, b in times
    ]  # fmt: skip


def labelled(entries: list[dict], key: str, labels: list[object]) -> list[dict]:
    return [{**entry, key: label} for entry, label in zip(entries, labels, strict=True)]


def two(first: str | None = "0", second: str | None = "1") -> Said:
    return [(first, "We won.", 0.5, 1.25), (second, "Who did?", 2.25, 3.0)]


TEXT = "We won. Who did?"
CHUNKS = [{"timestamp": [0.5, 1.25], "text": " We won."}, {"timestamp": [2.25, None], "text": " Who did?"}]


# Whisper's family


@pytest.mark.parametrize(("key", "write"), [("duration", float), ("dur", str)])
def test_captions_of_a_video_site_with_how_long_each_is_shown(read, key, write):
    shown = [("We won.", 0.5, 1.25), ("Who did?", 2.25, 3.5), ("We.", 4.0, 0.75), ("", 5.0, 1.0)]
    content = [{"text": text, "start": write(start), key: write(length)} for text, start, length in shown]
    # the second is still there when the third comes
    assert read(content) == [
        (None, "We won.", 0.5, 1.75),
        (None, "Who did?", 2.25, 4.0),
        (None, "We.", 4.0, 4.75),
        (None, "", 5.0, 6.0),
    ]


def test_chunks_of_transformers_and_the_speakers_of_insanely_fast_whisper(read):
    assert read({"text": " " + TEXT, "chunks": CHUNKS}) == [
        (None, *row[1:3], end) for row, end in zip(two(), [1.25, None], strict=True)
    ]
    turns = [{**chunk, "speaker": f"SPEAKER_0{n}", "timestamp": [n, n + 0.5]} for n, chunk in enumerate(CHUNKS)]
    assert read({"speakers": turns, "chunks": CHUNKS, "text": TEXT}) == [
        ("SPEAKER_00", "We won.", 0, 0.5),
        ("SPEAKER_01", "Who did?", 1, 1.5),
    ]
    assert read({"speakers": turns, "text": TEXT}) == read({"speakers": turns, "chunks": CHUNKS})
    assert len(read({"speakers": [], "chunks": CHUNKS})) == len(read([{"chunks": CHUNKS}])) == len(read(CHUNKS)) == 2
    assert read("\n".join(map(json.dumps, CHUNKS)), "talk.jsonl") == read(CHUNKS)


def test_chunks_of_single_words_are_grouped(read):
    parts = [{"text": " " + w["word"], "timestamp": [w["start"], w["end"]]} for w in words()]
    assert read({"text": "", "chunks": [*parts, {"text": " So.", "timestamp": [4.0, 4.5]}]}) == [
        *two(None, None),
        (None, "So.", 4.0, 4.5),
    ]


def test_a_missing_end_is_the_next_start_and_never_the_end_of_the_recording_but_for_the_last(read):
    open_ended = [{"timestamp": [float(n), None], "text": "word and word"} for n in range(3)]
    assert [row[2:] for row in read({"chunks": open_ended})] == [(0, 1), (1, 2), (2, None)]


def test_words_alone(read):
    for value in (
        {"text": TEXT, "words": words()},
        {"word_segments": words()},
        {"result": words(conf=1.0), "text": TEXT},
    ):
        assert read(value) == read([value]) == two(None, None)


def test_results_of_vosk_one_after_the_other(read):
    results = [
        {"result": words()[:2], "text": "we won"},
        {"partial": "who"},
        {"result": words()[2:], "text": "who did"},
    ]
    assert read(results) == two(None, None)
    assert read("\n".join(json.dumps(part, indent=2) for part in results)) == two(None, None)
    assert read("\n".join(map(json.dumps, results)), "talk.jsonl") == two(None, None)


def test_whisper_cpp_knows_nobody_by_a_question_mark_and_does_not_say_a_turn(read):
    segments = [
        {
            "offsets": {"from": 500, "to": 1250},
            "text": " We won. [SPEAKER_TURN]",
            "speaker": "?",
            "tokens": [{"text": "[_BEG_]"}],
        },
        {"offsets": {"from": 2250, "to": 3000}, "text": " Who did?", "speaker": "1", "speaker_turn_next": True},
    ]
    assert read({"transcription": segments}) == two(None, "1")


def test_diarized_json_of_openai_and_words_of_whisper_timestamped(read):
    segments = [
        {
            "id": "seg_0",
            "type": "transcript.text.segment",
            "start": 0.5,
            "end": 1.25,
            "text": " We won.",
            "speaker": "A",
        },
        {
            "id": "seg_1",
            "type": "transcript.text.segment",
            "start": 2.25,
            "end": 3.0,
            "text": " Who did?",
            "speaker": "B",
        },
    ]
    assert read({"task": "transcribe", "duration": 4, "text": TEXT, "segments": segments, "usage": {}}) == two("A", "B")
    timed = [
        {"id": 0, "start": 0.5, "end": 3.0, "text": TEXT, "confidence": 0.9, "words": words("text", confidence=0.9)}
    ]
    assert read({"text": TEXT, "segments": timed, "language": "en"}) == [(None, TEXT, 0.5, 3.0)]


def test_podcasts_whose_speaker_goes_on_until_the_next(read):
    segments = [
        {"speaker": "Zoë", "startTime": 0.5, "endTime": 1.25, "body": "We won."},
        {"startTime": 1.25, "endTime": 2, "body": "Really."},
        {"speaker": "Pat", "startTime": 2.25, "endTime": 3.0, "body": "Who did?"},
    ]
    assert read({"version": "1.0.0", "segments": segments}) == [
        two("Zoë")[0],
        ("Zoë", "Really.", 1.25, 2.0),
        two("", "Pat")[1],
    ]
    single = [{"startTime": w["start"], "endTime": w["end"], "body": w["word"] + " "} for w in words()] * 1
    single.append({"startTime": 5, "endTime": 6, "body": "So."})
    assert read({"version": "1.0.0", "segments": single}) == [*two(None, None), (None, "So.", 5.0, 6.0)]


def test_texts_that_begin_with_names(read):
    texts = ["roe, r: We won.", "Pat: Who did?", "roe, r: You."]
    segments = [{"start": n, "end": n + 1, "text": text} for n, text in enumerate(texts)]
    assert [row[:2] for row in read(segments)] == [("roe, r", "We won."), ("Pat", "Who did?"), ("roe, r", "You.")]
    assert read([*segments, *[{"text": "No."}] * 3])[0][:2] == (None, texts[0])


# Services


def test_deepgram(read):
    spoken = labelled(words("punctuated_word", word="x", confidence=1), "speaker", [0, 0, 1, 1])
    channels = [{"alternatives": [{"transcript": TEXT, "words": spoken}]}]
    assert read({"metadata": {}, "results": {"channels": channels}}) == two()
    utterances = [
        {"start": 0.5, "end": 1.25, "channel": 0, "transcript": "We won.", "words": spoken[:2], "speaker": 0},
        {"start": 2.25, "end": 3.0, "channel": 0, "transcript": "Who did?", "words": spoken[2:], "speaker": 1},
    ]
    assert read({"results": {"channels": channels, "utterances": utterances}}) == two()
    sentences = [{"text": row[1], "start": row[2], "end": row[3]} for row in two()]
    paragraphs = [{"speaker": n, "sentences": [sentence]} for n, sentence in enumerate(sentences)]
    best = {"transcript": TEXT, "paragraphs": {"transcript": TEXT, "paragraphs": paragraphs}}
    assert read({"results": {"channels": [{"alternatives": [best]}]}}) == two()
    several = [{"alternatives": [{"words": words()[:2]}]}, {"alternatives": [{"words": words()[2:]}]}]
    assert read({"results": {"channels": several}}) == two("channel 0", "channel 1")
    with pytest.raises(InputError, match="expected words or utterances with times, found a text without any"):
        read({"results": {"channels": [{"alternatives": [{"transcript": TEXT}]}]}})


def test_assemblyai_counts_in_milliseconds(read):
    spoken = labelled(words("text", per_second=1000, confidence=0.9), "speaker", ["A", "A", "B", "B"])
    utterances = [
        {"speaker": "A", "text": "We won.", "start": 500, "end": 1250, "confidence": 0.9, "words": spoken[:2]},
        {"speaker": "B", "text": "Who did?", "start": 2250, "end": 3000, "confidence": 0.9, "words": spoken[2:]},
    ]
    whole = {
        "id": "x",
        "status": "completed",
        "text": TEXT,
        "words": spoken,
        "utterances": utterances,
        "audio_duration": 4,
    }
    assert read(whole) == read(utterances) == read({**whole, "utterances": None}) == two("A", "B")
    assert read({"sentences": utterances, "id": "x", "confidence": 0.9, "audio_duration": 4}) == two("A", "B")


def test_rev_joins_punctuation_by_its_own_blanks(read):
    def element(text: str, start: float, end: float) -> dict:
        return {"type": "text", "value": text, "ts": start, "end_ts": end, "confidence": 1}

    marks = [{"type": "punct", "value": mark} for mark in (" ", ".", "?")]
    monologues = [
        {"speaker": 0, "elements": [element("We", 0.5, 0.75), marks[0], element("won", 0.75, 1.25), marks[1]]},
        {"speaker": 1, "elements": [element("Who", 2.25, 2.5), marks[0], element("did", 2.5, 3.0), marks[2]]},
    ]
    assert read({"monologues": monologues}) == two()
    named = [{"id": 0, "name": "Zoë"}, {"id": 1, "name": "Unknown"}]
    assert read({"speakers": named, "monologues": monologues}) == two("Zoë", "1")


def test_gladia_now_and_before(read):
    utterances = [
        {
            "text": "We won.",
            "start": 0.5,
            "end": 1.25,
            "speaker": 0,
            "channel": 0,
            "confidence": 1,
            "words": words()[:2],
        },
        {
            "text": "Who did?",
            "start": 2.25,
            "end": 3.0,
            "speaker": 1,
            "channel": 0,
            "confidence": 1,
            "words": words()[2:],
        },
    ]
    transcription = {"full_transcript": TEXT, "utterances": utterances}
    for value in (
        {"id": "x", "status": "done", "result": {"metadata": {}, "transcription": transcription}},
        transcription,
    ):
        assert read(value) == two()
    older = [
        {"transcription": "We won.", "time_begin": 0.5, "time_end": 1.25, "speaker": 0, "words": []},
        {"transcription": "Who did?", "time_begin": 2.25, "time_end": 3.0, "speaker": "not_activated", "words": []},
    ]
    assert [row[1:] for row in read({"prediction": older, "prediction_raw": {}})] == [row[1:] for row in two()]


def test_speechmatics_attaches_punctuation(read):
    def result(kind: str, text: str, start: float, end: float, speaker: str, **more: object) -> dict:
        best = {"content": text, "speaker": speaker, "confidence": 1, "language": "en"}
        return {"type": kind, "start_time": start, "end_time": end, "alternatives": [best], **more}

    results = [
        result("word", "We", 0.5, 0.75, "S1"), result("word", "won", 0.75, 1.25, "S1"),
        result("punctuation", ".", 1.25, 1.25, "S1", attaches_to="previous", is_eos=True),
        result("word", "Who", 2.25, 2.5, "UU"), result("word", "did", 2.5, 3.0, "UU"),
        result("punctuation", "?", 3.0, 3.0, "UU"),
    ]  # fmt: skip
    whole = {
        "format": "2.9",
        "job": {},
        "metadata": {"language_pack_info": {"word_delimiter": " "}},
        "results": results,
    }
    assert read(whole) == two("S1", None)
    opening = [result("punctuation", "¿", 0.5, 0.5, "S1", attaches_to="next"), result("word", "Qué", 0.5, 0.75, "S1")]
    assert read({"format": "2.9", "metadata": {}, "results": opening}) == [("S1", "¿Qué", 0.5, 0.75)]
    close = [result("word", "我", 0, 0.2, "S1"), result("word", "们", 0.2, 0.4, "S1")]
    metadata = {"language_pack_info": {"word_delimiter": ""}}
    assert read({"metadata": metadata, "results": close}) == [("S1", "我们", 0.0, 0.4)]


def test_soniox_joins_parts_of_words(read):
    parts = [
        ("W", 500, 600),
        ("e", 600, 750),
        (" won", 750, 1200),
        (".", 1200, 1250),
        (" Who", 2250, 2500),
        (" did?", 2500, 3000),
    ]
    tokens = [{"text": t, "start_ms": a, "end_ms": b, "speaker": "1" if a < 2000 else "2"} for t, a, b in parts]
    other = {"text": " Qui?", "speaker": "2", "translation_status": "translation"}
    assert read({"id": "x", "text": TEXT, "tokens": [*tokens, other]}) == two("1", "2")


def test_elevenlabs_with_blanks_of_their_own(read):
    spoken = labelled(words("text", type="word"), "speaker_id", ["speaker_0", "speaker_0", "speaker_1", "speaker_1"])
    blank = {"text": " ", "start": 1.0, "end": 1.0, "type": "spacing", "speaker_id": "speaker_0"}
    parts = [part for word in spoken for part in (word, blank)]
    whole = {"language_code": "en", "language_probability": 1, "text": TEXT, "words": parts}
    assert read(whole) == two("speaker_0", "speaker_1")
    channels = [
        {**whole, "channel_index": n, "words": labelled(parts, "speaker_id", [None] * 8)[4 * n : 4 * n + 4]}
        for n in (0, 1)
    ]
    assert read({"transcripts": channels}) == two("channel 0", "channel 1")


def test_pyannote_fireflies_and_recall(read):
    turns = labelled(
        [{"start": 0.5, "end": 1.25, "text": "We won."}, {"start": 2.25, "end": 3.0, "text": "Who did?"}],
        "speaker",
        ["S0", "S1"],
    )
    output = {"diarization": [{"speaker": "S0", "start": 0, "end": 1}], "turnLevelTranscription": turns}
    assert read({"jobId": "x", "status": "succeeded", "output": output}) == two("S0", "S1")
    assert read({"output": {"diarization": output["diarization"]}}) == [("S0", "", 0.0, 1.0)]
    sentences = [
        {"index": 0, "text": row[1], "speaker_name": row[0], "start_time": row[2], "end_time": row[3]}
        for row in two("Zoë", "Pat")
    ]
    assert read({"data": {"transcript": {"title": "x", "sentences": sentences}}}) == two("Zoë", "Pat")

    def turn(name: str, spoken: list[dict]) -> dict:
        timed = [
            {"text": w["word"], "start_timestamp": {"relative": w["start"]}, "end_timestamp": {"relative": w["end"]}}
            for w in spoken
        ]
        return {"participant": {"id": 1, "name": name}, "words": timed}

    assert read([turn("Zoë", words()[:2]), turn("Pat", words()[2:])]) == two("Zoë", "Pat")


# Clouds


def aws_items() -> list[dict]:
    items = []
    for text, start, end, mark in [
        ("We", "0.5", "0.75", ""),
        ("won", "0.75", "1.25", "."),
        ("Who", "2.25", "2.5", ""),
        ("did", "2.5", "3.0", "?"),
    ]:
        items.append(
            {
                "type": "pronunciation",
                "alternatives": [{"confidence": "1", "content": text}],
                "start_time": start,
                "end_time": end,
            }
        )
        if mark:
            items.append({"type": "punctuation", "alternatives": [{"confidence": "0", "content": mark}]})
    return [{"id": number, **item} for number, item in enumerate(items)]


def test_aws_transcribe(read):
    items = aws_items()
    transcripts = [{"transcript": TEXT}]
    assert read(
        {"jobName": "x", "status": "COMPLETED", "results": {"transcripts": transcripts, "items": items}}
    ) == two(None, None)
    segments = [
        {
            "start_time": "0.5",
            "end_time": "1.25",
            "speaker_label": "spk_0",
            "items": [{"start_time": t, "speaker_label": "spk_0"} for t in ("0.5", "0.75")],
        },
        {
            "start_time": "2.25",
            "end_time": "3.0",
            "speaker_label": "spk_1",
            "items": [{"start_time": t, "speaker_label": "spk_1"} for t in ("2.25", "2.5")],
        },
    ]
    labels = {"speakers": 2, "segments": segments}
    assert read({"results": {"transcripts": transcripts, "items": items, "speaker_labels": labels}}) == two(
        "spk_0", "spk_1"
    )
    sound = [{"id": 0, "transcript": TEXT, "start_time": "0.5", "end_time": "3.0", "items": list(range(6))}]
    assert read(
        {"results": {"items": labelled(items, "speaker_label", ["spk_0"] * 3 + ["spk_1"] * 3), "audio_segments": sound}}
    ) == two("spk_0", "spk_1")
    channels = [{"channel_label": f"ch_{n}", "items": items[3 * n : 3 * n + 3]} for n in (0, 1)]
    assert read({"results": {"items": items, "channel_labels": {"channels": channels}}}) == two("ch_0", "ch_1")
    turns = [
        {
            "Content": row[1],
            "BeginOffsetMillis": int(row[2] * 1000),
            "EndOffsetMillis": int(row[3] * 1000),
            "ParticipantRole": row[0],
        }
        for row in two("AGENT", "CUSTOMER")
    ]
    assert read({"Transcript": turns, "JobStatus": "COMPLETED"}) == two("AGENT", "CUSTOMER")


def test_azure_by_ticks_durations_and_milliseconds(read):
    def phrase(row, **times: object) -> dict:
        return {
            "recognitionStatus": "Success",
            "channel": 0,
            "speaker": int(row[0]),
            "nBest": [{"display": row[1], "lexical": "x"}],
            **times,
        }

    ticks = [
        phrase(row, offsetInTicks=row[2] * 1e7, durationInTicks=(row[3] - row[2]) * 1e7, offset="PT9S", duration="PT9S")
        for row in two("1", "2")
    ]
    assert read({"source": "x", "combinedRecognizedPhrases": [], "recognizedPhrases": ticks}) == two("1", "2")
    iso = [phrase(row, offset=f"PT{row[2]}S", duration=f"PT{row[3] - row[2]}S") for row in two("1", "2")]
    assert read({"recognizedPhrases": [*iso, {"recognitionStatus": "NoMatch"}]}) == two("1", "2")
    late = {"recognizedPhrases": [phrase(two()[0], offset="PT1H2M3.25S", duration="PT1M")]}
    assert read(late) == [("0", "We won.", 3723.25, 3783.25)]
    fast = [
        {
            "channel": 0,
            "speaker": 1,
            "offsetMilliseconds": int(row[2] * 1000),
            "durationMilliseconds": int((row[3] - row[2]) * 1000),
            "text": row[1],
        }
        for row in two()
    ]
    assert read({"durationMilliseconds": 4000, "combinedPhrases": [], "phrases": fast}) == two("1", "1")
    events = [
        {
            "Id": "x",
            "RecognitionStatus": "Success",
            "Offset": int(row[2] * 1e7),
            "Duration": int((row[3] - row[2]) * 1e7),
            "DisplayText": row[1],
        }
        for row in two()
    ]
    assert read("\n".join(map(json.dumps, events)), "talk.jsonl") == read(events) == two(None, None)


def google_words(tag: str | None, *, start: str = "startTime", end: str = "endTime") -> list[dict]:
    given = [{"word": w["word"], start: f"{w['start']:.3f}s", end: f"{w['end']:.3f}s"} for w in words()]
    return given if tag is None else labelled(given, tag, [1, 1, 2, 2])


def test_google_as_its_library_writes_it_with_every_key(read):
    spoken = [{**word, "confidence": 0.0, "speakerLabel": ""} for word in google_words("speakerTag")]
    assert read({"results": [{"alternatives": [{"transcript": TEXT, "words": spoken}], "channelTag": 0}]}) == two(
        "1", "2"
    )


def test_google_whose_last_result_holds_all_words_with_their_speakers(read):
    plain, tagged = google_words(None), google_words("speakerTag")
    results = [
        {"alternatives": [{"transcript": "We won.", "words": plain[:2]}], "resultEndTime": "1.250s"},
        {"alternatives": [{"transcript": " Who did?", "words": plain[2:]}], "resultEndTime": "3s"},
        {"alternatives": [{"words": tagged}]},
    ]
    assert read({"results": results[:2]}) == two(None, None)
    assert read({"results": results}) == two("1", "2")
    assert read({"name": "x", "done": True, "response": {"results": results}}) == two("1", "2")
    newer = [
        {
            "alternatives": [
                {"transcript": TEXT, "words": google_words("speakerLabel", start="startOffset", end="endOffset")}
            ]
        }
    ]
    assert read({"results": newer}) == two("1", "2")
    bare = [
        {"alternatives": [{"transcript": "We won."}], "resultEndTime": "1.250s"},
        {"alternatives": [{"transcript": "Who did?"}], "resultEndTime": "3s"},
    ]
    assert read({"results": bare}) == [(None, "We won.", 0.0, 1.25), (None, "Who did?", 1.25, 3.0)]


def test_riva_in_milliseconds_and_protocol_buffers_with_nanos(read):
    riva = [{"alternatives": [{"transcript": TEXT, "words": words(start="startTime", end="endTime", per_second=1000)}]}]
    assert read({"results": riva}) == two(None, None)
    nanos = [
        {
            "word": w["word"],
            "start_time": {"seconds": str(int(w["start"])), "nanos": int(w["start"] % 1 * 1e9)},
            "end_time": {"seconds": int(w["end"]), "nanos": int(w["end"] % 1 * 1e9)},
        }
        for w in words()
    ]
    assert read({"results": [{"alternatives": [{"transcript": TEXT, "words": nanos}]}]}) == two(None, None)


def test_watson(read):
    times = [[w["word"], w["start"], w["end"]] for w in words()]
    labels = [{"from": w["start"], "to": w["end"], "speaker": n // 2} for n, w in enumerate(words())]
    results = [{"final": True, "alternatives": [{"transcript": TEXT, "timestamps": times}]}]
    assert read({"result_index": 0, "results": results, "speaker_labels": labels}) == two()


# Meetings, films, corpora


def test_teams_indexer_nemo_and_seglst(read):
    entries = [
        {
            "id": "x",
            "text": row[1],
            "speakerDisplayName": row[0],
            "startOffset": f"00:00:0{row[2]:.7f}",
            "endOffset": f"00:00:0{row[3]:.7f}",
        }
        for row in two("Zoë", "Pat")
    ]
    assert read({"version": "1.0.0", "type": "Transcript", "entries": entries, "events": []}) == two("Zoë", "Pat")
    lines = [
        {
            "id": 1,
            "text": row[1],
            "speakerId": int(row[0]),
            "instances": [{"start": f"0:00:0{row[2]}", "end": f"0:00:0{row[3]}"}],
        }
        for row in two("1", "2")
    ]
    insights = {"transcript": lines, "speakers": [{"id": 1, "name": "Zoë"}, {"id": 2, "name": "Pat"}]}
    assert read({"videos": [{"insights": insights}]}) == two("Zoë", "Pat")
    hypothesis = {
        "segment": [
            {"segment": row[1], "start_offset": 7, "end_offset": 9, "start": row[2], "end": row[3]} for row in two()
        ],
        "word": [],
    }
    assert read({"text": TEXT, "timestamp": hypothesis}) == two(None, None)
    diarized = labelled(words(start="start_time", end="end_time"), "speaker", ["speaker_0"] * 2 + ["speaker_1"] * 2)
    assert read({"status": "success", "session_id": "x", "speaker_count": 2, "words": diarized}) == two(
        "speaker_0", "speaker_1"
    )
    segments = [
        {"session_id": "talk", "speaker": row[0], "words": row[1], "start_time": row[2], "end_time": row[3]}
        for row in two("P1", "P2")
    ]
    other = {"session_id": "other", "speaker": "P9", "words": "no", "start_time": 0, "end_time": 1}
    assert read(segments) == read([other, *segments]) == two("P1", "P2")
    assert read(
        [
            {**part, "start_time": f"0:00:0{part['start_time']}", "end_time": f"0:00:0{part['end_time']}"}
            for part in segments
        ]
    ) == two("P1", "P2")


def test_captions_of_youtube_roll(read):
    events = [
        {"tStartMs": 0, "dDurationMs": 90000, "id": 1, "wpWinPosId": 1},
        {
            "tStartMs": 500,
            "dDurationMs": 4000,
            "wWinId": 1,
            "segs": [{"utf8": "we"}, {"utf8": " won", "tOffsetMs": 250}],
        },
        {"tStartMs": 2240, "dDurationMs": 2260, "wWinId": 1, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {
            "tStartMs": 2250,
            "dDurationMs": 750,
            "wWinId": 1,
            "segs": [{"utf8": "who"}, {"utf8": " did", "tOffsetMs": 250}],
        },
    ]
    assert read({"wireMagic": "pb3", "events": events}) == [(None, "we won", 0.5, 2.25), (None, "who did", 2.25, 3.0)]
    still = [
        {"tStartMs": 0, "dDurationMs": 2000, "segs": [{"utf8": "one\ntwo"}]},
        {"tStartMs": 1000, "dDurationMs": 2000, "segs": [{"utf8": "three"}]},
    ]
    assert read({"events": still}) == [(None, "one two", 0.0, 2.0), (None, "three", 1.0, 3.0)]


# What is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"text": TEXT}, "found an object with text"),
        ({"text": TEXT, "usage": {"type": "tokens"}}, "found an object with text, usage"),
        ({"text": TEXT, "paragraphs": [{"from": 1, "say": "x"}]}, "found an object with text, paragraphs"),
        (
            {"utterances": [{"speaker": "A", "text": "We won.", "start": 500, "end": 1250}]},
            "found an object with utterances",
        ),
        ([{"text": "We won.", "start_ms": 500}], "expected times in seconds under start and end, found text, start_ms"),
        (
            [{"text": "We won.", "startTime": 500}],
            "expected times in seconds under start and end, found text, startTime",
        ),
        ({"segments": [{"text": "a", "from": 1, "to": 2}]}, "expected times in seconds under start and end"),
        ([{"text": "a", "segments": [{"text": "a", "start": 0, "end": 1}]}] * 2, "expected one recording"),
        (
            '{"segments": [{"text": "a"}], "segments": []}',
            "expected each key once in a JSON object, found 'segments' twice",
        ),
        ({"chunks": [{"timestamp": [1], "text": "a"}]}, "chunk 1: expected a timestamp of start and end, found '[1]'"),
        ({"chunks": [{"timestamp": ["a", 1], "text": "a"}]}, "chunk 1: expected a time in seconds, found 'a'"),
        (
            {"chunks": [{"timestamp": [float("nan"), 1], "text": "a"}]},
            "chunk 1: expected a time from 0 to 1000 hours, found nan",
        ),
        ({"chunks": []}, "expected at least one utterance, found none"),
        ({"chunks": [{"timestamp": [2, 1], "text": "a"}]}, "expected an end at 2.0 s or later, found 1.0 s"),
        (
            {"recognizedPhrases": [{"nBest": [{"display": "a"}], "offset": "soon"}]},
            "phrase 1: expected a time such as PT1M2.5S, found 'soon'",
        ),
        (
            {"results": [{"alternatives": [{"transcript": "a", "words": [{"word": "a", "startTime": "1.3"}]}]}]},
            "expected a time such as 1.300s, found '1.3'",
        ),
        ({"results": [{"alternatives": [{"transcript": "a"}]}]}, "found a text without any"),
        (
            {"results": {"items": [{"alternatives": [{"content": "a"}], "type": "pronunciation"}]}},
            "found words without any",
        ),
        ({"monologues": [{"elements": 7}]}, "monologue 1: expected a list elements, found int"),
        ({"results": {"channels": [3]}}, "channel 1: expected a JSON object, found int"),
        ([{"text": TEXT}], "found a text without any"),
        ({"segments": [{"text": TEXT}]}, "found a text without any"),
        ({"chunks": [{"text": TEXT, "timestamp": None}]}, "found a text without any"),
        ("[]", "expected at least one utterance, found none"),
        ("{}", "found an object with no key"),
    ],
)
def test_every_other_json_is_refused_in_one_sentence(read, content, message):
    with pytest.raises(InputError) as error:
        read(content)
    assert message in str(error.value)
    assert "talk.json" in str(error.value) and "\n" not in str(error.value)


KEYS = [
    "text", "segments", "chunks", "timestamp", "speakers", "speaker", "start", "end", "words", "word", "results",
    "channels",
    "alternatives", "transcript", "utterances", "items", "start_time", "end_time", "content", "type", "monologues",
    "elements",
    "value", "ts", "transcription", "tokens", "start_ms", "recognizedPhrases", "nBest", "offset", "phrases", "events",
    "segs",
    "tStartMs", "startTime", "endTime", "body", "entries", "startOffset", "result", "output", "offsets", "confidence",
    "audio_duration", "punctuated_word", "session_id", "timestamps", "sentences", "speaker_id", "RecognitionStatus",
    "Offset",
    "Duration", "videos", "insights", "instances", "diarization", "prediction", "time_begin", "audio_segments", "id",
]  # fmt: skip
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a", "1.5", "1.5s", "PT1S", "0:01", "?"])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=2), inner, max_size=5)
    ),
    max_leaves=25,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values, st.sampled_from(["talk.json", "talk.jsonl", "talk"]))
def test_any_json_gives_a_sound_conversation_or_a_refusal(tmp_path, value, name):
    path = tmp_path / name
    path.write_text(json.dumps(value), encoding="utf-8")
    try:
        conversation = read_transcript(path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return
    for u in conversation:
        assert u.start is None or (u.start >= 0 and (u.end is None or u.start <= u.end))
        assert u.speaker is None or u.speaker.strip()


def test_segments_in_milliseconds(read, caplog):
    segments = [{"start": 0, "end": 2600, "text": "It broke."}, {"start": 2600, "end": 4100, "text": "What did?"}]
    expected = [(None, "It broke.", 0.0, 2.6), (None, "What did?", 2.6, 4.1)]
    assert read({"segments": segments}) == read(segments) == expected
    assert "milliseconds" in caplog.text
    slow = [{"start": 0, "end": 30, "text": "you"}, {"start": 30, "end": 60, "text": "you"}]
    assert [row[2:] for row in read({"segments": slow})] == [(0.0, 30.0), (30.0, 60.0)]


def test_a_start_and_a_duration(read):
    lines = [{"text": "It broke.", "start": 1.1, "duration": 2.2}, {"text": "What did?", "start": 3.5, "duration": 1.0}]
    assert read(lines) == [(None, "It broke.", 1.1, 3.3), (None, "What did?", 3.5, 4.5)]


def test_each_result_is_an_utterance_where_nobody_is_known(read):
    words = [[("it", 0.0, 0.3), ("broke", 0.3, 0.8)], [("what", 0.9, 1.1), ("did", 1.1, 1.4)]]
    expected = [(None, "it broke", 0.0, 0.8), (None, "what did", 0.9, 1.4)]
    vosk = [{"text": "", "result": [dict(zip(("word", "start", "end"), w, strict=True)) for w in r]} for r in words]
    google = [
        {
            "alternatives": [
                {
                    "transcript": " ".join(word for word, _, _ in result),
                    "words": [{"word": w, "startTime": f"{a}s", "endTime": f"{b}s"} for w, a, b in result],
                }
            ]
        }
        for result in words
    ]
    watson = [{"alternatives": [{"transcript": "", "timestamps": result}]} for result in words]
    assert read(vosk) == read({"results": google}) == read({"results": watson}) == expected
