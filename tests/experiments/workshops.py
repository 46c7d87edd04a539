"""Workshops for tests."""

from __future__ import annotations

from pathlib import Path

from broadmamba.experiments.workshop import Workshop


def workshop_at(out: Path, folder: Path | None, seeds: tuple[int, ...] = (0, 1)) -> Workshop:
    return Workshop(
        out=out,
        corpora={"tiny": folder} if folder else {},
        seeds=seeds,
        workers=2,
        progress=lambda done, total, job: None,
        say=lambda text: None,
    )
