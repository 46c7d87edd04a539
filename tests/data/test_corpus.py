"""A corpus comes back as it was saved, appears whole or not at all, and refuses what does not fit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import broadmamba
from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError

LABELS = LabelSet(["calm", "wütend", "a, b"])


def feature(name: str, rows: int, width: int = 3, **spec: Any) -> Feature:
    values = np.random.default_rng(len(name)).normal(size=(rows, width)).astype(np.float32)
    return Feature(FeatureSpec(name, **{"modality": "audio", "width": width, **spec}), values)


@pytest.fixture
def corpus() -> Corpus:
    """Four conversations of 1 to 4 utterances in two splits; the last one is in none."""
    conversations = tuple(
        Conversation(f"c{c}", tuple(Utterance(f"c{c}u{u}", "hm", label="calm") for u in range(c + 1))) for c in range(4)
    )
    features = {f.spec.name: f for f in (feature("tone", 10), feature("words", 10, modality="text"))}
    return Corpus("tiny", LABELS, conversations, {"train": ("c2", "c0"), "test": ("c1",)}, features)


def assert_same(left: Corpus, right: Corpus) -> None:
    assert left.name == right.name
    assert left.labels == right.labels
    assert left.conversations == right.conversations
    assert left.splits == right.splits
    assert left.notes == right.notes
    assert list(left.features) == list(right.features)
    for name, one in left.features.items():
        assert one.spec == right.features[name].spec
        np.testing.assert_array_equal(one.values, right.features[name].values)


texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["", "\u2028\u2029\x85\r\n\t\x00", "“É” 😀 \ufeff", '{"conversation": "x"}', "\x1f\x7f"]
)
times = st.none() | st.floats(0, 1e6) | st.integers(0, 9999)


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    names = draw(st.lists(texts, min_size=len(sizes), max_size=len(sizes), unique=True))
    ids = iter(draw(st.lists(texts, min_size=sum(sizes), max_size=sum(sizes), unique=True)))
    utterances = st.builds(
        Utterance,
        id=st.builds(lambda: next(ids)),
        text=texts,
        speaker=st.none() | texts,
        start=times,
        end=times,
        label=st.none() | st.sampled_from(LABELS.names),
    )
    conversations = tuple(
        Conversation(name, tuple(draw(utterances) for _ in range(size)))
        for name, size in zip(names, sizes, strict=True)
    )
    order = draw(st.permutations(names))
    cut = draw(st.integers(0, len(order)))
    splits = {"train": tuple(order[:cut]), "test": tuple(order[cut:])}
    values = np.full((sum(sizes), 2), np.nan, dtype=np.float32)
    values[:: draw(st.integers(1, 3))] = draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    if draw(st.booleans()):
        values[0, 0] = np.nan
    made = Feature(FeatureSpec("f.0_-x", "audio", 2, columns=("é", ""), gaps=True), values)
    return Corpus(
        draw(texts), LABELS, conversations, {k: v for k, v in splits.items() if v}, {"f.0_-x": made}, None, ("é",)
    )


@settings(max_examples=60, deadline=None)
@given(made=corpora())
def test_what_is_saved_is_opened(tmp_path_factory: pytest.TempPathFactory, made: Corpus) -> None:
    path = tmp_path_factory.mktemp("corpus") / "folder"
    made.save(path)
    opened = Corpus.open(path)
    assert opened.path == path
    assert_same(opened, made)
    for name in made.splits:  # a split has each utterance's own row, in whatever order
        split = opened.split(name)
        row_of = dict(zip((u.id for u in made.utterances), made.features["f.0_-x"].values, strict=True))
        expected = np.stack([row_of[u.id] for u in split.utterances])
        np.testing.assert_array_equal(split.features["f.0_-x"].values, expected)


def test_extreme_lengths_simply_work(tmp_path: Path) -> None:
    long = Conversation("long", tuple(Utterance(f"l{i}") for i in range(20_000)))
    short = Conversation("short", (Utterance("s", text="ä" * 100_000, label="calm"),))
    made = Corpus("x", LABELS, (short, long), {"all": ("long", "short")}, {"f": feature("f", 20_001)})
    made.save(tmp_path / "x")
    opened = Corpus.open(tmp_path / "x")
    assert_same(opened, made)
    assert opened.conversations[1].speaker_indices() == [-1] * 20_000


def test_contiguous_rows_stay_views_on_the_mapped_file(tmp_path: Path, corpus: Corpus) -> None:
    replace(corpus, splits={"train": ("c1", "c2"), "dev": ("c3", "c0")}).save(tmp_path / "x")
    opened = Corpus.open(tmp_path / "x")
    whole = opened.features["tone"].values
    assert np.shares_memory(whole, opened.split("train").features["tone"].values)
    np.testing.assert_array_equal(opened.split("train").features["tone"].values, whole[1:6])
    np.testing.assert_array_equal(opened.split("dev").features["tone"].values, whole[[6, 7, 8, 9, 0]])
    with pytest.raises(ValueError, match="read-only"):
        whole[0] = 0


def test_an_unknown_split_lists_the_known(corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"'tset'.*train, test.*did you mean test"):
        corpus.split("tset")


def test_an_existing_folder_is_never_written_into(tmp_path: Path, corpus: Corpus) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("x")
    for overwrite in (False, True):  # what is no corpus is not even replaced on request
        with pytest.raises(InputError, match="precious"):
            corpus.save(tmp_path / "precious", overwrite=overwrite)
    assert [p.name for p in (tmp_path / "precious").iterdir()] == ["thesis.txt"]
    corpus.save(tmp_path / "x")
    replace(corpus, name="new").save(tmp_path / "x", overwrite=True)
    assert Corpus.open(tmp_path / "x").name == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["precious", "x"]


def test_a_corpus_can_be_saved_over_itself(tmp_path: Path, corpus: Corpus) -> None:
    corpus.save(tmp_path / "x")
    Corpus.open(tmp_path / "x").save(tmp_path / "x", overwrite=True)
    assert_same(Corpus.open(tmp_path / "x"), corpus)


def test_a_failed_save_leaves_nothing(tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("broadmamba.data.corpus.write_manifest", full)
    with pytest.raises(OSError, match="no space"):
        corpus.save(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_features_are_added_and_replaced(tmp_path: Path, corpus: Corpus) -> None:
    assert "mood" in corpus.add_feature(feature("mood", 10)).features  # in memory too
    corpus.save(tmp_path / "x")
    before = Corpus.open(tmp_path / "x")
    kept = np.array(before.features["tone"].values)
    after = before.add_feature(feature("tone", 10, width=5, version="2"))
    assert after.features["tone"].spec.version == "2"
    assert after.features["tone"].values.shape == (10, 5)
    assert list(after.features) == ["words", "tone"]
    np.testing.assert_array_equal(before.features["tone"].values, kept)  # an open reader keeps what it has
    before.add_feature(feature("mood", 10))  # from an older view of the folder: nothing is lost
    assert set(Corpus.open(tmp_path / "x").features) == {"words", "tone", "mood"}
    with pytest.raises(InputError, match="'bad': 9 rows"):
        after.add_feature(feature("bad", 9))
    assert not (tmp_path / "x" / "features" / "bad.safetensors").exists()


REPLACER = """
import sys
from itertools import count
sys.path.insert(0, sys.argv[1])
import numpy as np
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.spec import FeatureSpec
corpus = Corpus.open(sys.argv[2])
for number in count(1):
    width = number % 7 + 1
    values = np.full((10, width), width, dtype=np.float32)
    corpus = corpus.add_feature(Feature(FeatureSpec("tone", "audio", width, version=str(width)), values))
"""


@pytest.mark.parametrize("delay", [0.05, 0.12, 0.2])
def test_a_kill_while_replacing_a_feature_never_mixes_two(tmp_path: Path, corpus: Corpus, delay: float) -> None:
    corpus.save(tmp_path / "x")
    source = str(Path(broadmamba.__file__).parents[1])
    before = (tmp_path / "x" / "corpus.json").stat().st_mtime_ns
    child = subprocess.Popen([sys.executable, "-c", REPLACER, source, str(tmp_path / "x")])
    try:
        deadline = time.monotonic() + 20
        while (tmp_path / "x" / "corpus.json").stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    opened = Corpus.open(tmp_path / "x")
    if "tone" in opened.features:
        tone = opened.features["tone"]
        assert (tone.values == float(tone.spec.version)).all()


def values_with(row: int, column: int, value: float, **spec: Any) -> Feature:
    made = feature("tone", 10, **spec)
    made.values[row, column] = value
    return made


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda: values_with(1, 2, np.inf), r"'tone': infinite value at utterance 'c1u0', column 2"),
        (lambda: values_with(1, 2, -np.inf, gaps=True), "infinite"),
        (lambda: values_with(9, 0, np.nan, columns=("pitch", "b", "c")), r"NaN at utterance 'c3u3'.*pitch"),
        (lambda: values_with(0, 0, np.nan, modality="text", gaps=True), "text"),
        (lambda: feature("tone", 11), "11 rows.*10 utterances"),
        (lambda: Feature(FeatureSpec("tone", "audio", 3), np.zeros((10, 4), np.float32)), r"3\).*\(10, 4\)"),
        (lambda: Feature(FeatureSpec("tone", "audio", 3), np.zeros((10, 3))), "float32.*float64"),
        (lambda: feature("../tone", 10), "name"),
    ],
)
def test_features_that_do_not_fit_are_refused(corpus: Corpus, bad: Callable[[], Feature], said: str) -> None:
    with pytest.raises(InputError, match=said):
        corpus.add_feature(bad())


def test_missing_rows_and_allowed_gaps_are_fine(corpus: Corpus) -> None:
    made = feature("tone", 10, gaps=True)
    made.values[3] = np.nan
    made.values[4, 1] = np.nan
    added = corpus.add_feature(made).features["tone"]
    assert np.flatnonzero(added.missing()).tolist() == [3]
    assert np.flatnonzero(added.incomplete()).tolist() == [4]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"splits": {"train": ("c0",), "test": ("c1", "c0")}}, "'c0' is in split 'train' and again in 'test'"),
        ({"splits": {"train": ("c9",)}}, "no conversation 'c9'"),
        ({"splits": {"train": ()}}, "'train' has no conversations"),
        ({"conversations": ()}, "no conversations"),
        ({"conversations": (Conversation("a", ()),), "splits": {}}, "'a' has no utterances"),
        ({"labels": LabelSet(["clam", "b"])}, "unknown label 'calm'.*did you mean clam"),
    ],
)
def test_parts_that_do_not_fit_are_refused(corpus: Corpus, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        replace(corpus, **change)


@pytest.mark.parametrize(
    ("utterances", "said"),
    [
        ((Utterance("u"), Utterance("u")), "utterance 'u' is there more than once"),
        ((Utterance("u", start=float("nan")),), "finite"),
        ((Utterance("u", text="\ud800"),), "half a character"),
    ],
)
def test_bad_utterances_are_refused(utterances: tuple[Utterance, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Corpus("x", LABELS, (Conversation("c", utterances),), {})


def damage(file: str, content: bytes | None) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        if content is None:
            (folder / file).unlink()
        else:
            (folder / file).write_bytes(content)

    return apply


def edit(**changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        manifest = json.loads((folder / "corpus.json").read_text())
        (folder / "corpus.json").write_text(json.dumps({**manifest, **changes}))

    return apply


def truncate(folder: Path) -> None:
    file = folder / "features" / "tone.safetensors"
    file.write_bytes(file.read_bytes()[:-5])


@pytest.mark.parametrize(
    ("apply", "said"),
    [
        (damage("corpus.json", b""), r"corpus\.json: the file is empty"),
        (damage("corpus.json", b"\x93NUMPY\x01\xff"), "UTF-8"),
        (damage("corpus.json", b'["x"]'), "broadmamba-corpus"),
        (damage("corpus.json", None), r"without corpus\.json"),
        (damage("utterances.jsonl", b""), r"utterances\.jsonl: the file is empty"),
        (damage("utterances.jsonl", None), r"utterances\.jsonl: there is no such file"),
        (damage("utterances.jsonl", b'{"conversation": "c0"}'), "line 1.*utterance"),
        (damage("utterances.jsonl", b'{"conversation": "c", "utterance": "u", "lable": "x"}'), "lable"),
        (damage("utterances.jsonl", b'{"conversation": "c", "utterance": 3}'), "utterance is 3"),
        (damage("utterances.jsonl", b'{"conversation": "c", "utterance": "u", "start": true}'), "start is True"),
        (
            damage(
                "utterances.jsonl",
                b"\n".join(b'{"conversation": "%c", "utterance": "%d"}' % (c, i) for i, c in enumerate(b"aba")),
            ),
            "line 3: conversation 'a' goes on",
        ),
        (truncate, r"tone\.safetensors.*damaged"),
        (damage("features/tone.safetensors", None), r"tone\.safetensors: there is no such file"),
        (damage("features/tone.safetensors", b"\x80junk"), "damaged"),
        (edit(version=2), "version 2, expected 1"),
        (edit(labels=["calm"]), "two labels"),
        (edit(labels="calm"), "labels is 'calm', expected list"),
        (edit(splits={"train": [1]}), "train is .*list of strings"),
        (edit(features=[{"name": "x"}]), "feature spec"),
        (edit(features=[{"name": "tone", "modality": "audio", "width": 4}]), r"\(utterances, 4\).*\(10, 3\)"),
        (edit(features=[{"name": "tone", "modality": "audio", "width": 3}] * 2), "'tone' is there more than once"),
    ],
)
def test_damaged_folders_get_one_sentence(
    tmp_path: Path, corpus: Corpus, apply: Callable[[Path], None], said: str
) -> None:
    corpus.save(tmp_path / "x")
    apply(tmp_path / "x")
    with pytest.raises(InputError, match=said) as caught:
        Corpus.open(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, said in ((tmp_path / "file", "found a file"), (tmp_path / "none", "no such folder")):
        with pytest.raises(InputError, match=said):
            Corpus.open(path)


def test_a_corpus_of_meld_s_size_opens_quickly(tmp_path: Path) -> None:
    conversations = tuple(
        Conversation(f"c{c}", tuple(Utterance(f"c{c}u{u}", "words " * 8, "A", 1.0, 2.5, "calm") for u in range(10)))
        for c in range(1370)
    )
    made = Corpus("big", LABELS, conversations, {}, {"wide": feature("wide", 13_700, 1582)})
    made.save(tmp_path / "x")
    times = []
    for _ in range(3):
        start = time.process_time()
        Corpus.open(tmp_path / "x")
        times.append(time.process_time() - start)
    shutil.rmtree(tmp_path / "x")
    assert min(times) < 0.6  # 0.13 s alone; the machine may be busy
