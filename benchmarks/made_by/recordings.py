"""Recordings of one tone, over pictures if they have any."""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from broadmamba.errors import InputError
from broadmamba.media.recording import SAMPLE_RATE, Recording
from made_by.talk import run, tool

HERTZ = 440
SECONDS = 3
TONE = ("-f", "lavfi", "-i", f"sine=f={HERTZ}:d={SECONDS}:r=48000")
SIZES = {"dvvideo": (576, 720)}
SIZE = (120, 160)


@dataclass(frozen=True)
class Tone:
    """A recording of three seconds of one tone."""

    format: str
    path: Path
    size: tuple[int, int] | None = None
    refused: str = ""

    def trouble(self) -> str:
        """What is wrong with its sound and its pictures; nothing if they are right."""
        try:
            with Recording.open(self.path) as recording:
                sound = recording.audio()
                times = [0.5, 2.5] if recording.has_video else []
                shapes = {frame.pixels.shape for frame in recording.frames(times)}
        except InputError as error:
            return f"refused: {error}"
        if abs(len(sound) / SAMPLE_RATE - SECONDS) > 0.1:
            return f"{len(sound) / SAMPLE_RATE:.3f} s of {SECONDS}"
        hertz = int(np.argmax(np.abs(np.fft.rfft(sound[SAMPLE_RATE : 2 * SAMPLE_RATE]))))
        if abs(hertz - HERTZ) > 1:
            return f"{hertz} Hz instead of {HERTZ}"
        expected = {(*self.size, 3)} if self.size else set()
        return "" if shapes == expected else f"pictures {shapes} instead of {expected}"


FILES = [
    ("mp4", "aac", "libx264"), ("mp4", "aac", "libx265"), ("mp4", "ac3", "mpeg4"), ("mov", "pcm_s16le", "prores"),
    ("mov", "alac", "mjpeg"), ("m4a", "aac", ""), ("mkv", "flac", "libx264"), ("mkv", "libvorbis", "ffv1"),
    ("mkv", "libopus", "libaom-av1"), ("webm", "libopus", "libvpx-vp9"), ("webm", "libvorbis", "libvpx"),
    ("avi", "libmp3lame", "mpeg4"), ("avi", "adpcm_ms", "mjpeg"), ("avi", "pcm_s16le", "dvvideo"),
    ("wav", "pcm_s16le", ""), ("wav", "pcm_f32le", ""), ("wav", "pcm_u8", ""), ("wav", "pcm_mulaw", ""),
    ("wav", "adpcm_ima_wav", ""), ("flac", "flac", ""), ("mp3", "libmp3lame", ""), ("ogg", "libvorbis", ""),
    ("ogg", "libopus", "libtheora"), ("opus", "libopus", ""), ("aac", "aac", ""), ("ts", "aac", "libx264"),
    ("ts", "mp2", "mpeg2video"),
]  # fmt: skip
FORMS = {"mjpeg": "yuvj420p", "prores": "yuv422p10le"}


@tool("ffmpeg, recordings", "ffmpeg -version")
def ffmpeg(folder: Path) -> Iterator[Tone]:
    for suffix, audio, video in FILES:
        path = folder / f"{audio}-{video}.{suffix}"
        size = SIZES.get(video, SIZE) if video else None
        shown, how = [], []
        if size:
            shown = ["-f", "lavfi", "-i", f"testsrc=d={SECONDS}:s={size[1]}x{size[0]}:r=25"]
            how = ["-c:v", video, "-pix_fmt", FORMS.get(video, "yuv420p")]
        if video == "libaom-av1":
            how += ["-cpu-used", "8"]
        run("ffmpeg", "-v", "error", "-y", *TONE, *shown, *how, "-c:a", audio, "-strict", "-2", path)
        yield Tone(f"{suffix}: {audio} {video}".rstrip(), path, size)


@tool("sox", "sox --version")
def sox(folder: Path) -> Iterator[Tone]:
    for n, (suffix, *options) in enumerate(
        [("wav", "-b", 16), ("wav", "-b", 24), ("wav", "-e", "a-law"), ("flac",), ("ogg",), ("mp3",)]
    ):
        path = folder / f"{n}.{suffix}"
        run("sox", "-n", "-r", 44100, "-c", 2, *options, path, "synth", SECONDS, "sine", HERTZ)
        yield Tone(f"{suffix} {' '.join(map(str, options))}".strip(), path)


@tool("mkvmerge", "mkvmerge --version")
def mkvmerge(folder: Path) -> Iterator[Tone]:
    source, path = folder / "source.mp4", folder / "talk.mkv"
    shown = ("-f", "lavfi", "-i", f"testsrc=d={SECONDS}:s={SIZE[1]}x{SIZE[0]}")
    run("ffmpeg", "-v", "error", "-y", *TONE, *shown, source)
    run("mkvmerge", "-q", "-o", path, source)
    yield Tone("mkv", path, SIZE)


@tool("Python's wave", f"{sys.executable} --version")
def wave_module(folder: Path) -> Iterator[Tone]:
    sound = 0.5 * np.sin(2 * np.pi * HERTZ * np.arange(SECONDS * 16000) / 16000)
    with wave.open(str(folder / "talk.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((32767 * sound).astype("<i2").tobytes())
    yield Tone("wav", folder / "talk.wav")
