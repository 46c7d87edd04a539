"""From the pictures of a span to the face that it is about, and from that face to a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import PassingError
from broadmamba.features.extractor import Span
from broadmamba.features.video.detector import FaceDetector, SoughtFaces
from broadmamba.features.video.faces import Face, crop
from broadmamba.features.video.sampling import rows_of_spans
from broadmamba.features.video.tracking import link, most_prominent
from broadmamba.media.recording import Recording

MOST_FACES = 4
"""The largest faces of a picture that may be the one a span is about."""

_BATCH = 4
"""Faces that the network sees at once: more are slower, for their layers leave the processor's cache."""

Sighting = tuple[Face, NDArray[np.uint8]]
"""A face in a picture, and its crop `(size, size, 3)`."""


@dataclass(frozen=True, slots=True)
class FaceExtractor:
    """One row for each span, from the face that it is about (a `MediaExtractor`).

    2.5 pictures a second are looked at (`sampling`), the faces in them are found (`detector`) and followed through
    the span, the most prominent one is chosen (`tracking`), the network sees its crops, and what the network says
    is pooled over them. A span without a face is NaN throughout: missing, not zero.

    Attributes:
        spec: of the feature.
        size: height and width of the crops.
        network: from faces `(batch, size, size, 3)` to `(batch, numbers)`.
        pool: from `(pictures, numbers)` to `(width,)`.
        detector: finds the faces.
    """

    spec: FeatureSpec
    size: int
    network: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    pool: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    detector: FaceDetector

    def extract(self, recording: Recording, spans: Sequence[Span]) -> Iterator[NDArray[np.float32]]:
        """Rows of the spans, as `MediaExtractor.extract` says."""
        before: _Look | None = None

        def look(pixels: NDArray[np.uint8]) -> _Look:
            nonlocal before
            here = _Look(pixels, self.detector.start(pixels), self.size, recording.path)
            if before is not None:
                before.sightings()  # so that it holds its picture no longer
            before = here
            return here

        return rows_of_spans(recording, spans, look, self._row)

    def _row(self, pictures: list[_Look]) -> NDArray[np.float32]:
        faces = chosen_crops([picture.sightings() for picture in pictures])
        if not faces:
            return np.full(self.spec.width, np.nan, dtype=np.float32)
        return self.pool(self.numbers(np.stack(faces)))

    def numbers(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network says of faces `(pictures, size, size, 3)`: `(pictures, numbers)`."""
        return np.concatenate([self.network(batch) for batch in np.split(crops, range(_BATCH, len(crops), _BATCH))])


class _Look:
    """A picture in which the detector looks for faces.

    Args:
        pixels: of the picture, held until the faces are found.
        sought: the faces.
        size: of their crops.
        path: of the recording, for messages.
    """

    def __init__(self, pixels: NDArray[np.uint8], sought: SoughtFaces, size: int, path: Path) -> None:
        self._pixels: NDArray[np.uint8] | None = pixels
        self._sought, self._size, self._path = sought, size, path
        self._sightings: list[Sighting] = []

    def sightings(self) -> list[Sighting]:
        """The largest faces, with their crops.

        Raises:
            PassingError: the detector crashed on the picture, or was killed.
        """
        pixels, self._pixels = self._pixels, None
        if pixels is not None:
            try:
                faces = self._sought.found()
            except PassingError as error:
                raise PassingError(f"{self._path}: {error}") from None
            self._sightings = [(face, crop(pixels, face, self._size)) for face in faces[:MOST_FACES]]
        return self._sightings


def chosen_crops(pictures: Sequence[Sequence[Sighting]]) -> list[NDArray[np.uint8]]:
    """Crops of the most prominent face of a span, in time; none where there is no face.

    Args:
        pictures: what was seen in each.
    """
    faces = [[face for face, _ in picture] for picture in pictures]
    crops = [[crop for _, crop in picture] for picture in pictures]
    tracks = link(faces)
    if not tracks:
        return []
    return [crops[number][f] for number, f in most_prominent(tracks, faces, crops).items()]
