"""The npm package with the expression net, which also has pictures of real faces; nothing of it is in this project."""

from __future__ import annotations

import functools
import tarfile
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.features.video.expression_weights import PACKAGE
from broadmamba.features.weights import npm_package

_FOLDER = tempfile.TemporaryDirectory(prefix="broadmamba-test-")


@functools.cache
def _fetched() -> Path | str:
    """The unpacked package, or why it cannot be had."""
    try:
        with npm_package(PACKAGE) as tarball, tarfile.open(tarball) as archive:
            archive.extractall(_FOLDER.name, filter="data")
            tarball.rename(Path(_FOLDER.name) / "package.tgz")
    except InputError as error:
        return str(error)
    return Path(_FOLDER.name) / "package"


def face_package() -> Path:
    """The unpacked package, whose tarball lies beside it as package.tgz; skips where it cannot be had."""
    found = _fetched()
    if isinstance(found, str):
        pytest.skip(f"needs {PACKAGE}: {found}")
    return found


def sample(number: int, width: int = 640) -> NDArray[np.uint8]:
    """A picture of a group of people, (height, width, 3)."""
    with av.open(str(face_package() / "demo" / f"sample{number}.jpg")) as file:
        picture = next(file.decode(video=0)).to_ndarray(format="rgb24")
    height = round(picture.shape[0] * width / picture.shape[1])
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).round().clamp(0, 255).byte().contiguous().numpy()
