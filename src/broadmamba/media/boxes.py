"""A look at an MP4's tables before FFmpeg builds its index of them: a file of 3 kB can claim 90 million samples.

Box names and fields are those of ISO/IEC 14496-12.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from broadmamba.errors import InputError

_PARENTS = (b"moov", b"moof", b"trak", b"traf", b"mdia", b"minf", b"stbl")
_COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}  # where the number of samples stands in the content of a box
_MAX_BOXES = 2_000_000


def check_boxes(file: BinaryIO, path: Path) -> None:
    """Refuse an MP4 or MOV that claims more samples than it has bytes.

    Args:
        file: open, anywhere.
        path: of it, for the message.

    Raises:
        InputError: a table claims more samples than the file has bytes, or there are millions of boxes.
    """
    size = os.fstat(file.fileno()).st_size
    visited, position = 0, 0
    open_until = [size]
    while open_until:
        if position + 8 > open_until[-1]:
            position = open_until.pop()
            continue
        visited += 1
        if visited > _MAX_BOXES:
            raise InputError(f"{path}: it has more than {_MAX_BOXES} boxes, which no recording needs")
        file.seek(position)
        head = file.read(24)
        length, name = struct.unpack_from(">I4s", head)
        content = 8
        if length == 1 and len(head) >= 16:
            length, content = struct.unpack_from(">Q", head, 8)[0], 16
        end = position + length if length >= content else open_until[-1]  # 0: the rest; FFmpeg leaves such a parent too
        if name in _PARENTS:
            open_until.append(min(end, open_until[-1]))
            position += content
            continue
        at = content + _COUNTS.get(name, len(head))
        if at + 4 <= len(head) and (count := struct.unpack_from(">I", head, at)[0]) > size:
            raise InputError(f"{path}: it claims {count} samples in a box {name.decode()!r} but has {size} bytes")
        position = end
