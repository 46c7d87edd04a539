"""Small networks that come with the package; README.md beside this file says whose they are."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from broadmamba.errors import InputError
from broadmamba.storage import read_bytes

NETWORKS = Path(str(resources.files("broadmamba"))) / "networks"
"""The folder that they are in."""


def network_file(name: str, sha256: str) -> bytes:
    """The content of a file, checked by SHA-256.

    Args:
        name: of the file.
        sha256: of the content, 64 hexadecimal digits.

    Raises:
        InputError: the file is missing or another one.
    """
    content = read_bytes(NETWORKS / name)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            f"{NETWORKS / name}: its SHA-256 is {found[:12]}…, expected {sha256[:12]}… (reinstall broadmamba)"
        )
    return content
