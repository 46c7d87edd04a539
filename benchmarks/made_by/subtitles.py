"""Subtitles."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from made_by.talk import TALK, Made, clock, nobody, plain, run, tool


@tool("pysubs2")
def pysubs2(folder: Path) -> Iterator[Made]:
    from pysubs2 import SSAEvent, SSAFile

    subs = SSAFile()
    for said in TALK:
        subs.append(SSAEvent(start=round(1000 * said.start), end=round(1000 * said.end),
                             text=said.text, name=said.speaker))  # fmt: skip
    for suffix in ("srt", "vtt"):
        subs.save(str(folder / f"talk.{suffix}"))
        yield Made(suffix, folder / f"talk.{suffix}", nobody())
    for suffix, refusal in {"ass": "SubStation Alpha", "ssa": "SubStation Alpha", "ttml": "TTML", "json": "."}.items():
        subs.save(str(folder / f"talk.{suffix}"))
        yield Made(suffix, folder / f"talk.{suffix}", refused=refusal)


@tool("srt")
def srt(folder: Path) -> Iterator[Made]:
    import srt as library

    cues = [
        library.Subtitle(n, timedelta(seconds=said.start), timedelta(seconds=said.end),
                         f"{said.speaker}: {said.text}")
        for n, said in enumerate(TALK, start=1)
    ]  # fmt: skip
    for name, options in {"talk": {}, "crlf": {"eol": "\r\n"}}.items():
        (folder / f"{name}.srt").write_bytes(library.compose(cues, **options).encode("utf-8"))
        yield Made("srt, names before a colon", folder / f"{name}.srt")
    (folder / "bom.srt").write_bytes(library.compose(cues).encode("utf-16"))
    yield Made("srt, UTF-16", folder / "bom.srt")


@tool("webvtt-py")
def webvtt_py(folder: Path) -> Iterator[Made]:
    import webvtt

    file = webvtt.WebVTT()
    for said in TALK:
        text = f"<v {said.speaker}>{html.escape(said.text, quote=False)}"
        file.captions.append(webvtt.Caption(clock(said.start), clock(said.end), text))
    file.save(str(folder / "talk.vtt"))
    yield Made("vtt, voices", folder / "talk.vtt")
    file.save_as_srt(str(folder / "talk.srt"))
    yield Made("srt", folder / "talk.srt", nobody())


@tool("pycaption")
def pycaption(folder: Path) -> Iterator[Made]:
    import pycaption as library

    nodes = library.CaptionList([
        library.Caption(round(s.start * 1e6), round(s.end * 1e6), [library.CaptionNode.create_text(s.text)])
        for s in TALK
    ])  # fmt: skip
    captions = library.CaptionSet({"en-US": nodes})
    for suffix, writer, refusal in (
        ("srt", library.SRTWriter, ""),
        ("vtt", library.WebVTTWriter, ""),
        ("dfxp", library.DFXPWriter, "TTML"),
        ("smi", library.SAMIWriter, "SAMI"),
    ):
        path = folder / f"talk.{suffix}"
        path.write_text(writer().write(captions), encoding="utf-8")
        yield Made(suffix, path, nobody(), refused=refusal)


@tool("ffmpeg", "ffmpeg -version")
def ffmpeg(folder: Path) -> Iterator[Made]:
    # it writes `<` and `&` as they are, and its mp4 holds no long silence
    talk = nobody(plain(TALK[:-1]))
    cues = (f"{n}\n{clock(s.start, ',')} --> {clock(s.end, ',')}\n{s.text}\n" for n, s in enumerate(talk, start=1))
    (folder / "talk.srt").write_text("\n".join(cues), encoding="utf-8")
    for last in ("vtt", "ass", "mp4", "mkv"):
        codec = ("-c:s", "mov_text") if last == "mp4" else ()
        run("ffmpeg", "-v", "error", "-y", "-i", folder / "talk.srt", *codec, folder / f"talk.{last}")
    yield Made("vtt from srt", folder / "talk.vtt", talk)
    yield Made("ass from srt", folder / "talk.ass", refused="SubStation Alpha")
    for first in ("vtt", "ass", "mp4", "mkv"):
        for last in ("srt", "vtt"):
            path = folder / f"from-{first}.{last}"
            run("ffmpeg", "-v", "error", "-y", "-i", folder / f"talk.{first}", path)
            yield Made(f"{last} from {first}", path, talk, within=0.011 if first == "ass" else 0.0011)
