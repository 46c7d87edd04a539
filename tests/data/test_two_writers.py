"""A corpus folder with several writers, with a killed one, or in a place that something else takes meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import broadmamba
from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError

SOURCE = str(Path(broadmamba.__file__).parents[1])


def corpus(name: str = "small", label: str = "calm") -> Corpus:
    said = tuple(Conversation(f"c{c}", (Utterance(f"u{c}", "hm", label=label),)) for c in range(3))
    return Corpus(name, LabelSet(["calm", "glad"]), said, {"train": ("c0", "c1")}, {"tone": feature("tone")})


def feature(name: str, value: float = 0.0, width: int = 2) -> Feature:
    return Feature(FeatureSpec(name, "audio", width), np.full((3, width), value, np.float32))


ADDER = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.spec import FeatureSpec
for number in range(int(sys.argv[4])):
    opened = Corpus.open(sys.argv[2])
    spec = FeatureSpec(f"{sys.argv[3]}{number}", "audio", 2)
    assert spec.name in opened.add_feature(Feature(spec, np.full((3, 2), number, np.float32))).features
"""


def test_features_that_processes_add_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    corpus().save(tmp_path / "c")
    writers = [
        subprocess.Popen([sys.executable, "-c", ADDER, SOURCE, str(tmp_path / "c"), name, "8"]) for name in "pqr"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    opened = Corpus.open(tmp_path / "c")
    assert set(opened.features) == {"tone", *(f"{name}{number}" for name in "pqr" for number in range(8))}
    assert all((opened.features[f"q{number}"].values == number).all() for number in range(8))
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["corpus.json", "features", "utterances.jsonl"]


def test_a_feature_is_not_added_to_other_utterances(tmp_path: Path) -> None:
    corpus().save(tmp_path / "c")
    opened = Corpus.open(tmp_path / "c")
    table = tmp_path / "c" / "utterances.jsonl"
    table.write_text(table.read_text().replace('"calm"', '"glad"'))
    opened = opened.add_feature(feature("loud"))  # labels decide no row
    table.write_text(table.read_text().replace('"hm"', '"oh"', 1))
    with pytest.raises(InputError, match="its utterances were changed meanwhile; feature 'soft' is not added"):
        opened.add_feature(feature("soft"))
    assert set(Corpus.open(tmp_path / "c").features) == {"tone", "loud"}


def test_two_different_features_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    corpus().save(tmp_path / "c")
    first, second, third = (Corpus.open(tmp_path / "c") for _ in range(3))
    first.add_feature(feature("loud", 1))
    second.add_feature(feature("loud", 1))  # the same again
    with pytest.raises(InputError, match="another process has added another feature 'loud' meanwhile"):
        third.add_feature(feature("loud", 2, width=3))
    assert (Corpus.open(tmp_path / "c").features["loud"].values == 1).all()


def test_what_a_kill_left_in_a_corpus_goes_with_the_next_feature(tmp_path: Path) -> None:
    corpus().save(tmp_path / "c")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for folder in (tmp_path / "c", tmp_path / "c" / "features"):
        (folder / f".loud.safetensors.{ended.pid}-0123abcd.tmp").write_bytes(b"half")
    Corpus.open(tmp_path / "c").add_feature(feature("loud"))
    assert not list((tmp_path / "c").rglob("*.tmp"))


def occupy_with_a_file(place: Path) -> None:
    place.write_text("mine")


def occupy_with_a_folder(place: Path) -> None:
    place.mkdir()
    (place / "mine").write_text("mine")


def occupy_with_a_link(place: Path) -> None:
    (place.parent / "elsewhere").mkdir()
    place.symlink_to("elsewhere")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("occupy", [occupy_with_a_file, occupy_with_a_folder, occupy_with_a_link])
def test_what_stands_in_the_place_of_a_new_corpus_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, occupy: Callable[[Path], None], when: str
) -> None:
    place = tmp_path / "c"
    if when == "before":
        occupy(place)
    else:
        from broadmamba.data import corpus as module

        write = module.write_manifest  # the last that is written

        def write_late(*arguments: Any) -> None:
            write(*arguments)
            occupy(place)

        monkeypatch.setattr(module, "write_manifest", write_late)
    with pytest.raises(InputError, match="c: exists already and is left as it is; choose another folder"):
        corpus().save(place)
    left = {path.name for path in tmp_path.rglob("*")}
    assert left in ({"c"}, {"c", "mine"}, {"c", "elsewhere"})


def test_an_empty_folder_may_become_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    corpus().save(tmp_path / "c")
    assert Corpus.open(tmp_path / "c").name == "small"


def test_of_processes_that_convert_into_one_folder_one_succeeds(tmp_path: Path) -> None:
    rows = [{"dialogue": f"d{i}", "utterance": f"u{i}", "emotion": "ab"[i % 2]} for i in range(3000)]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from broadmamba.cli.main import run; run()"
    command = [sys.executable, "-c", code, SOURCE, "convert", tmp_path / "table.jsonl", "--out", tmp_path / "c"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    assert sorted(told) == [
        "",
        f"broadmamba: {tmp_path}/c: exists already and is left as it is; choose another folder\n",
    ]
    assert len(Corpus.open(tmp_path / "c").conversations) == 3000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "table.jsonl"]


_ACTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")


def killed_before(act: int, under: Path, work: Callable[[], object]) -> bool:
    """Whether a child of this process was killed before that act on a file; without so many it ends its work."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in _ACTS and str(arguments[0]).startswith(str(under)):
            seen += 1
            if seen == act:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        work()
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_at_any_moment_leaves_the_old_corpus_or_the_new(tmp_path: Path, overwrite: bool) -> None:
    act = 1
    outcomes: set[str] = set()
    while True:
        folder = tmp_path / str(act)
        if overwrite:
            corpus("old").save(folder / "c")
        if not killed_before(act, folder, lambda folder=folder: corpus("new").save(folder / "c", overwrite)):  # type: ignore[misc]
            break
        if overwrite or (folder / "c").exists():
            outcomes.add(Corpus.open(folder / "c").name)  # which puts back what was taken aside
        if not overwrite and (folder / "c").exists():
            with pytest.raises(InputError, match="exists already"):
                corpus("third").save(folder / "c")
        else:
            corpus("third").save(folder / "c", overwrite)
            assert Corpus.open(folder / "c").name == "third"
        assert {path.name for path in folder.iterdir()} == {"c"}, "what the kill left is gone"
        assert sorted(path.name for path in (folder / "c").iterdir()) == ["corpus.json", "features", "utterances.jsonl"]
        act += 1
    assert act > 12
    assert outcomes == ({"old", "new"} if overwrite else {"new"})


def test_what_is_no_corpus_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine").write_text("mine")
    with pytest.raises(InputError, match=r"found one without corpus\.json"):
        corpus().save(tmp_path / "c", overwrite=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["c", "mine"]


def test_a_copy_in_memory_outlives_its_file(tmp_path: Path) -> None:
    corpus().save(tmp_path / "c")
    held = Corpus.open(tmp_path / "c").in_memory(["tone"])
    os.truncate(tmp_path / "c" / "features" / "tone.safetensors", 10)
    assert (held.features["tone"].values == 0).all()  # a mapped file would end the process by SIGBUS
    assert (replace(held, name="x").split("train").features["tone"].values == 0).all()
