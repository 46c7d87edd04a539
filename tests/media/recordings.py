"""Recordings that the tests make themselves: sound and pictures of which every sample and number is known."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

AUDIO_CODECS = {
    "mp4": "aac",
    "m4a": "aac",
    "mov": "pcm_s16le",
    "mkv": "flac",
    "webm": "libopus",
    "avi": "libmp3lame",
    "wav": "pcm_s16le",
    "flac": "flac",
    "mp3": "libmp3lame",
    "ogg": "libopus",
    "ts": "aac",
    "aac": "aac",
}
VIDEO_CODECS = {"mp4": "libx264", "mov": "libx264", "mkv": "libx264", "webm": "libvpx", "avi": "mpeg4", "ts": "libx264"}
FORMATS = {"mkv": "matroska", "m4a": "ipod", "ts": "mpegts", "aac": "adts"}


def tone(seconds: float, rate: int = 48_000, hertz: float = 440.0, loud: float = 0.5) -> NDArray[np.float32]:
    """A sine, `(samples,)`."""
    return (loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def chirps(seconds: float, rate: int = 48_000, seed: int = 0) -> NDArray[np.float32]:
    """Tones that change every 50 ms, smoothly: they correlate with themselves at one shift only, `(samples,)`."""
    random = np.random.default_rng(seed)
    steps = random.uniform(300, 2500, size=int(seconds * 20) + 2)
    hertz = np.interp(np.arange(round(seconds * rate)) / rate * 20, np.arange(len(steps)), steps)
    return (0.5 * np.sin(2 * np.pi * np.cumsum(hertz) / rate)).astype(np.float32)


def numbered(count: int, width: int = 128, height: int = 64) -> list[NDArray[np.uint8]]:
    """Pictures that show their number as twelve black or white tiles over a coloured ramp."""
    pictures = []
    ramp = np.linspace(30, 220, width, dtype=np.uint8)
    for number in range(count):
        picture = np.empty((height, width, 3), dtype=np.uint8)
        picture[:] = np.roll(ramp, number * 3)[None, :, None]
        for bit in range(12):
            row, column = divmod(bit, 6)
            y, x = row * height // 4, column * width // 6
            picture[y : y + height // 4, x : x + width // 6] = 235 if number >> bit & 1 else 16
        pictures.append(picture)
    return pictures


def number_of(pixels: NDArray[np.uint8]) -> int:
    """The number that a picture of `numbered` shows."""
    height, width, _ = pixels.shape
    number = 0
    for bit in range(12):
        row, column = divmod(bit, 6)
        y, x = round((row + 0.5) * height / 4), round((column + 0.5) * width / 6)
        number |= int(pixels[y - 2 : y + 3, x - 2 : x + 3].mean() > 128) << bit
    return number


def write(
    path: Path,
    sound: NDArray[Any] | None = None,
    *,
    rate: int = 48_000,
    layout: str | None = None,
    audio_codec: str | None = None,
    audio_times: Sequence[tuple[float, float]] | None = None,
    pictures: Sequence[NDArray[np.uint8]] = (),
    picture_times: Sequence[float] | None = None,
    fps: int = 25,
    video_codec: str | None = None,
    video_options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Write a recording; its container is told by the suffix.

    Args:
        path: where.
        sound: `(samples,)` or `(samples, channels)`; floats, or of the codec's own integer type.
        rate: samples a second.
        layout: FFmpeg's name of the channels; mono or stereo by default.
        audio_codec: FFmpeg's encoder; the container's usual one by default.
        audio_times: `(start, end)` in seconds of the pieces of `sound` that are written at their time; what lies
            between them is a hole in the timestamps. Each start shifts the clock only, the pieces are taken by time.
        pictures: of `numbered`.
        picture_times: in seconds, one a picture; at `fps` by default.
        fps: pictures a second.
        video_codec: FFmpeg's encoder.
        video_options: of the encoder.
        pix_fmt: FFmpeg's name of the pixels' layout.
        muxer_options: of the container.
    """
    kind = path.suffix[1:]
    with av.open(str(path), "w", format=FORMATS.get(kind, kind), options=muxer_options or {}) as container:
        audio = video = None
        if sound is not None:
            sound = sound[:, None] if sound.ndim == 1 else sound
            layout = layout or {1: "mono", 2: "stereo"}[sound.shape[1]]
            audio = container.add_stream(audio_codec or AUDIO_CODECS[kind], rate=rate, layout=layout)
        if len(pictures):
            height, width, _ = pictures[0].shape
            video = container.add_stream(
                video_codec or VIDEO_CODECS[kind], rate=fps, options=video_options or {}, width=width, height=height
            )
            video.pix_fmt = pix_fmt
            video.codec_context.time_base = video.time_base = Fraction(1, 1000 if picture_times is not None else fps)
        packets = []
        if audio is not None and sound is not None:
            packets += _encode_sound(audio, sound, rate, layout, audio_times or [(0, len(sound) / rate)])
        if video is not None:
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts = number if picture_times is None else round(picture_times[number] * 1000)
                frame.time_base = video.codec_context.time_base
                packets += video.encode(frame)
            packets += video.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def write_tracks(
    path: Path,
    sounds: Sequence[tuple[NDArray[np.float32], str, Sequence[str]]] = (),
    films: Sequence[tuple[Sequence[NDArray[np.uint8]], Sequence[str]]] = (),
) -> Path:
    """Write a recording of several tracks at 16 kHz and 25 pictures a second.

    Args:
        path: where; mkv or mp4.
        sounds: samples `(samples,)`, language (or an empty string) and FFmpeg's dispositions of each audio track.
        films: pictures and dispositions of each video track.
    """
    kind = path.suffix[1:]
    with av.open(str(path), "w", format=FORMATS.get(kind, kind)) as container:
        made, packets = [], []
        for _, language, dispositions in sounds:
            stream = container.add_stream(AUDIO_CODECS[kind], rate=16_000, layout="mono")
            if language:
                stream.metadata["language"] = language
            made.append((stream, dispositions))
        for pictures, dispositions in films:
            height, width, _ = pictures[0].shape
            video = container.add_stream(VIDEO_CODECS[kind], rate=25, width=width, height=height)
            video.pix_fmt = "yuv420p"
            made.append((video, dispositions))
        for stream, dispositions in made:
            stream.disposition = sum(av.stream.Disposition[name] for name in dispositions)
        for (stream, _), (sound, *_) in zip(made, sounds, strict=False):
            packets += _encode_sound(stream, sound[:, None], 16_000, "mono", [(0, len(sound) / 16_000)])
        for (stream, _), (pictures, _) in zip(made[len(sounds) :], films, strict=True):
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                packets += stream.encode(frame)
            packets += stream.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def huge(path: Path) -> Path:
    """Write an AVI whose headers and JPEG pictures claim 30000x30000 pixels."""
    content = bytearray(write(path, pictures=numbered(5), video_codec="mjpeg", pix_fmt="yuvj420p").read_bytes())
    for name, offset in ((b"avih", 40), (b"strf", 12)):  # the main header and the stream's format
        at = content.index(name) + offset
        content[at : at + 8] = struct.pack("<ii", 30_000, 30_000)
    at = -1
    while (at := content.find(b"\xff\xc0\x00\x11", at + 1)) >= 0:  # the start of each JPEG frame
        content[at + 5 : at + 9] = struct.pack(">HH", 30_000, 30_000)
    path.write_bytes(content)
    return path


def _encode_sound(
    stream: Any, sound: NDArray[Any], rate: int, layout: str | None, pieces: Sequence[tuple[float, float]]
) -> list[Any]:
    packets = []
    fitted = av.AudioResampler(stream.codec_context.format, layout, rate, frame_size=stream.codec_context.frame_size)
    raw = {"float32": "flt", "float64": "dbl", "int16": "s16", "int32": "s32", "uint8": "u8"}[sound.dtype.name]
    size = stream.codec_context.frame_size or 1024
    for start, end in pieces:
        for first in range(round(start * rate), round(end * rate), size):
            piece = np.ascontiguousarray(sound[first : min(first + size, round(end * rate))])
            frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), raw, layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            for ready in fitted.resample(frame):
                packets += stream.encode(ready)
    for ready in fitted.resample(None):
        packets += stream.encode(ready)
    return packets + stream.encode(None)
