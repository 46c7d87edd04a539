"""Feature pickles of the literature, written here in their layouts, and the two real ones."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broadmamba.data.readers import read_corpus
from broadmamba.errors import InputError

RNG = np.random.default_rng(0)
LENGTHS = {"iemocap": {f"Ses0{i}F_impro0{i}": i % 4 + 1 for i in range(1, 8)}, "meld": dict.fromkeys(range(7), 3)}
WIDTHS = {"roberta": 6, "text": 5, "audio": 4, "visual": 3}
LAYOUTS = {
    "sdt-iemocap": "ids speakers labels roberta1 roberta2 roberta3 roberta4 audio visual sentences train test",
    "sdt-meld": "ids speakers labels roberta1 roberta2 roberta3 roberta4 audio visual sentences train test extra",
    "rnn-iemocap": "ids speakers labels text audio visual sentences train test",
    "rnn-meld": "ids speakers labels text audio sentences train test extra",
    "mmgcn-meld": "ids speakers labels text audio visual sentences train test extra",
    "cosmic-iemocap": "speakers labels sentences train test dev",
    "cosmic-meld": "speakers labels extra sentences train test dev",
}


def parts(layout: str, as_lists: bool = False) -> dict[str, Any]:
    """What the pickle of a layout holds, by role."""
    corpus = layout.split("-")[1]
    lengths = LENGTHS[corpus]
    keys = list(lengths)
    made: dict[str, Any] = {}
    for role in LAYOUTS[layout].split():
        width = next((WIDTHS[name] for name in WIDTHS if role.startswith(name)), 0)
        if role == "ids":
            made[role] = {key: [f"{key}_{i}" for i in range(n)] for key, n in lengths.items()}
        elif role == "speakers" and corpus == "iemocap":
            made[role] = {key: ["MF"[i % 2] for i in range(n)] for key, n in lengths.items()}
        elif role == "speakers":
            made[role] = {key: [np.eye(9, dtype=int)[i % 2].tolist() for i in range(n)] for key, n in lengths.items()}
        elif role in ("labels", "extra"):
            made[role] = {key: [i % 6 for i in range(n)] for key, n in lengths.items()}
        elif role == "sentences":
            made[role] = {key: [f"it\x92s {i} of {key}" for i in range(n)] for key, n in lengths.items()}
        elif width:
            blocks = {key: RNG.normal(size=(n, width)).astype(np.float32) for key, n in lengths.items()}
            made[role] = {key: list(block) for key, block in blocks.items()} if as_lists else blocks
    made |= {"train": keys[:5], "test": keys[5:]}
    if "dev" in LAYOUTS[layout].split():
        made |= {"train": keys[1:5], "dev": keys[:1]}
    return {role: made[role] for role in LAYOUTS[layout].split()}


def write(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("as_lists", [False, True])
def test_every_layout_is_found_from_its_content(tmp_path: Path, layout: str, as_lists: bool) -> None:
    made = parts(layout, as_lists)
    content = tuple(made.values()) if as_lists else list(made.values())
    corpus = read_corpus(write(tmp_path / "x.pkl", content))
    kind = layout.split("-")[1]
    assert corpus.name == kind
    assert len(corpus.labels) == {"iemocap": 6, "meld": 7}[kind]
    rows = iter(range(len(corpus.utterances)))
    for conversation in corpus.conversations:
        key = conversation.id if kind == "iemocap" else int(conversation.id.removeprefix("dia"))
        for position, utterance in enumerate(conversation):
            row = next(rows)
            assert utterance.text == f"it’s {position} of {key}"
            assert utterance.label == corpus.labels[made["labels"][key][position]]
            assert utterance.speaker == ("MF"[position % 2] if kind == "iemocap" else f"speaker{position % 2}")
            for role, feature in corpus.features.items():
                np.testing.assert_array_equal(feature.values[row], made[role][key][position])
    modalities = {name: feature.spec.modality for name, feature in corpus.features.items()}
    known = {"audio": "audio", "visual": "video"}
    wanted = [role for role in made if role.startswith(tuple(WIDTHS))]
    assert modalities == {role: known.get(role, "text") for role in wanted}


def test_a_missing_dev_split_is_drawn_by_the_documented_rule(tmp_path: Path) -> None:
    made = parts("rnn-iemocap")
    corpus = read_corpus(write(tmp_path / "x.pkl", tuple(made.values())))
    first = min(made["train"], key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    assert corpus.splits == {
        "train": tuple(key for key in made["train"] if key != first),
        "dev": (first,),
        "test": tuple(made["test"]),
    }
    assert any("no dev split" in note and "1 of its 5" in note for note in corpus.notes)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
def test_every_protocol_and_numpy_s_old_and_new_names(tmp_path: Path, protocol: int, core: bytes) -> None:
    made = parts("rnn-iemocap")
    made["labels"] = {key: np.array(value) for key, value in made["labels"].items()}
    made["text"] = OrderedDict((key, block.astype(">f8", order="F")) for key, block in made["text"].items())
    made["audio"] = defaultdict(list, {key: list(block) for key, block in made["audio"].items()})
    made["visual"] = {key: [list(map(np.float64, row)) for row in block] for key, block in made["visual"].items()}
    made["sentences"] = {key: np.array(value) for key, value in made["sentences"].items()}
    made["ids"] = {key: np.array(value, dtype=object) for key, value in made["ids"].items()}
    content = pickle.dumps(tuple(made.values()), protocol=protocol)
    if protocol < 4:  # names are plain text there, so that other lengths are fine
        content = content.replace(b"numpy._core", core)
    (tmp_path / "x.pkl").write_bytes(content)
    corpus = read_corpus(tmp_path / "x.pkl")
    row = 0
    for conversation in corpus.conversations:
        for position in range(len(conversation)):
            for role, feature in corpus.features.items():
                expected = np.float32(made[role][conversation.id][position])
                np.testing.assert_array_equal(feature.values[row], expected)
            row += 1
    assert corpus.conversations[0].utterances[0].text.startswith("it’s 0")


def test_byte_strings_of_python_2(tmp_path: Path) -> None:
    """Python 2 wrote `str` as SHORT_BINSTRING, which is bytes: here UTF-8, as in the published files."""
    made = parts("cosmic-iemocap")
    marked = {key: [f"@@{position}" for position in range(len(v))] for key, v in made["sentences"].items()}
    content = pickle.dumps(list({**made, "sentences": marked}.values()), protocol=2)
    said = "It’s".encode()
    for position in range(5):
        marker = b"X\x03\x00\x00\x00@@%d" % position  # BINUNICODE
        content = content.replace(marker, b"U" + bytes([len(said)]) + said)
    (tmp_path / "x.pkl").write_bytes(content)
    corpus = read_corpus(tmp_path / "x.pkl")
    assert {utterance.text for utterance in corpus.utterances} == {"It’s"}


def test_sets_of_ids_come_in_one_order(tmp_path: Path) -> None:
    made = parts("sdt-iemocap")
    made |= {"train": set(made["train"]), "test": frozenset(made["test"])}
    corpus = read_corpus(write(tmp_path / "x.pkl", tuple(made.values())))
    assert corpus.splits["test"] == tuple(sorted(made["test"]))
    ordered = [key for name in ("train", "dev") for key in corpus.splits[name]]
    assert sorted(ordered) == sorted(made["train"])


def change(role: str, key: str, value: Any) -> dict[str, Any]:
    made = parts("rnn-iemocap")
    made[role][key] = value
    return made


K = "Ses01F_impro01"  # two utterances


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (change("labels", K, [0, 6]), f"'{K}', utterance 1: its label is 6"),
        (change("labels", K, [0]), f"'{K}' has 2 sentences, but 1 labels"),
        (change("audio", K, np.zeros((3, 4))), "2 sentences, but 3 audio"),
        (change("audio", K, np.zeros((2, 5))), "width 5"),
        (change("audio", K, np.array([[0, 0, 0, 0], [0, np.inf, 0, 0]])), f"infinite value at utterance '{K}_utt1'"),
        (change("text", K, np.full((2, 5), [[np.nan, 1, 1, 1, 1]])), "'text': NaN"),
        ({**parts("rnn-iemocap"), "train": ["nobody"]}, "'nobody' is in a split, but has no sentences"),
        ({**parts("rnn-iemocap"), "test": [K]}, "in split"),
        ({"x": {}, "y": []}, "expected a feature pickle of IEMOCAP or MELD.*2 parts"),
    ],
)
def test_parts_that_do_not_fit_get_one_sentence(tmp_path: Path, made: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_corpus(write(tmp_path / "x.pkl", tuple(made.values())))
    assert "x.pkl" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_rows_and_gaps_of_measured_features(tmp_path: Path) -> None:
    made = change("visual", K, np.full((2, 3), np.nan))
    made["audio"][K] = np.array([[np.nan, 1, 1, 1], [1, 1, 1, 1]])
    features = read_corpus(write(tmp_path / "x.pkl", tuple(made.values()))).features
    assert features["visual"].missing().sum() == 2
    assert features["audio"].incomplete().sum() == 1
    assert (features["audio"].spec.gaps, features["visual"].spec.gaps) == (True, False)


def rows_of(shared_data: Path, corpus: str) -> list[dict[str, Any]]:
    text = (shared_data / corpus / "utterances.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def test_the_real_iemocap_pickle_equals_the_table(shared_data: Path) -> None:
    corpus = read_corpus(shared_data / "legacy" / "iemocap_cosmic.pkl")
    expected: dict[str, list[Any]] = {}
    splits: dict[str, set[str]] = {}
    for row in rows_of(shared_data, "iemocap"):
        expected.setdefault(row["dialogue"], []).append((row["text"].split(), row["emotion"], row["speaker"][-1]))
        splits.setdefault(row["split"], set()).add(row["dialogue"])
    assert {name: set(ids) for name, ids in corpus.splits.items()} == splits
    for conversation in corpus.conversations:
        found = [(u.text.split(), u.label, u.speaker) for u in conversation]
        assert found == expected[conversation.id]


def test_the_real_meld_pickle_has_the_table_s_texts_and_labels(shared_data: Path) -> None:
    corpus = read_corpus(shared_data / "legacy" / "meld_cosmic.pkl")
    rows = rows_of(shared_data, "meld")
    for name in ("train", "dev", "test"):  # spaces differ between releases of MELD (U+00A0)
        table = Counter((" ".join(row["text"].split()), row["emotion"]) for row in rows if row["split"] == name)
        found = Counter((" ".join(u.text.split()), u.label) for u in corpus.split(name).utterances)
        assert found == table
