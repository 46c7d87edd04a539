"""What a result offers: a sequence, a data frame, JSON, files."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from broadmamba.data.conversation import Utterance
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.recognition.outputs import render
from broadmamba.recognition.prediction import NOTICE, ConversationPrediction, UtterancePrediction

SAID = (("Hi <b>", "Anna", "joy"), ("=2+2", None, "anger"), ("", "Bo", "joy"))


def result(source: Path | None = None, **more: object) -> ConversationPrediction:
    items = []
    for number, (text, speaker, label) in enumerate(SAID):
        probabilities = {name: 0.75 if name == label else 0.125 for name in ("neutral", "joy", "anger")}
        said = Utterance(f"u{number}", text, speaker, number * 1.5, number * 1.5 + 1)
        weights = {"text": 0.75, "audio": 0.25}
        items.append(UtterancePrediction(said, label, 0.75, probabilities, weights, ("text", "audio")))
    return ConversationPrediction("talk", tuple(items), "some-model", source=source, **more)  # type: ignore[arg-type]


def test_it_is_a_sequence() -> None:
    found = result()
    assert isinstance(found, Sequence) and len(found) == 3
    assert found[1] is found.utterances[1] and found[-1].text == ""
    assert found[1:] == found.utterances[1:] and found[:0] == ()
    assert [item.label for item in reversed(found)] == ["joy", "anger", "joy"]
    assert found.index(found[2]) == 2 and found[0] in found
    with pytest.raises(IndexError):
        found[3]
    first = found[0]
    assert (first.text, first.speaker, first.start, first.end, first.label, first.probability) == (
        "Hi <b>", "Anna", 0.0, 1.0, "joy", 0.75,
    )  # fmt: skip


def test_it_shows_itself() -> None:
    found = result()
    assert repr(found) == "<ConversationPrediction 'talk' by 'some-model': 2 joy, 1 anger>"
    assert str(found) == render(found, "table")
    page = ElementTree.fromstring(f"<div>{found._repr_html_()}</div>")
    cells = [[cell.text for cell in row] for row in page.iter("tr")]
    assert cells[0] == ["speaker", "said", "emotion", "prob.", "text", "audio"]
    assert cells[1] == ["Anna", "Hi <b>", "joy", "75%", "75%", "25%"]
    assert (cells[2][0], cells[3][1], len(cells)) == ("–", "–", 4)
    assert "".join(page.find("p").itertext()) == NOTICE  # type: ignore[union-attr]


def test_a_data_frame_has_the_columns_and_values_of_the_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = result(tmp_path / "talk.vtt")
    (tmp_path / "talk.vtt").touch()
    frame = found.to_pandas()
    (file,) = found.save("talk.csv")
    read = pd.read_csv(file, keep_default_na=False, na_values={"speaker": [""]})
    read["text"] = read["text"].str.removeprefix("'")  # from formulas
    pd.testing.assert_frame_equal(frame, read, check_dtype=False)
    assert list(frame["source"].unique()) == ["talk.vtt"]


def test_json_has_what_the_lines_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.vtt").touch()
    found = result(tmp_path / "talk.vtt")
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    common = {"conversation": "talk", "model": "some-model", "source": "talk.vtt"}
    assert {key: values[key] for key in common} == common and len(values) == 4
    (file,) = found.save("talk.jsonl")
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [{**common, **row} for row in values["utterances"]] == rows


def test_without_pandas_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"^a data frame needs pandas: pip install pandas$"):
        result().to_pandas()


def test_pandas_is_not_imported_before_it_is_needed() -> None:
    code = "import sys; import broadmamba; broadmamba.ConversationPrediction; print('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_nothing_of_others_is_replaced(tmp_path: Path) -> None:
    source, other = tmp_path / "talk.vtt", tmp_path / "other.vtt"
    for file in (source, other):
        file.write_text("WEBVTT\n")
    for out in (tmp_path / "out", tmp_path / "a.csv"):
        first = result(source).save(out)
        assert result(source).save(str(out)) == first, "of the same source they are replaced"
        before = [file.read_bytes() for file in first]
        for found, name in ((result(other), str(other)), (result(), "this conversation")):
            with pytest.raises(InputError, match="stands there already and was not made from") as caught:
                found.save(out)
            assert name in str(caught.value) and "overwrite=True" in str(caught.value)
        assert [file.read_bytes() for file in first] == before
        result(other).save(out, overwrite=True)
        assert [file.read_bytes() for file in first] != before


def test_what_was_read_is_never_replaced(tmp_path: Path) -> None:
    recording, transcript = tmp_path / "talk.csv", tmp_path / "talk.eaf"
    for file in (recording, transcript):
        file.write_text("mine")
    found = result(recording, transcript=transcript)
    for out in (recording, transcript):
        with pytest.raises(InputError, match="is read here"):
            found.save(out, overwrite=True)
        assert out.read_text() == "mine"


def test_what_cannot_be_saved_is_told(tmp_path: Path) -> None:
    for path, format, told in (
        ("talk.docx", None, "unknown format 'docx'"),
        ("talk.csv", "cvs", "did you mean csv"),
        (3, None, "expected a file or folder to write as a path, found int"),
        (Path(__file__) / "talk.csv", None, "cannot be written"),
        (f"{'n' * 300}.csv", None, "name too long"),
        ("ta\0lk.csv", None, "embedded null byte"),
        ("talk.csv", 3, "expected a format by its name, found int"),
    ):
        with pytest.raises(InputError, match=told):
            result().save(tmp_path / path if isinstance(path, str) else path, format)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_it_prints_to_any_stream_as_text() -> None:
    stream = io.StringIO()
    print(result(), file=stream)
    assert stream.getvalue().startswith("talk · 3 utterances · some-model\n")
