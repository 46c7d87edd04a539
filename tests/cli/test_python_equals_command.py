"""What Python saves is what the command writes, byte by byte."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from meetings import make_meeting
from spoken import require_flite

import broadmamba

SCRIPT = """
import broadmamba
broadmamba.recognize("meeting.wav", transcript="meeting.srt").save("by-script")
"""  # as people write one: nothing guards it from running again where worker processes begin


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_recording_in_a_plain_script(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the model that comes with the package, which reads words and voice."""
    require_flite()
    make_meeting(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(broadmamba.__file__).parents[1])}
    script = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (script.returncode, script.stdout, script.stderr) == (0, "", "")
    written = content(tmp_path / "by-script")
    assert set(written) == {
        "predictions.jsonl", "predictions.csv", "captions.vtt", "tiers.eaf", "tiers.TextGrid", "report.html"
    }  # fmt: skip
    assert b'"present": ["text", "audio"]' in written["predictions.jsonl"]
    monkeypatch.chdir(tmp_path)
    ended = command("predict", "meeting.wav", "--transcript", "meeting.srt", "--out", "by-command")
    assert ended.code == 0, ended.err
    assert content(tmp_path / "by-command") == written


def test_a_transcript_in_every_format(
    command: Callable[..., Any], text_model: tuple[Path, Path], tmp_path: Path
) -> None:
    encoder, model = text_model
    source = tmp_path / "talk.vtt"
    source.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>w1 w2\n\n00:03.000 --> 00:04.000\nw3\n")
    result = broadmamba.recognize(source, model=model, encoder=encoder)
    for name, options, flags in (
        ("out", {}, ()),
        ("a.jsonl", {}, ()),
        ("b.csv", {"excel": True}, ("--excel",)),
        ("c.vtt", {"caption_speakers": True}, ("--caption-speakers",)),
        ("d.eaf", {}, ()),
        ("e.TextGrid", {}, ()),
        ("f.html", {}, ()),
        ("g.txt", {}, ()),
        ("h.data", {"format": "csv"}, ("--format", "csv")),
    ):
        assert all(file.is_file() for file in result.save(tmp_path / "python" / name, **options))  # type: ignore[arg-type]
        ended = command(
            "predict", source, "--model", model, "--encoder", encoder, "--out", tmp_path / "command" / name, *flags
        )
        assert ended.code == 0, ended.err
    assert content(tmp_path / "python") == content(tmp_path / "command")
    ended = command("predict", source, "--model", model, "--encoder", encoder, "--out", tmp_path / "python" / "out")
    assert ended.code == 0, "each may replace what the other one made from the same source"
