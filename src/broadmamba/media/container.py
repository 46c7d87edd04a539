"""Opening a media file without trusting it: its format by content, its streams within limits, every error wrapped.

FFmpeg never chooses a demuxer (some open other files or the network) and never opens a file by itself: the file is
opened here, the format is stated, and other formats and protocols are closed to it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from broadmamba.errors import BroadMambaError, InputError, MissingExtraError, PassingError
from broadmamba.media.boxes import check_boxes
from broadmamba.media.tracks import Kind, Track, ranked, tracks_of

if TYPE_CHECKING:
    from av.container import InputContainer

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
        raise PassingError(f"{path}: {what} takes more memory than there is") from None
    except Exception as error:  # FFmpeg's are many, and damaged files bring up TypeErrors and the like in PyAV too
        if _is_of_the_system(error):
            raise PassingError(f"{path}: {what} failed ({_reason(error)}{_advice(error)})") from None
        raise InputError(f"{path}: {what} failed ({_reason(error)})") from None


def _is_of_the_system(error: Exception) -> bool:
    """Whether reading or writing a file failed; FFmpeg gives damaged content the same kinds of errors."""
    from av.error import FFmpegError

    return isinstance(error, OSError) and not isinstance(error, FFmpegError)


def _advice(error: Exception) -> str:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "; TMPDIR says where long sound is kept meanwhile" if full else ""


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@dataclass(slots=True)
class Source:
    """One open handle on one stream of a recording; close it.

    Attributes:
        path: of the file.
        container: PyAV's.
        tracks: all of the kind asked for, in the order of the file.
        track: the one that is read, or None where there is none.
        damaged: packets that could not be read or decoded so far.
        trouble: what the decoder said of the last of them.
    """

    path: Path
    container: InputContainer
    tracks: list[Track]
    track: Track | None = None
    damaged: int = 0
    trouble: str = ""
    _file: Any = field(init=False)
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        self._file = self.container.file.file
        self._size = os.fstat(self._file.fileno()).st_size

    @property
    def stream(self) -> Any:
        """PyAV's stream of the track."""
        return self.track.stream if self.track is not None else None

    def close(self) -> None:
        """Close the file."""
        self.container.close()
        self._file.close()

    @property
    def duration(self) -> float | None:
        """In seconds, as the file states it; None where it does not, or states what cannot be."""
        stated = (self.container.duration or 0) / 1e6
        return stated if 0 < stated <= MAX_SECONDS else None

    def packets(self) -> Iterator[Any]:
        """The stream's packets from here on; a file that is cut off, or is damaged beyond reading, ends there.

        Raises:
            PassingError: the file cannot be read on, or was made shorter meanwhile.
        """
        packets = self.container.demux(self.stream)
        while (packet := self._next(packets)) is not None:
            yield packet
        if os.fstat(self._file.fileno()).st_size < self._size:
            raise PassingError(f"{self.path}: the file was made shorter while it was read")

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
            raise PassingError(f"{self.path}: decoding it takes more memory than there is") from None
        except Exception as error:  # FFmpeg's are many, and damaged files bring up others in PyAV too
            if _is_of_the_system(error):
                raise PassingError(f"{self.path}: cannot be read on ({_reason(error)})") from None
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


def open_source(path: Path, kind: Kind, wanted: int | str | None = None, but: Sequence[int] = ()) -> Source:
    """Open a recording to read one of its tracks.

    Args:
        path: of the file.
        kind: of the track.
        wanted: which of that kind, see `SoundChoice.track`; None for the default one, or the next whose codec is read.
        but: numbers of tracks that are not to be taken.

    Raises:
        InputError: there is no such file or track, its content is not of a known format, or its tracks are beyond the
            limits.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtraError("reading recordings needs PyAV: pip install 'broadmamba[recording]'") from None
    file = _open(path)
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
            source = Source(path, container, tracks_of(container.streams, kind))
            try:
                meant = ranked(source.tracks, wanted)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            source.track = _first_readable(path, kind, [track for track in meant if track.number not in but])
        return source
    except BaseException:
        file.close()
        raise


def _open(path: Path) -> BinaryIO:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for whoever writes it
            raise InputError(f"{path}: expected a file, found a {'folder' if path.is_dir() else 'special file'}")
        return path.open("rb")
    except FileNotFoundError:
        link = "; it is a link to what is not there" if path.is_symlink() else ""
        raise PassingError(f"{path}: there is no such file{link}") from None
    except OSError as error:
        raise PassingError(f"{path}: cannot be read ({error.strerror})") from None


def _first_readable(path: Path, kind: Kind, tracks: Sequence[Track]) -> Track | None:
    """The first track within the limits; where none is, the first one's refusal."""
    refusal = None
    for track in tracks:
        try:
            _check(path, kind, track.stream.codec_context)
        except InputError as error:
            refusal = refusal or error
        else:
            return track
    if refusal is not None:
        raise refusal
    return None


def _check(path: Path, kind: Kind, context: Any) -> None:
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
