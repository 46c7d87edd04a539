"""A bundle written over another one is the old or the new, whole, whenever its writer is killed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from broadmamba.bundle.folder import Bundle
from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.recognition.recognizer import Recognizer
from bundle.small import untaught, write_bundle, write_encoder

ACTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree"}
TALK = Conversation("talk", (Utterance("1", "w3 w4"), Utterance("2", "w5 what", "Ann")))


def contents(folder: Path) -> dict[str, bytes]:
    """Of the bundle, as its reader finds it."""
    bundle = Bundle.load(folder)
    arrays = {name: values.tobytes() for name, values in bundle.weights.items()}
    ridge = {m: found.targets.tobytes() for m, found in bundle.ridge().items()}
    encoder = bundle.text_encoder("tiny")
    assert encoder is not None
    files = {path.name: path.read_bytes() for path in encoder.iterdir() if path.is_file()}
    return {"graph": bundle.graph(), **arrays, **ridge, **files}


def in_a_child(save: Any, kill_at: int) -> int:
    """Save in a child that is killed just before an act on a file; gives how it ended."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    acts = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal acts
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writing or event in ACTS:
            acts += 1
            if acts == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(hook)
        save()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")
def test_old_or_new(tmp_path: Path) -> None:
    old = write_bundle(tmp_path / "old", write_encoder(tmp_path / "encoder"))
    other = write_encoder(tmp_path / "other", seed=1)
    new = write_bundle(tmp_path / "new", other, seed=1)
    wanted = {name: contents(folder) for name, folder in (("old", old), ("new", new))}
    assert set(wanted["old"]) == set(wanted["new"])
    checkpoint = untaught(1)
    place = tmp_path / "place" / "model"
    seen, kill_at, code = [], 0, -9
    while code:
        kill_at += 1
        shutil.rmtree(place.parent, ignore_errors=True)
        shutil.copytree(old, place)
        code = in_a_child(lambda: checkpoint.save(place, {"tiny": other}), kill_at)
        assert code in (0, -signal.SIGKILL)
        found = contents(place)
        seen += [name for name in wanted if found == wanted[name]]
        assert len(seen) == kill_at, f"neither the old nor the new after a kill at {kill_at}"
        if kill_at % 7 == 0 or code == 0:
            Recognizer.from_pretrained(place).predict(TALK)
            checkpoint.save(place, {"tiny": other})  # and what is left of the kill goes
            assert contents(place) == wanted["new"]
            assert {p.relative_to(place) for p in place.rglob("*")} == {p.relative_to(new) for p in new.rglob("*")}
    assert kill_at > 30
    assert seen == sorted(seen, reverse=True)  # once it is the new one, it stays
    assert set(seen) == {"old", "new"}
