"""Sound and pictures of recordings against what was written, and against decoding everything by brute force."""

from __future__ import annotations

import gc
import os
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import recordings
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import correlate, resample_poly

from broadmamba.errors import InputError, PassingError
from broadmamba.media.container import sniff
from broadmamba.media.recording import SAMPLE_RATE, Recording

AUDIO = [(kind, 44_100) for kind in recordings.AUDIO_CODECS if kind not in ("webm", "ogg")] + [
    ("webm", 48_000),
    ("ogg", 48_000),
]


def at_16k(sound: NDArray[Any], rate: int) -> NDArray[np.float32]:
    common = int(np.gcd(rate, SAMPLE_RATE))
    return resample_poly(sound, SAMPLE_RATE // common, rate // common).astype(np.float32)


def lag(found: NDArray[Any], expected: NDArray[Any]) -> tuple[int, float]:
    """Samples by which `found` comes late, and the correlation there."""
    together = correlate(found, expected, "full")
    best = int(together.argmax())
    return best - len(expected) + 1, float(together[best] / np.linalg.norm(found) / np.linalg.norm(expected))


def everything(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """Every picture with its timestamp, by plain PyAV with one thread."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


# ---------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize(("kind", "rate"), AUDIO)
def test_sound_is_in_place_in_every_container(folder: Path, kind: str, rate: int) -> None:
    sound = recordings.chirps(3, rate)
    path = recordings.write(folder / f"place.{kind}", sound, rate=rate)
    with Recording.open(path) as recording:
        assert recording.has_audio
        assert not recording.has_video
        assert recording.duration == pytest.approx(3, abs=0.06)
        found = recording.audio()
        assert recording.damaged == 0
    late, alike = lag(found, at_16k(sound, rate))
    # AVI, MPEG-TS and ADTS do not say how much silence the encoder put before the sound.
    assert 0 < late < 0.03 * SAMPLE_RATE if kind in ("avi", "ts", "aac") else late == 0
    assert alike > 0.95
    assert found.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(AUDIO), st.lists(st.tuples(st.floats(0, 4), st.floats(0, 2)), min_size=1, max_size=5))
def test_any_span_is_that_part_of_the_whole(
    folder: Path, made: tuple[str, int], spans: list[tuple[float, float]]
) -> None:
    kind, rate = made
    path = folder / f"place.{kind}"
    if not path.exists():
        recordings.write(path, recordings.chirps(3, rate), rate=rate)
    with Recording.open(path) as recording:
        whole = recording.audio()
    with Recording.open(path) as recording:
        for start, length in spans:
            first, count = round(start * SAMPLE_RATE), round((start + length - start) * SAMPLE_RATE)
            found = recording.audio(start, start + length)
            assert np.array_equal(found, whole[first : first + count])
    with Recording.open(path) as recording:
        assert np.array_equal(np.concatenate(list(recording.audio_blocks(spans[0][1] + 0.01))), whole)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_099, 48_000, 96_000])
@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s32le", "pcm_f32le"])
def test_every_rate_and_sample_type(tmp_path: Path, rate: int, codec: str) -> None:
    sound = recordings.tone(1, rate, 440, 0.5)
    kinds = {"pcm_u8": (np.uint8, 127, 128), "pcm_s16le": (np.int16, 2**15, 0), "pcm_s32le": (np.int32, 2**31, 0)}
    kind, scale, shift = kinds.get(codec, (np.float32, 1, 0))
    path = recordings.write(
        tmp_path / "tone.wav", (sound * np.float64(scale) + shift).astype(kind), rate=rate, audio_codec=codec
    )
    with Recording.open(path) as recording:
        found = recording.audio()
    expected = recordings.tone(1, SAMPLE_RATE, 440, 0.5)
    assert abs(len(found) - len(expected)) <= 1
    inner = slice(400, len(expected) - 400)
    assert np.abs(found[inner] - expected[inner]).max() < (0.02 if codec == "pcm_u8" else 2e-3)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_stereo_becomes_the_mean(tmp_path: Path, codec: str) -> None:
    left, right = recordings.tone(1, 16_000, 300, 0.8), recordings.tone(1, 16_000, 500, 0.9)
    stereo = np.stack([left, right], axis=1)
    if codec == "pcm_s16le":
        stereo = np.round(stereo * 32767).astype(np.int16)
    path = recordings.write(tmp_path / "stereo.wav", stereo, rate=16_000, audio_codec=codec)
    with Recording.open(path) as recording:
        assert recording.audio() == pytest.approx((left + right) / 2, abs=1e-4)


def test_surround_becomes_one_channel_within_range(tmp_path: Path) -> None:
    voice = recordings.tone(1, 16_000, 300, 1.0)
    six = np.stack([0 * voice, 0 * voice, voice, 0 * voice, 0 * voice, 0 * voice], axis=1)  # the centre speaks
    path = recordings.write(tmp_path / "six.wav", six, rate=16_000, layout="5.1", audio_codec="pcm_f32le")
    with Recording.open(path) as recording:
        found = recording.audio()
    assert np.corrcoef(found, voice)[0, 1] > 0.9999
    assert 0.2 < np.abs(found).max() <= 1


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    sound = recordings.tone(1, 16_000)
    broken = sound.copy()
    broken[4000:4010], broken[8000], broken[8001], broken[9000] = np.nan, np.inf, -np.inf, 7.0
    path = recordings.write(tmp_path / "nan.wav", broken, rate=16_000, audio_codec="pcm_f32le")
    with Recording.open(path) as recording:
        found = recording.audio()
    expected = sound.copy()
    expected[4000:4010], expected[8000], expected[8001], expected[9000] = 0, 1, -1, 1
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_a_hole_in_the_timestamps_is_silence(tmp_path: Path, kind: str) -> None:
    sound = recordings.chirps(6, 16_000)
    codec = {"mkv": "flac", "mp4": "aac"}[kind]
    path = recordings.write(
        tmp_path / f"hole.{kind}", sound, rate=16_000, audio_codec=codec, audio_times=[(0, 2), (3.5, 6)]
    )
    with Recording.open(path) as recording:
        found = recording.audio()
    assert lag(found[:30_000], sound[:30_000])[0] == 0
    assert np.abs(found[round(2.2 * SAMPLE_RATE) : round(3.3 * SAMPLE_RATE)]).max() < 1e-3
    late, alike = lag(found[round(3.7 * SAMPLE_RATE) : 92_000], sound[round(3.7 * SAMPLE_RATE) : 92_000])
    assert abs(late) <= 0.002 * SAMPLE_RATE  # Matroska counts in milliseconds
    assert alike > 0.95


@pytest.mark.parametrize(("sound_from", "pictures_from"), [(0.0, 1.2), (0.8, 0.0), (2.0, 2.5)])
def test_the_first_of_sound_and_pictures_is_time_zero(tmp_path: Path, sound_from: float, pictures_from: float) -> None:
    sound, pictures = recordings.chirps(5, 16_000), recordings.numbered(50)
    path = recordings.write(
        tmp_path / "late.mkv",
        sound,
        rate=16_000,
        audio_times=[(sound_from, 5)],
        pictures=pictures,
        picture_times=[pictures_from + number / 25 for number in range(50)],
    )
    zero = min(sound_from, pictures_from)
    with Recording.open(path) as recording:
        found = recording.audio()
        times = [pictures_from - zero + number / 25 + 0.02 for number in (0, 7, 49)]
        assert [recordings.number_of(frame.pixels) for frame in recording.frames(times)] == [0, 7, 49]
        if pictures_from > zero:
            assert not list(recording.frames([pictures_from - zero - 0.01]))
    first = round((sound_from - zero) * SAMPLE_RATE)
    assert not found[:first].any()
    assert found[first : first + 16_000] == pytest.approx(sound[round(sound_from * 16_000) :][:16_000], abs=1e-3)


def test_two_recordings_joined_follow_one_another(tmp_path: Path) -> None:
    sound = recordings.chirps(2, 48_000)
    one = recordings.write(tmp_path / "one.ts", sound, pictures=recordings.numbered(50)).read_bytes()
    (tmp_path / "two.ts").write_bytes(one + one)
    with Recording.open(tmp_path / "two.ts") as recording:
        found = recording.audio()
        half = len(found) // 2
        assert len(found) == pytest.approx(4 * SAMPLE_RATE, abs=2000)
        assert lag(found[half + 1600 :], found[1600:half])[1] > 0.9
        assert [recordings.number_of(frame.pixels) for frame in recording.frames([0.5, 1.5])] == [
            recordings.number_of(frame.pixels) for frame in recording.frames([2.5, 3.5])
        ]


# -------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("kind", recordings.VIDEO_CODECS)
def test_pictures_are_in_place_in_every_container(tmp_path: Path, kind: str) -> None:
    path = recordings.write(tmp_path / f"pictures.{kind}", pictures=recordings.numbered(60))
    with Recording.open(path) as recording:
        assert recording.has_video
        assert not recording.has_audio
        assert len(recording.audio()) == 0
        frames = list(recording.frames(np.arange(0, 3, 0.1) + 0.02))
        numbers = [recordings.number_of(frame.pixels) for frame in frames]
    assert numbers == [int((0.1 * index + 0.02) * 25 + 1e-6) for index in range(24)]
    assert frames[0].pixels.shape == (64, 128, 3)
    assert frames[0].pixels.dtype == np.uint8


ENCODED = {
    "plain": {},
    "many-b": {"x264-params": "bframes=8:b-pyramid=normal:keyint=40"},
    "open-gop": {"x264-params": "bframes=3:open-gop=1:keyint=20:min-keyint=5"},
    "no-b": {"x264-params": "bframes=0:keyint=500"},
    "refresh": {"x264-params": "intra-refresh=1:keyint=50"},
}
FILES = [
    ("plain", "mp4", False),
    ("plain", "ts", False),
    ("many-b", "mp4", True),
    ("many-b", "mkv", False),
    ("many-b", "ts", True),
    ("open-gop", "mp4", False),
    ("open-gop", "mkv", True),
    ("no-b", "mp4", True),
    ("refresh", "mkv", False),
]
_brute: dict[Path, list[tuple[float, NDArray[np.uint8]]]] = {}


@settings(max_examples=45, deadline=None)
@given(st.sampled_from(FILES), st.lists(st.floats(0, 36), min_size=1, max_size=12))
def test_pictures_equal_those_of_decoding_everything(
    folder: Path, made: tuple[str, str, bool], times: list[float]
) -> None:
    options, kind, uneven = made
    path = folder / f"{options}-{uneven}.{kind}"
    if path not in _brute:
        steps = np.random.default_rng(1).choice([10, 40, 40, 90], size=800) if uneven else np.full(800, 40)
        starts = [0.0, *(np.cumsum(steps) / 1000)][:800]
        small = [picture[::2] for picture in recordings.numbered(800, 96, 64)]
        recordings.write(path, pictures=small, picture_times=starts, video_options=ENCODED[options])
        _brute[path] = everything(path)
    known = _brute[path]
    starts = np.array([time for time, _ in known]) - known[0][0]
    times.sort()
    with Recording.open(path) as recording:
        found = list(recording.frames(iter(times)))
    expected = [time for time in times if time < starts[-1]]
    assert [frame.time for frame in found][: len(expected)] == expected
    for frame in found:
        index = int(np.searchsorted(starts, frame.time, side="right")) - 1
        assert np.array_equal(frame.pixels, known[index][1]), (frame.time, index)


def test_times_on_the_edges_and_twice(tmp_path: Path) -> None:
    path = recordings.write(tmp_path / "edges.mp4", pictures=recordings.numbered(30))
    with Recording.open(path) as recording:
        times = [0, 0, 1 / 25, 1 / 25, 29 / 25, 30 / 25 - 1e-6, 30 / 25 + 1e-3, 99]
        assert [recordings.number_of(frame.pixels) for frame in recording.frames(times)] == [0, 0, 1, 1, 29, 29]
        assert list(recording.frames([])) == []
        assert list(recording.frames([99.0])) == []
        for bad in ([1.0, 0.5], [-1.0], [float("nan")], [float("inf")]):
            with pytest.raises(InputError, match=r"edges\.mp4.*ascend"):
                list(recording.frames(bad))


MATRICES = {  # as cameras write them, with what is to be done to the pixels
    "upright": ((1, 0, 0, 1), lambda p: p),
    "clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "upside down": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "counter-clockwise": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_pictures_are_turned_upright(tmp_path: Path, name: str) -> None:
    (a, b, c, d), turn = MATRICES[name]
    path = recordings.write(tmp_path / "turned.mp4", pictures=recordings.numbered(10))
    plain = everything(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    with Recording.open(path) as recording:
        frames = list(recording.frames([0.1, 0.3]))
    assert np.array_equal(frames[0].pixels, turn(plain[2][1]))
    assert np.array_equal(frames[1].pixels, turn(plain[7][1]))


def test_the_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w", format="mp3") as song:
        voice, cover = song.add_stream("libmp3lame", rate=44_100, layout="mono"), song.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        song.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        frame = av.AudioFrame.from_ndarray(recordings.tone(1, 44_100)[None, :], "fltp", "mono")
        frame.sample_rate = 44_100
        for ready in av.AudioResampler("fltp", "mono", 44_100, frame_size=1152).resample(frame):
            song.mux(voice.encode(ready))
        song.mux(voice.encode(None))
    with Recording.open(path) as recording:
        assert (recording.has_audio, recording.has_video) == (True, False)
        assert list(recording.frames([0.1])) == []
        assert len(recording.audio()) > 14_000


# -------------------------------------------------------------------------------------------------- limits, damage


def test_a_damaged_packet_is_passed_over_and_time_stays_right(tmp_path: Path) -> None:
    sound = recordings.chirps(6, 48_000)
    path = recordings.write(tmp_path / "damaged.mkv", sound, audio_codec="flac")
    content = bytearray(path.read_bytes())
    third = len(content) // 2
    content[third : third + 3000] = bytes(3000)
    path.write_bytes(content)
    with Recording.open(path) as recording:
        found = recording.audio()
        assert recording.damaged >= 0
    expected = at_16k(sound, 48_000)
    tail = slice(round(4.5 * SAMPLE_RATE), round(5.9 * SAMPLE_RATE))
    assert lag(found[tail], expected[tail])[0] == 0


def test_a_file_that_was_cut_off_gives_what_it_holds(tmp_path: Path) -> None:
    sound = recordings.chirps(4, 48_000)
    for kind in ("wav", "flac", "mp3", "ogg", "mkv", "avi"):
        path = recordings.write(tmp_path / f"cut.{kind}", sound)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with Recording.open(path) as recording:
            assert 1.0 < len(recording.audio()) / SAMPLE_RATE < 3.0, kind


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n", "not a recording of a known format"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a recording of a known format"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", "not a recording of a known format"),
        (b"RIFF\x24\0\0\0WAVE" + bytes(40), "opening it as wav failed|nothing in it can be decoded"),
        (b"fLaC" + bytes(100), "flac failed|nothing in it can be decoded"),
        (b"\0\0\0\x18ftypisom" + bytes(200), "failed|nothing in it can be decoded"),
        (b"\x1aE\xdf\xa3" + bytes(100), "failed|nothing in it can be decoded"),
        (b"OggS" + bytes(100), "failed|nothing in it can be decoded"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "meeting.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"meeting\.mp4: .*({reason})"):
        Recording.open(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        Recording.open(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="found a folder"):
        Recording.open(tmp_path)
    with pytest.raises(InputError, match="special file"):
        Recording.open("/dev/zero")


def test_a_playlist_in_disguise_opens_nothing(tmp_path: Path, no_network: list[object]) -> None:
    secret = recordings.write(tmp_path / "secret.wav", recordings.tone(1, 16_000), rate=16_000)
    for name, text in {
        "list.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n",
        "list.mkv": f"ffconcat version 1.0\nfile '{secret}'\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="known format"):
            Recording.open(tmp_path / name)
    assert no_network == []


def test_a_picture_of_absurd_size_is_refused(tmp_path: Path) -> None:
    path = recordings.huge(tmp_path / "huge.avi")
    with pytest.raises(InputError, match=r"huge\.avi: "):
        Recording.open(path)


@pytest.mark.parametrize("name", [b"stsz", b"trun"])
def test_more_samples_than_bytes_are_refused(tmp_path: Path, name: bytes) -> None:
    options = {"movflags": "empty_moov+frag_keyframe+default_base_moof"} if name == b"trun" else {}
    path = recordings.write(tmp_path / "bomb.mp4", recordings.tone(1), muxer_options=options)
    with Recording.open(path) as recording:
        assert len(recording.audio()) > 15_000
    content = bytearray(path.read_bytes())
    struct.pack_into(">I", content, content.rindex(name) + (8 if name == b"trun" else 12), 80_000_000)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"bomb\.mp4: it claims 80000000 samples in a box '{name.decode()}'"):
        Recording.open(path)


@pytest.mark.parametrize(
    ("offset", "code", "value", "reason"), [(24, "<I", 4_000_000, "sample rate"), (22, "<H", 60, "channels")]
)
def test_absurd_sound_is_refused(tmp_path: Path, offset: int, code: str, value: int, reason: str) -> None:
    path = recordings.write(tmp_path / "absurd.wav", recordings.tone(1, 16_000), rate=16_000)
    content = bytearray(path.read_bytes())
    struct.pack_into(code, content, offset, value)
    if reason == "channels":
        struct.pack_into("<H", content, 32, 2 * value)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"absurd\.wav: .*({reason})"):
        Recording.open(path)


def test_spans_that_are_none(tmp_path: Path) -> None:
    path = recordings.write(tmp_path / "short.wav", recordings.tone(1, 16_000), rate=16_000)
    with Recording.open(path) as recording:
        assert len(recording.audio(0.5, 0.5)) == len(recording.audio(5, 6)) == len(recording.audio(1e9, 2e9)) == 0
        assert len(recording.audio(0.5, 1e12)) == 8_000
        for start, end in ((-1, 1), (2, 1), (float("nan"), 1), (0, float("nan"))):
            with pytest.raises(InputError, match="ascending"):
                recording.audio(start, end)
        with pytest.raises(InputError, match="blocks"):
            next(recording.audio_blocks(0))


@given(st.binary(max_size=600))
def test_any_bytes_are_sniffed(head: bytes) -> None:
    assert sniff(head) in {None, "wav", "avi", "mov", "matroska", "flac", "ogg", "mp3", "aac", "mpegts"}


def test_the_format_is_told_by_content_and_not_by_name(folder: Path, tmp_path: Path) -> None:
    for (kind, _), (other, _) in pairwise([*AUDIO, AUDIO[0]]):
        made = folder / f"place.{kind}"
        if not made.exists():
            recordings.write(made, recordings.chirps(3))
        renamed = tmp_path / f"renamed-{kind}.{other}"
        renamed.write_bytes(made.read_bytes())
        with Recording.open(renamed) as recording:
            assert len(recording.audio()) > 2.9 * SAMPLE_RATE


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc, which lists the threads of a process")
def test_pictures_leave_no_threads_behind(tmp_path: Path) -> None:
    path = recordings.write(tmp_path / "x.mp4", pictures=recordings.numbered(10))
    gc.collect()
    before = len(list(Path("/proc/self/task").iterdir()))
    gc.disable()
    try:
        for _ in range(3):
            with Recording.open(path) as recording:
                assert len(list(recording.frames(np.arange(0, 0.4, 0.04)))) == 10
        assert len(list(Path("/proc/self/task").iterdir())) <= before + 6  # a decoder has two, until it is collected
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", ["wav", "mkv"])
def test_a_file_that_is_made_shorter_while_it_is_read(tmp_path: Path, kind: str) -> None:
    path = recordings.write(tmp_path / f"talk.{kind}", recordings.chirps(40, 48_000))
    with Recording.open(path) as recording:
        first = recording.audio(0, 1)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(PassingError, match=rf"talk\.{kind}: the file was made shorter while it was read"):
            recording.audio(38, 39)
        assert np.array_equal(recording.audio(0, 1), first)  # what was read is still there


def test_a_single_sample_and_no_picture(tmp_path: Path) -> None:
    one = recordings.write(tmp_path / "one.wav", np.full(1, 0.5, np.float32), rate=16_000)
    with Recording.open(one) as recording:
        assert recording.audio() == pytest.approx([0.5], abs=1e-4)
    two = recordings.write(tmp_path / "two.wav", np.full((1, 2), 0.5, np.float32), rate=16_000)
    with Recording.open(two) as recording:
        assert recording.audio() == pytest.approx([0.5], abs=1e-4)
    empty = tmp_path / "empty.mkv"
    with av.open(str(empty), "w", format="matroska") as container:
        video = container.add_stream("libx264", rate=25, width=64, height=64)
        video.pix_fmt = "yuv420p"
        container.start_encoding()
    with pytest.raises(InputError, match=r"empty\.mkv: (nothing in it can be decoded|opening it as matroska failed)"):
        Recording.open(empty)


@pytest.mark.parametrize("name", ["a:b.wav", "-x.wav", "line\nbreak.wav", "http:x.wav", "caf\udce9.wav", "100%d.wav"])
def test_any_name_of_a_file_will_do(tmp_path: Path, name: str) -> None:
    made = recordings.write(tmp_path / "made.wav", recordings.tone(1, 16_000), rate=16_000)
    made.rename(tmp_path / name)
    with Recording.open(tmp_path / name) as recording:
        assert len(recording.audio()) == 16_000


def test_a_link_to_nothing_and_a_pipe_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "nowhere.wav")
    with pytest.raises(InputError, match=r"link\.wav: there is no such file; it is a link to what is not there"):
        Recording.open(tmp_path / "link.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match=r"pipe\.wav: expected a file, found a special file"):
        Recording.open(tmp_path / "pipe.wav")
