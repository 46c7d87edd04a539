"""The examples: they run, their types are right, and what stands in the notebooks is what they give."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def test_there_are_examples() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first_labels.ipynb", "own_model.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_stands_in_it(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    kept = nbformat.read(path, as_version=4)
    made = nbformat.read(path, as_version=4)
    NotebookClient(made, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    for before, after in zip(kept.cells, made.cells, strict=True):
        assert shown(after) == shown(before), after.source


def shown(cell: Any) -> list[str]:
    """The texts that a cell prints and shows, without their numbers, which differ a little between machines."""
    texts = []
    for output in cell.get("outputs", ()):
        assert output.output_type in ("stream", "execute_result", "display_data"), output
        assert output.get("name") != "stderr", output.text
        texts.append(output.text if output.output_type == "stream" else output.data["text/plain"])
    return [re.sub(r"[\d.]+", "0", text) for text in texts]


def test_the_script_labels(tmp_path: Path) -> None:
    script = EXAMPLES / "label_a_recording.py"
    out = tmp_path / "labels.csv"
    ended = subprocess.run(
        [sys.executable, str(script), str(EXAMPLES / "kitchen.vtt"), str(out)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert len(out.read_text("utf-8").splitlines()) == 17  # a header, and sixteen utterances


def test_types_are_right(tmp_path: Path) -> None:
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        (tmp_path / f"{path.stem}.py").write_text(code)
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, tmp_path.glob("*.py")), str(EXAMPLES / "label_a_recording.py")],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
