"""Damaged recordings of every container, decoded in a child process with limits: a result or a refusal, always."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import recordings

EACH = 32
NAMES = [
    *(f"sound.{kind}" for kind in ("wav", "flac", "mp3", "ogg", "m4a", "aac")),
    *(f"both.{kind}" for kind in ("mp4", "mov", "mkv", "webm", "avi", "ts")),
]


def _flip(content: bytearray, random: np.random.Generator, _: bytes) -> None:
    for at in random.integers(0, len(content), size=random.integers(1, 60)):
        content[at] ^= 1 << random.integers(8)


def _cut(content: bytearray, random: np.random.Generator, _: bytes) -> None:
    del content[random.integers(1, len(content)) :]


def _header(content: bytearray, random: np.random.Generator, _: bytes) -> None:
    """Extreme numbers where headers are: at the beginning, or at the end for the index of mp4."""
    for _ in range(random.integers(1, 8)):
        at = int(random.integers(4, min(700, len(content) - 8)))
        if random.random() < 0.3:
            at = len(content) - 4 - at
        value = random.choice(
            [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF, 0x10000000, random.integers(2**32)]
        )
        content[at : at + 4] = int(value).to_bytes(4, "big" if random.random() < 0.5 else "little")


def _splice(content: bytearray, random: np.random.Generator, other: bytes) -> None:
    first, length = int(random.integers(len(other))), int(random.integers(1, 4000))
    at = int(random.integers(len(content)))
    content[at : at + int(random.integers(2)) * length] = other[first : first + length]


def _zeros(content: bytearray, random: np.random.Generator, _: bytes) -> None:
    at = int(random.integers(len(content)))
    length = min(int(random.integers(1, 3000)), len(content) - at)
    content[at : at + length] = bytes(length)


def _remove(content: bytearray, random: np.random.Generator, _: bytes) -> None:
    at = int(random.integers(16, len(content)))
    del content[at : at + int(random.integers(1, 2000))]


def _repeat(content: bytearray, random: np.random.Generator, _: bytes) -> None:
    at = int(random.integers(len(content)))
    content[at:at] = content[at : at + int(random.integers(1, 3000))] * int(random.integers(1, 4))


MUTATIONS: list[Callable[[bytearray, np.random.Generator, bytes], None]] = [
    *(_flip, _cut, _header, _header, _splice, _zeros, _remove, _repeat)
]


def _mutants(folder: Path) -> list[Path]:
    sound, pictures = recordings.chirps(1.2), recordings.numbered(30)
    whole = {
        name: recordings.write(folder / name, sound, pictures=pictures if name[0] == "b" else ()).read_bytes()
        for name in NAMES
    }
    random, made = np.random.default_rng(7), []
    for name, content in whole.items():
        for number in range(EACH):
            mutant = bytearray(content)
            for _ in range(random.integers(1, 3)):
                if len(mutant) > 100:
                    mutate = MUTATIONS[(number + int(random.integers(2))) % len(MUTATIONS)]
                    mutate(mutant, random, whole[NAMES[random.integers(len(NAMES))]])
            path = folder / f"{number:02}-{name}"
            path.write_bytes(mutant)
            made.append(path)
    return made


def test_damaged_recordings_give_a_result_or_a_refusal(tmp_path: Path) -> None:
    files = [*_mutants(tmp_path), recordings.huge(tmp_path / "huge.avi")]
    assert len(files) >= 360
    listed = tmp_path / "files.txt"
    listed.write_text("\n".join(map(str, files)))
    outcomes: list[str] = []
    ended_badly: list[str] = []
    while len(outcomes) < len(files):
        child = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("decode_all.py")), str(listed), str(len(outcomes))],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        outcomes += [line for line in child.stdout.splitlines() if line.startswith(("gave", "refused"))]
        if child.returncode:
            ended_badly.append(f"{files[len(outcomes)].name}: ended with {child.returncode}: {child.stderr[-800:]}")
            outcomes.append("ended badly")
    assert ended_badly == []
    for file, outcome in zip(files, outcomes, strict=True):
        assert outcome.startswith("gave") or outcome.startswith(f"refused {file}: "), outcome
    assert outcomes[-1].startswith("refused")  # the huge picture
    gave = sum(outcome.startswith("gave") for outcome in outcomes)
    assert EACH < gave < len(files) - EACH  # damage of both degrees was tried
