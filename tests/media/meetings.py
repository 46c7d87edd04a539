"""A recording with its transcript, as people have them."""

from __future__ import annotations

from pathlib import Path

from spoken import TALK, make_recording


def make_meeting(folder: Path) -> Path:
    """Put `meeting.wav` and `meeting.srt`, three turns of three voices, into a folder."""
    clock = "00:00:{:06.3f}".format
    (folder / "meeting.srt").write_text(
        "\n".join(
            f"{number}\n{clock(turn.start)} --> {clock(turn.end)}\n{turn.speaker}: {turn.text}\n".replace(".", ",", 2)
            for number, turn in enumerate(make_recording(folder / "meeting.wav", TALK[:3]).turns, start=1)
        )
    )
    return folder
