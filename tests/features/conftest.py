"""Fixtures of the tests of features."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_encoders import build_encoder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny encoder of a kind, made once."""
    folder = tmp_path_factory.mktemp("encoders")
    return lambda kind: folder / kind if (folder / kind).exists() else build_encoder(kind, folder / kind)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """No socket can be opened; what was tried is listed."""
    tried: list[object] = []

    def refuse(*arguments: object, **options: object) -> None:
        tried.append(arguments)
        raise OSError("the network is blocked in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried
