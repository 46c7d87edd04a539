"""Transcripts out of pipes, which give their bytes once, and out of what never ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from broadmamba.errors import InputError
from broadmamba.media.kind import is_recording
from broadmamba.media.transcripts import read_transcript

SUBTITLES = b"1\n00:00:01,000 --> 00:00:02,000\nZo\xc3\xab: It rains.\n\n2\n00:00:02,500 --> 00:00:03,000\nAgain?\n"

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


@contextmanager
def named_pipe(path: Path, *chunks: bytes) -> Iterator[Path]:
    """A pipe into which somebody writes once."""
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError), path.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    yield path
    writer.join(20)
    assert not writer.is_alive()


@pytest.mark.parametrize("name", ["talk.fifo", "talk.srt", "talk"])
def test_a_named_pipe_is_read_once_and_its_format_found_by_content(tmp_path, name):
    with named_pipe(tmp_path / name, SUBTITLES[:17], SUBTITLES[17:]) as path:
        assert not is_recording(path)
        conversation = read_transcript(path)
    assert [(u.id, u.speaker, u.text, u.start) for u in conversation] == [
        ("talk_1", "Zoë", "It rains.", 1.0),
        ("talk_2", None, "Again?", 2.5),
    ]


def test_a_pipe_of_plain_text_needs_no_suffix(tmp_path):
    with named_pipe(tmp_path / "talk.fifo", b"Anna: Hi.\nBen: Ho.\n") as path:
        assert [(u.speaker, u.text) for u in read_transcript(path)] == [("Anna", "Hi."), ("Ben", "Ho.")]


def test_what_a_shell_puts_in_place_of_a_process():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"):
        with os.fdopen(writing, "wb") as file:
            file.write(SUBTITLES)
        path = Path(f"/dev/fd/{reading}")
        assert not is_recording(path)
        conversation = read_transcript(path)
    assert conversation.id == "transcript"
    assert [u.text for u in conversation] == ["It rains.", "Again?"]


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize("piped", [True, False])
def test_the_standard_input(tmp_path, name, piped):
    code = (
        "import sys; from broadmamba.media.transcripts import read_transcript;"
        "print([u.id for u in read_transcript(sys.argv[1])])"
    )
    (tmp_path / "talk").write_bytes(SUBTITLES)
    with (tmp_path / "talk").open("rb") as file:
        given = {"input": SUBTITLES} if piped else {"stdin": file}
        ended = subprocess.run([sys.executable, "-c", code, name], capture_output=True, timeout=60, **given)
    assert ended.stdout.decode().strip() == "['transcript_1', 'transcript_2']", ended.stderr.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no shell that closes it")
def test_a_standard_input_that_is_closed():
    code = "from broadmamba.media.transcripts import read_transcript; read_transcript('-')"
    ended = subprocess.run(["sh", "-c", '"$0" "$@" <&-', sys.executable, "-c", code], capture_output=True, timeout=60)
    assert ended.stderr.decode().splitlines()[-1] == "broadmamba.errors.InputError: -: the standard input is closed"


def test_a_pipe_that_never_ends_is_left_at_the_limit(tmp_path):
    with (
        named_pipe(tmp_path / "endless", *[b"y\n" * 2**20] * 200) as path,
        pytest.raises(InputError, match="endless: expected a transcript of at most 256 MiB, found more"),
    ):
        read_transcript(path)


def test_a_pipe_that_gives_nothing(tmp_path):
    with named_pipe(tmp_path / "nothing") as path, pytest.raises(InputError, match="the file is empty"):
        read_transcript(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_is_refused(tmp_path):
    (tmp_path / "talk.srt").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"talk\.srt: expected a file or a pipe, found a device"):
        read_transcript(tmp_path / "talk.srt")
