"""Services of speech to text: their own libraries write answers that are made up here, since none is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from made_by.talk import TALK, Made, Said, nobody, numbered, timeless, tool, whisper_result, words

TEXT = " ".join(said.text for said in TALK)


@tool("openai")
def openai(folder: Path) -> Iterator[Made]:
    from openai.types.audio import TranscriptionDiarized, TranscriptionVerbose

    result = whisper_result()
    plain = [{key: value for key, value in segment.items() if key != "words"} for segment in result["segments"]]
    flat = [{**word, "word": word["word"].strip()} for segment in result["segments"] for word in segment["words"]]
    for name, parts in {"segments": {"segments": plain}, "both": {"segments": plain, "words": flat}}.items():
        path = folder / f"verbose-{name}.json"
        verbose = TranscriptionVerbose(duration=3605.0, language="english", text=result["text"], **parts)
        path.write_text(verbose.model_dump_json(), encoding="utf-8")
        yield Made("JSON of its API, verbose", path, nobody())
    segments = [{"id": f"seg_{n}", "type": "transcript.text.segment", **asdict(said)} for n, said in enumerate(TALK)]
    diarized = TranscriptionDiarized(duration=3605.0, task="transcribe", text=result["text"], segments=segments)
    (folder / "diarized.json").write_text(diarized.model_dump_json(indent=1), encoding="utf-8")
    yield Made("JSON of its API, diarized", folder / "diarized.json")


@tool("deepgram-sdk")
def deepgram(folder: Path) -> Iterator[Made]:
    from deepgram.types import ListenV1Response

    talk = numbered("{}")

    def word(part: Said) -> dict[str, Any]:
        bare = part.text.lower().strip('".,;?')
        return {"word": bare, "punctuated_word": part.text, "start": part.start, "end": part.end, "confidence": 0.9,
                "speaker": int(part.speaker or 0), "speaker_confidence": 0.7}  # fmt: skip

    spoken = [
        {"start": said.start, "end": said.end, "confidence": 0.9, "channel": 0, "transcript": said.text,
         "words": [word(part) for part in words(said)], "speaker": int(said.speaker or 0), "id": f"u{n}"}
        for n, said in enumerate(talk)
    ]  # fmt: skip
    whole = {"transcript": " ".join(said.text for said in talk), "confidence": 0.9,
             "words": [part for utterance in spoken for part in utterance["words"]]}  # fmt: skip
    metadata = {"request_id": "r", "sha256": "0", "created": "2024-01-01T00:00:00Z", "duration": 3605.0, "channels": 1,
                "models": ["m"], "model_info": {}}  # fmt: skip
    for name, results in {"utterances": {"utterances": spoken}, "words": {}}.items():
        value = {"metadata": metadata, "results": {"channels": [{"alternatives": [whole]}], **results}}
        path = folder / f"{name}.json"
        path.write_text(ListenV1Response.model_validate(value).model_dump_json(), encoding="utf-8")
        yield Made(f"JSON, {name}", path, talk)


@tool("assemblyai")
def assemblyai(folder: Path) -> Iterator[Made]:
    from assemblyai.types import TranscriptResponse

    def part(said: Said) -> dict[str, Any]:
        return {"text": said.text, "start": round(1000 * said.start), "end": round(1000 * said.end),
                "confidence": 0.9, "speaker": said.speaker}  # fmt: skip

    spoken = [{**part(said), "words": [part(word) for word in words(said)]} for said in TALK]
    response = TranscriptResponse.parse_obj({
        "id": "x", "status": "completed", "audio_url": "https://example.org/talk.wav", "utterances": spoken,
        "text": " ".join(said.text for said in TALK), "words": [word for said in spoken for word in said["words"]],
    })  # fmt: skip
    (folder / "talk.json").write_text(response.json(), encoding="utf-8")
    yield Made("JSON", folder / "talk.json")


@tool("elevenlabs")
def elevenlabs(folder: Path) -> Iterator[Made]:
    from elevenlabs.types import SpeechToTextChunkResponseModel

    parts = []
    for said in numbered():
        for word in words(said):
            common = {"logprob": -0.1, "speaker_id": word.speaker}
            parts.append({"text": word.text, "start": word.start, "end": word.end, "type": "word", **common})
            parts.append({"text": " ", "start": word.end, "end": word.end, "type": "spacing", **common})
    value = {"language_code": "eng", "language_probability": 0.9, "words": parts,
             "text": " ".join(said.text for said in TALK)}  # fmt: skip
    response = SpeechToTextChunkResponseModel.model_validate(value)
    (folder / "talk.json").write_text(response.model_dump_json(), encoding="utf-8")
    yield Made("JSON", folder / "talk.json", numbered())


@tool("google-cloud-speech")
def google(folder: Path) -> Iterator[Made]:
    from google.cloud import speech_v1, speech_v2

    talk = numbered("{}", 1)

    def span(word: Said, start: str, end: str) -> dict[str, Any]:
        return {name: {"seconds": int(time), "nanos": round(time % 1 * 1000) * 1_000_000}
                for name, time in ((start, word.start), (end, word.end))}  # fmt: skip

    flat = [word for said in talk for word in words(said)]
    old = [{"word": w.text, "speaker_tag": int(w.speaker or 0), **span(w, "start_time", "end_time")} for w in flat]
    new = [{"word": w.text, "speaker_label": w.speaker, **span(w, "start_offset", "end_offset")} for w in flat]
    text = " ".join(said.text for said in talk)
    first = speech_v1.RecognizeResponse({"results": [{"alternatives": [{"transcript": text, "words": old}]}]})
    second = speech_v2.RecognizeResponse({"results": [{"alternatives": [{"transcript": text, "words": new}]}]})
    for name, response in (("v1", first), ("v2", second)):
        for keys in (True, False):
            path = folder / f"{name}-{'snake' if keys else 'camel'}.json"
            path.write_text(type(response).to_json(response, preserving_proto_field_name=keys), encoding="utf-8")
            yield Made(f"JSON {name}, {'a_key' if keys else 'aKey'}", path, talk)


@tool("azure-ai-transcription")
def azure(folder: Path) -> Iterator[Made]:
    from azure.ai.transcription import models

    def times(said: Said) -> dict[str, Any]:
        start = round(1000 * said.start)
        return {
            "text": said.text,
            "offset_milliseconds": start,
            "duration_milliseconds": round(1000 * said.end) - start,
        }

    talk = numbered("{}", 1)
    phrases = [
        models.TranscribedPhrase(
            **times(said), speaker=int(said.speaker), confidence=0.9, locale="en-US",
            words=[models.TranscribedWord(**times(word)) for word in words(said)],
        )
        for said in talk
    ]  # fmt: skip
    result = models.TranscriptionResult(
        duration_milliseconds=3605000, combined_phrases=[models.ChannelCombinedPhrases(text=TEXT)], phrases=phrases
    )
    (folder / "talk.json").write_text(json.dumps(result.as_dict()), encoding="utf-8")
    yield Made("JSON, fast", folder / "talk.json", talk, within=0.0011)


@tool("mistralai")
def mistral(folder: Path) -> Iterator[Made]:
    from mistralai.client.models import TranscriptionResponse

    segments = [{"text": s.text, "start": s.start, "end": s.end, "speaker_id": s.speaker} for s in numbered()]
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    for name, spoken in (("diarized", numbered()), ("plain", nobody())):
        parts = segments if name == "diarized" else [{**s, "speaker_id": None} for s in segments]
        value = {"model": "voxtral", "text": TEXT, "language": "en", "usage": usage, "segments": parts}
        path = folder / f"{name}.json"
        path.write_text(TranscriptionResponse.model_validate(value).model_dump_json(), encoding="utf-8")
        yield Made(f"JSON, {name}", path, spoken)


@tool("nvidia-riva-client")
def riva(folder: Path) -> Iterator[Made]:
    from google.protobuf.json_format import MessageToJson
    from riva.client.proto import riva_asr_pb2 as asr

    talk = numbered("{}", 1)
    spoken = [
        asr.WordInfo(word=word.text, start_time=round(1000 * word.start), end_time=round(1000 * word.end),
                     confidence=0.9, speaker_tag=int(word.speaker))
        for said in talk for word in words(said)
    ]  # fmt: skip
    best = asr.SpeechRecognitionAlternative(transcript=TEXT, words=spoken, confidence=0.9)
    response = asr.RecognizeResponse(results=[asr.SpeechRecognitionResult(alternatives=[best], channel_tag=1)])
    for keys in (True, False):
        path = folder / f"{'snake' if keys else 'camel'}.json"
        path.write_text(MessageToJson(response, preserving_proto_field_name=keys), encoding="utf-8")
        yield Made(f"JSON, {'a_key' if keys else 'aKey'}", path, talk, within=0.0011)


@tool("soniox")
def soniox(folder: Path) -> Iterator[Made]:
    from soniox.types import Token, TranscriptionTranscript

    talk = numbered("{}", 1)
    tokens = [
        # its tokens are parts of words, the first of which begins with the blank
        Token(text=part, start_ms=round(1000 * word.start), end_ms=round(1000 * word.end), confidence=0.9,
              speaker=word.speaker)
        for said in talk for word in words(said) for part in (f" {word.text[:2]}", word.text[2:]) if part
    ]  # fmt: skip
    transcript = TranscriptionTranscript(id="x", text=TEXT, tokens=tokens)
    (folder / "talk.json").write_text(transcript.model_dump_json(), encoding="utf-8")
    yield Made("JSON", folder / "talk.json", talk, within=0.0011)


@tool("speechmatics-batch")
def speechmatics(folder: Path) -> Iterator[Made]:
    from speechmatics.batch import Transcript

    talk = numbered("S{}", 1)

    def part(kind: str, text: str, word: Said, **more: Any) -> dict[str, Any]:
        best = {"content": text, "confidence": 0.9, "language": "en", "speaker": word.speaker}
        return {"type": kind, "start_time": word.start, "end_time": word.end, "alternatives": [best], **more}

    results = []
    for word in (word for said in talk for word in words(said)):
        bare = word.text.rstrip(".,;?") or word.text
        results.append(part("word", bare, word))
        for mark in word.text[len(bare) :]:
            at = replace(word, start=word.end)
            results.append(part("punctuation", mark, at, attaches_to="previous", is_eos=mark in ".?"))
    value = {
        "format": "2.9",
        "job": {"id": "x", "created_at": "2024-01-01T00:00:00Z", "data_name": "talk.wav", "duration": 3605},
        "metadata": {"created_at": "2024-01-01T00:00:00Z", "type": "transcription", "transcription_config": {},
                     "language_pack_info": {"word_delimiter": " "}},
        "results": results,
    }  # fmt: skip
    transcript = Transcript.from_dict(value)
    (folder / "talk.json").write_text(json.dumps(asdict(transcript)), encoding="utf-8")
    yield Made("JSON", folder / "talk.json", talk)
    (folder / "talk.txt").write_text(transcript.transcript_text, encoding="utf-8")
    yield Made("plain text", folder / "talk.txt", timeless(numbered("SPEAKER S{}", 1)))
