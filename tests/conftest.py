"""Shared fixtures."""

from __future__ import annotations

import os

# One thread, before torch is imported anywhere: sums then come in one order, and tests do not fight over cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal
import socket
from pathlib import Path

import pytest

# A shell starts what it runs in the background with Ctrl-C ignored, which processes inherit: those that tests start
# and interrupt would never hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real corpora, which are licensed apart and not part of the project."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("BROADMAMBA_DATA", default))
    if not (folder / "meld" / "utterances.jsonl").is_file():
        pytest.skip(f"the real corpora are not at {folder} (set BROADMAMBA_DATA)")
    return folder


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
