"""`broadmamba doctor`: what is installed, what is missing, and what that would give."""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broadmamba import __version__
from broadmamba.cli.printing import console, hand_over, show

if TYPE_CHECKING:
    from broadmamba.extras import Package

_WEIGHTS = {
    "expression": "the video feature expression",
    "mpnet": "the text encoder mpnet",
}
_PROGRAMS = {"npm": "broadmamba fetch expression; comes with Node.js"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Tell what is installed, what is missing, and what that would give.

    Nothing is changed, and no network used.
    """
    facts = _facts()
    if as_json:
        hand_over(json.dumps(facts, indent=2) + "\n")
    else:
        _print(facts)


def _facts() -> dict[str, Any]:
    from broadmamba.caches import cache_folder
    from broadmamba.extras import EXTRAS
    from broadmamba.features.text.fetched_encoder import fetched_folder
    from broadmamba.features.video.expression_weights import weights_file
    from broadmamba.recognition.pretrained import shipped_models

    problems: list[str] = []
    always = _packages("", problems)
    packages = {extra: _packages(extra, problems) for extra in EXTRAS}
    problems += [_expected(package) for package in always if not package.found]
    fetched = {"expression": weights_file(), "mpnet": fetched_folder()}
    cache = cache_folder().absolute()
    nearest = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        problems.append(f"the cache {cache} cannot be written: choose another by BROADMAMBA_CACHE")
    return {
        "broadmamba": __version__,
        "python": platform.python_version(),
        "onnxruntime": next((package.found for package in always if package.name == "onnxruntime"), None),
        "devices": _devices(problems),
        "models": shipped_models(),
        "cache": str(cache),
        "extras": {
            extra: {
                "for": what,
                "state": _state(packages[extra]),
                "missing": [package.name for package in packages[extra] if not package.found],
            }
            for extra, what in EXTRAS.items()
        },
        "weights": {name: str(path) if path.exists() else None for name, path in fetched.items()},
        "speech_models": _speech_models(),
        "programs": {name: shutil.which(name) for name in _PROGRAMS},
        "problems": list(dict.fromkeys(problems)),
    }


def _packages(extra: str, problems: list[str]) -> list[Package]:
    """What an extra, or broadmamba itself, needs; what is installed of another version than it needs is a problem."""
    from broadmamba.errors import MissingExtraError
    from broadmamba.extras import needed_packages

    try:
        packages = needed_packages(extra)
    except MissingExtraError as error:
        problems.append(str(error))
        return []
    problems += [_expected(package) for package in packages if package.found and not package.fits]
    return packages


def _expected(package: Package) -> str:
    found = f"{package.name} {package.found} is installed" if package.found else f"{package.name} is not installed"
    return f"{found}, expected {package.wanted}: pip install '{package.name}{package.wanted}'"


def _state(packages: list[Package]) -> str:
    if not packages:
        return "unknown"
    missing = sum(not package.found for package in packages)
    return "installed" if not missing else "missing" if missing == len(packages) else "incomplete"


def _devices(problems: list[str]) -> list[str]:
    """Where ONNX Runtime computes."""
    from broadmamba.sessions import has_graphics_processor

    try:
        return ["cpu", "cuda"] if has_graphics_processor() else ["cpu"]
    except Exception as error:  # whatever a library of another processor or system raises
        problems.append(f"ONNX Runtime cannot be used ({error})")
        return []


def _speech_models() -> list[str]:
    """Whisper models in the cache of Hugging Face, by the names that --speech-model takes."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = {file.parts[-4] for file in Path(HF_HUB_CACHE).glob("models--*--*whisper*/snapshots/*/model.bin")}
    ids = sorted(name.removeprefix("models--").replace("--", "/", 1) for name in found)
    return [id.removeprefix("Systran/faster-whisper-") for id in ids]


def _print(facts: dict[str, Any]) -> None:
    devices = " and ".join(facts["devices"]) or "nowhere"
    show(
        f"broadmamba {facts['broadmamba']}, Python {facts['python']}, ONNX Runtime {facts['onnxruntime']} on {devices}"
    )
    show(f"models that come with it: {', '.join(facts['models'])}")
    show(f"cache: {facts['cache']}")
    extras = []
    for name, extra in facts["extras"].items():
        lacking = f", lacks {', '.join(extra['missing'])}" if extra["state"] == "incomplete" else ""
        extras.append((name, extra["state"], extra["for"] + lacking))
    _print_table("extra", extras)
    show("Add one by pip install 'broadmamba[NAME]'; the name all stands for all of them.")
    besides = [
        (name, "fetched", what) if facts["weights"][name] else (name, "missing", f"{what}: broadmamba fetch {name}")
        for name, what in _WEIGHTS.items()
    ]
    heard = ", ".join(facts["speech_models"])
    besides.append(("speech models", "fetched" if heard else "none yet", heard or "fetched when one is first needed"))
    besides += [(name, "installed" if facts["programs"][name] else "missing", what) for name, what in _PROGRAMS.items()]
    _print_table("besides", besides)
    for problem in facts["problems"]:
        show(f"problem: {problem}")
    if not facts["problems"]:
        show("No problem was found.")


def _print_table(title: str, rows: list[tuple[str, str, str]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(title, "state", "for", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console().print(table)
