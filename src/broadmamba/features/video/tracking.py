"""Which face in one picture is which in the next, and whose span it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from broadmamba.features.video.faces import Face

Track = dict[int, int]
"""One face through the pictures of a span: picture number → which of the picture's faces it is."""

LOST_AFTER = 3
"""Pictures without a face after which another one at its place is taken for another person."""

_LEAST_OVERLAP = 0.2
_MOST_DISTANCE = 0.6
_MOST_GROWTH = 2.0


def link(pictures: Sequence[Sequence[Face]]) -> list[Track]:
    """Tell which faces of consecutive pictures are the same one.

    In each picture the closest pairs of known and new faces are linked first. A pair may be linked if the boxes
    overlap (intersection over union of 0.2 or more) or the middles are at most 0.6 face sizes apart, and neither is
    more than twice as large as the other.

    Args:
        pictures: the faces of each, in time.

    Returns:
        The tracks in the order in which they begin; each face is in exactly one.
    """
    tracks: list[Track] = []
    for number, faces in enumerate(pictures):
        known = [track for track in tracks if number - max(track) <= LOST_AFTER]
        pairs = sorted(
            (closeness, t, f)
            for t, track in enumerate(known)
            for f, face in enumerate(faces)
            if (closeness := _distance(_last(track, pictures), face)) is not None
        )
        free_tracks, free_faces = set(range(len(known))), set(range(len(faces)))
        for _, t, f in pairs:
            if t in free_tracks and f in free_faces:
                known[t][number] = f
                free_tracks.remove(t)
                free_faces.remove(f)
        tracks.extend({number: f} for f in sorted(free_faces))
    return tracks


def overlap(a: Face, b: Face) -> float:
    """Intersection over union of two boxes."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a.width * a.height + b.width * b.height - shared)


def most_prominent(
    tracks: Sequence[Track], pictures: Sequence[Sequence[Face]], crops: Sequence[Sequence[NDArray[np.uint8]]]
) -> Track:
    """The face that the span is about: by size × presence × how much it speaks.

    The first two are the sum of its size over the pictures. The third is how much more the lower half of the face
    changes between consecutive pictures than the upper half, at least 0.7 and at most 1.4: of two faces of about
    the same size the one that speaks counts, and a face of more than twice the size counts in any case.

    Args:
        tracks: at least one.
        pictures: the faces of each.
        crops: of each face `(size, size, 3)`.
    """

    def prominence(track: Track) -> float:
        shown = sum(pictures[number][f].size for number, f in track.items())
        return shown * float(np.clip(mouth_motion([crops[number][f] for number, f in track.items()]), 0.7, 1.4))

    return tracks[0] if len(tracks) == 1 else max(tracks, key=prominence)


def mouth_motion(crops: Sequence[NDArray[np.uint8]]) -> float:
    """Mean change of the mouth's region between consecutive crops, over that of the region of eyes and brows.

    Args:
        crops: of one face, `(size, size, 3)` each.

    Returns:
        About 1 for a face that moves as a whole, more for one that speaks; 1 for fewer than three crops.
    """
    if len(crops) < 3:
        return 1.0
    grey = [one.mean(axis=2, dtype=np.float32) for one in crops]
    changes = np.array([_changes(before, after) for before, after in pairwise(grey)])
    upper, lower = changes.mean(axis=0)
    return float((lower + 1) / (upper + 1))  # one grey level of noise, so that a still picture is 1


def _changes(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[float, float]:
    """Mean absolute change of the upper and the lower half, between the cheeks."""
    size = len(before)
    change = np.abs(after - before)[:, size // 4 : -size // 4]
    return float(change[: size // 2].mean()), float(change[size // 2 :].mean())


def _last(track: Mapping[int, int], pictures: Sequence[Sequence[Face]]) -> Face:
    number = max(track)
    return pictures[number][track[number]]


def _distance(a: Face, b: Face) -> float | None:
    """Between the middles in face sizes, or None where the two cannot be one face."""
    size = (a.size + b.size) / 2
    distance = float(np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])) / size
    if max(a.size, b.size) > _MOST_GROWTH * min(a.size, b.size):
        return None
    return distance if distance <= _MOST_DISTANCE or overlap(a, b) >= _LEAST_OVERLAP else None
