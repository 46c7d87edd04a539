"""Opening a media file without trusting it: its format by content, its streams within limits, every error wrapped.

FFmpeg never chooses a demuxer (some open other files or the network) and never opens a file by itself: the file is
opened here, the format is stated, and other formats and protocols are closed to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from broadmamba.errors import BroadMambaError, InputError, MissingExtraError
from broadmamba.media.boxes import check_boxes

if TYPE_CHECKING:
    from av.container import InputContainer

Kind = Literal["audio", "video"]

MAX_PIXELS = 8192 * 4320
"""Pixels of a picture, 8K at most: a header that claims more is refused before memory is taken."""
MAX_CHANNELS = 32
"""Channels of sound."""
SAMPLE_RATES = range(4_000, 384_001)
"""Sample rates, in Hz."""
MAX_SECONDS = 24 * 3600
"""Length of a recording, in seconds."""

MAX_HOLE = 3600.0
"""Seconds that a stream may pause; a timestamp further ahead is not believed."""
MAX_STEP_BACK = 1.0
"""Seconds that a timestamp may lie before what was decoded already; one further back is not believed."""

KNOWN_FORMATS = "mp4/mov/m4a, mkv/webm, avi, wav, flac, mp3, ogg, aac (ADTS) and mpeg-ts"
_HEAD = 4096

# Decoders of what cameras, phones, browsers and editors write. FFmpeg has hundreds more, mostly for the files of old
# games, and those are where its security holes are found.
_VIDEO_CODECS = (
    "h264 hevc vp8 vp9 libvpx-vp9 av1 libdav1d mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4 h263 flv wmv1 "
    "wmv2 theora mjpeg dvvideo prores dnxhd ffv1 huffyuv ffvhuff rawvideo"
)
_AUDIO_CODECS = (
    "aac aac_latm mp3 mp3float mp2 mp2float mp1 mp1float ac3 eac3 opus libopus vorbis flac alac speex wmav1 wmav2 "
    "amrnb amrwb gsm gsm_ms adpcm_ms adpcm_ima_wav adpcm_ima_qt adpcm_g726 adpcm_yamaha g722 pcm_u8 pcm_s8 "
    "pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_s64le pcm_f32le pcm_f32be pcm_f64le pcm_f64be "
    "pcm_alaw pcm_mulaw pcm_bluray pcm_dvd"
)
CODECS = {"video": frozenset(_VIDEO_CODECS.split()), "audio": frozenset(_AUDIO_CODECS.split())}


def sniff(head: bytes) -> str | None:
    """Name of FFmpeg's demuxer for a file that begins with these bytes, or None where it is none of ours.

    Args:
        head: the first bytes of the file (after an ID3 tag), 400 or more where it has them.
    """
    box = head[4:8]
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if box in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"):
        return "mov"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "mpegts"
    if len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3" if head[1] & 0x06 else None
    return None


def format_of(file: BinaryIO) -> str | None:
    """As `sniff`, of an open file, past an ID3 tag where it has one."""
    file.seek(0)
    head = file.read(_HEAD)
    if head[:3] == b"ID3" and len(head) >= 10:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(10 + size)
        return sniff(file.read(_HEAD).lstrip(b"\0")) or "mp3"
    return sniff(head)


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a decoder throws into an InputError that names the file and what was done."""
    try:
        yield
    except BroadMambaError:
        raise
    except MemoryError:
        raise InputError(f"{path}: {what} takes more memory than there is") from None
    except Exception as error:  # FFmpeg's are many, and damaged files bring up TypeErrors and the like in PyAV too
        raise InputError(f"{path}: {what} failed ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@dataclass(slots=True)
class Source:
    """One open handle on one stream of a recording; close it.

    Attributes:
        path: of the file.
        container: PyAV's.
        stream: the first stream of the kind asked for, or None where there is none.
        damaged: packets that could not be read or decoded so far.
        trouble: what the decoder said of the last of them.
    """

    path: Path
    container: InputContainer
    stream: Any
    damaged: int = 0
    trouble: str = ""

    def close(self) -> None:
        """Close the file."""
        self.container.close()
        self.container.file.file.close()

    @property
    def duration(self) -> float | None:
        """In seconds, as the file states it; None where it does not, or states what cannot be."""
        stated = (self.container.duration or 0) / 1e6
        return stated if 0 < stated <= MAX_SECONDS else None

    def packets(self) -> Iterator[Any]:
        """The stream's packets from here on; a file that is cut off, or that cannot be read on, ends there."""
        packets = self.container.demux(self.stream)
        while (packet := self._next(packets)) is not None:
            yield packet

    def _next(self, packets: Iterator[Any]) -> Any:
        with self._forgiving():
            return next(packets, None)
        return None

    def decode(self, packet: Any) -> list[Any]:
        """Frames of a packet; none of one that is damaged, which is counted."""
        with self._forgiving():
            return list(packet.decode())
        return []

    def frames(self) -> Iterator[Any]:
        """Frames from here to the end, without those of damaged packets."""
        for packet in self.packets():
            yield from self.decode(packet)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except MemoryError:
            raise InputError(f"{self.path}: decoding it takes more memory than there is") from None
        except Exception as error:  # FFmpeg's are many, and damaged files bring up others in PyAV too
            self.damaged += 1
            self.trouble = _reason(error)


class Clock:
    """Turns a stream's timestamps into seconds of the recording.

    A jump that no pause explains (backwards, or far ahead) means that the stream's clock was set anew, as where two
    recordings were joined; what follows is then taken to go on without a hole.
    """

    def __init__(self, origin: float) -> None:
        """Begin with the timestamp, in seconds, that counts as zero."""
        self._zero = origin
        self.was_set = False

    def seconds(self, stamp: float) -> float:
        """Seconds of a timestamp."""
        return stamp - self._zero

    def stamp(self, seconds: float) -> float:
        """Timestamp of a time, in seconds too."""
        return seconds + self._zero

    def time(self, frame: Any, expected: float) -> float:
        """Seconds at which a frame begins, given when it is expected to."""
        if frame.time is None:
            return expected
        time = self.seconds(frame.time)
        if not expected - MAX_STEP_BACK <= time <= expected + MAX_HOLE:
            self._zero += time - expected
            self.was_set = True
            return expected
        return time


def open_source(path: Path, kind: Kind) -> Source:
    """Open a recording to read its first stream of a kind.

    Args:
        path: of the file.
        kind: of the stream.

    Raises:
        InputError: there is no such file, its content is not of a known format, or its streams are beyond the limits.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtraError("reading recordings needs PyAV: pip install 'broadmamba[media]'") from None
    if not path.is_file():
        raise InputError(
            f"{path}: expected a file, found a {'folder' if path.is_dir() else 'special file'}"
            if path.exists()
            else f"{path}: there is no such file"
        )
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        if not os.fstat(file.fileno()).st_size:
            raise InputError(f"{path}: the file is empty")
        name = format_of(file)
        if name is None:
            raise InputError(f"{path}: its content is not a recording of a known format ({KNOWN_FORMATS})")
        if name == "mov":
            check_boxes(file, path)
        file.seek(0)
        with decoding(path, f"opening it as {name}"):
            container = av.open(
                file,
                "r",
                format=name,
                options={"max_pixels": str(MAX_PIXELS)},
                container_options={
                    "format_whitelist": av.ContainerFormat(name, "r").name,
                    "protocol_whitelist": "none",
                    "max_streams": "64",
                },
                metadata_errors="replace",
            )
        with decoding(path, "reading its streams"):
            source = Source(path, container, _stream(container, kind))
            if source.stream is not None:
                _check(source, kind)
        return source
    except BaseException:
        file.close()
        raise


def _stream(container: InputContainer, kind: Kind) -> Any:
    """The first stream of a kind that is no cover picture."""
    import av

    covers = av.stream.Disposition.attached_pic
    return next((s for s in container.streams if s.type == kind and not s.disposition & covers), None)


def _check(source: Source, kind: Kind) -> None:
    path, context = source.path, source.stream.codec_context
    if context is None or context.name not in CODECS[kind]:
        found = "an unknown codec" if context is None else f"the codec {context.name!r}"
        raise InputError(f"{path}: its {kind} is in {found}, which is not read")
    if kind == "audio":
        if context.sample_rate not in SAMPLE_RATES:
            raise InputError(
                f"{path}: its sample rate is {context.sample_rate} Hz, expected {SAMPLE_RATES[0]} to {SAMPLE_RATES[-1]}"
            )
        if not 1 <= context.channels <= MAX_CHANNELS:
            raise InputError(f"{path}: it has {context.channels} channels of sound, expected 1 to {MAX_CHANNELS}")
    else:
        if context.width * context.height > MAX_PIXELS:
            raise InputError(f"{path}: its pictures are {context.width}x{context.height}, expected 8192x4320 at most")
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_type = "AUTO"
        context.thread_count = 2
