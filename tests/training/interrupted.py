"""A process that runs `broadmamba` in children and kills them with SIGKILL, at moments that it is told.

It reads orders from standard input, one JSON object a line: `arguments` of the command, and `kill_at`, the number of
the act on a file under the folder `under` (opened for writing, renamed, removed) just before which the child is killed,
or `kill_after`, the seconds after which it is; without either, the child runs to its end. It answers each with the
child's exit code, negative for a signal, or with `count` the number of its acts, 255 where it fails. Children start at
once, since what is slow the first time is done here.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NoReturn

import torch

import broadmamba.training.fit
from broadmamba.cli.main import run
from corpora import make_corpus

_ACTS = ("os.rename", "os.remove")


def main() -> None:
    torch.set_num_threads(1)  # a process with more of them cannot fork
    with tempfile.TemporaryDirectory() as folder:
        make_corpus(sizes={"train": 1, "dev": 1}).save(f"{folder}/corpus")
        _run(["train", f"{folder}/corpus", "--out", f"{folder}/runs", "--set", "epochs=1"])
    broadmamba.training.fit.SAVE_EVERY = 0.0
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _obey(order)
        print(_wait(pid, order.get("kill_after")), flush=True)


def _obey(order: dict[str, Any]) -> NoReturn:
    if order.get("count"):
        acts = _watch_acts(order["under"])
        os._exit(255 if _run(order["arguments"]) else len(acts))
    if order.get("kill_at"):
        _watch_acts(order["under"], order["kill_at"])
    os._exit(_run(order["arguments"]))


def _run(arguments: list[str]) -> int:
    """The exit code of the command; what it prints is thrown away."""
    sys.argv = ["broadmamba", *arguments]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            run()
        except SystemExit as leaving:
            return int(leaving.code or 0)
    return 0


def _watch_acts(under: str, kill_at: int = 0) -> list[str]:
    """The acts of this process from now on, in a list that grows; it is killed just before the one of a number."""
    seen: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writing or event in _ACTS) and str(arguments[0]).startswith(under):
            seen.append(event)
            if len(seen) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return seen


def _wait(pid: int, seconds: float | None) -> int:
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)  # a child that has ended is still ours to wait for, so its number is not another's
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
