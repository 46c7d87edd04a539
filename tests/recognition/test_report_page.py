"""The report as text: what is in the page, what is escaped, and what its policy lets run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.data.conversation import Utterance
from broadmamba.errors import InputError
from broadmamba.recognition.prediction import NOTICE, ConversationPrediction, UtterancePrediction
from broadmamba.recognition.report import report_html
from broadmamba.recognition.report.payload import contrast, label_colours, page_data

LABELS = ("joy", "neutral", "anger")


def said(
    number: int,
    text: str = "hello",
    speaker: str | None = "Ann",
    start: float | None = None,
    end: float | None = None,
    label: str = "joy",
    present: tuple[str, ...] = ("text", "audio"),
) -> UtterancePrediction:
    probabilities = {name: 0.7 if name == label else 0.15 for name in LABELS}
    weights = {"text": 1 / 3, "audio": 2 / 3} if "audio" in present else {"text": 1.0, "audio": 0.0}
    utterance = Utterance(f"u{number}", text, speaker, start, end)
    return UtterancePrediction(utterance, label, 0.7, probabilities, weights, present)


def conversation(*items: UtterancePrediction, name: str = "talk") -> ConversationPrediction:
    return ConversationPrediction(name, items, "tiny-model")


class _Page(HTMLParser):
    """Elements with their attributes, and the text of those that matter."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") or tag
        if tag in ("script", "style", "title"):
            self.inside[self._open] = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open] += data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def data_of(html: str) -> dict[str, object]:
    value = json.loads(_Page(html).inside["data"])
    assert isinstance(value, dict)
    return value


def test_the_policy_allows_only_what_the_page_holds() -> None:
    page = _Page(report_html(conversation(said(0)), "meeting.mp4"))
    policy = next(
        attributes["content"] or ""
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == hashed(page.inside["script"])
    assert rules["style-src"] == hashed(page.inside["style"])
    assert "unsafe" not in policy


def test_nothing_is_fetched_from_elsewhere() -> None:
    page = _Page(report_html(conversation(said(0)), "meeting.mp4"))
    links = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")]
    assert all(link and link.startswith(("#", "data:")) for link in links)
    everything = page.inside["script"] + page.inside["style"]
    assert not re.search(
        r"https?:|@import|url\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", everything
    )


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.one_of(st.none(), st.text(max_size=20)))
def test_any_text_comes_back_and_never_leaves_its_place(name: str, text: str, speaker: str | None) -> None:
    html = report_html(conversation(said(0, text, speaker), name=name))
    html.encode("utf-8")
    data = data_of(html)
    assert data["conversation"] == name
    assert data["speakers"] == [speaker]
    assert data["utterances"][0][4] == text  # type: ignore[index]
    plain = report_html(conversation(said(0)))
    assert [tag for tag, _ in _Page(html).elements] == [tag for tag, _ in _Page(plain).elements]


@pytest.mark.parametrize(
    "nasty", ["</script><img src=x onerror=alert(1)>", "<!--<script>", "{{script}}", "\u2028", "\ud800"]
)
def test_markup_in_names_and_texts_is_inert(nasty: str) -> None:
    html = report_html(conversation(said(0, nasty, nasty), name=nasty))
    raw = html[html.index('id="data">') :]
    raw = raw[: raw.index("</script>")]
    assert not re.search("[<>&\u2028\ud800]", raw.removeprefix('id="data">'))
    assert data_of(html)["utterances"][0][4] == nasty  # type: ignore[index]


def test_numbers_are_short_and_missing_modalities_are_none() -> None:
    data = page_data(conversation(said(0, start=1 / 3, end=2.0), said(1, present=("text",), start=2.0, end=3.0)), None)
    assert data["labels"][0]["name"] == "neutral"  # the bottom of the chart
    assert [label["name"] for label in data["labels"]] == ["neutral", "joy", "anger"]
    assert data["utterances"][0] == [0, 0.333, 2.0, 1, "hello", [150, 700, 150], [333, 667]]
    assert data["utterances"][1][6] == [1000, None]
    assert data["media"] is None
    assert data["notice"] == NOTICE


def test_counts_are_those_of_a_counter() -> None:
    items = [
        said(i, speaker=speaker, label=label, start=float(i), end=i + 0.5)
        for i, (speaker, label) in enumerate([("Ann", "joy"), (None, "joy"), ("Ben", "anger"), ("Ann", "joy")])
    ]
    data = page_data(conversation(*items), None)
    assert data["speakers"] == ["Ann", "Ben", None]
    names = [label["name"] for label in data["labels"]]
    for speaker, count in zip(data["speakers"], data["counts"], strict=False):
        expected = Counter(item.label for item in items if item.utterance.speaker == speaker)
        assert count["labels"] == [expected[name] for name in names]
        assert count["seconds"] == 0.5 * expected.total()
    assert data["counts"][-1]["turns"] == 4
    assert dict(data["facts"]) == {
        "Speakers": "2", "Utterances": "4", "Judged by": "text, audio", "Model": "tiny-model",
    }  # fmt: skip


def test_without_times_utterances_stand_evenly() -> None:
    data = page_data(conversation(said(0), said(1), said(2)), None)
    assert not data["timed"]
    assert [row[1:3] for row in data["utterances"]] == [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]


def test_gaps_in_times_are_filled_from_the_neighbours() -> None:
    items = [said(0, start=1.0), said(1), said(2, start=4.0, end=3.0), said(3, start=float("nan"), end=9.0)]
    data = page_data(conversation(*items), None)
    assert data["timed"]
    assert data["placed"] == 2
    assert [row[1:3] for row in data["utterances"]] == [[1.0, 4.0], [4.0, 4.0], [4.0, 4.0], [4.0, 9.0]]


def test_times_that_no_recording_can_have_are_none() -> None:
    odd = (float("inf"), float("-inf"), float("nan"), -5.0, 1e12, 3.6e12)
    items = [
        said(0, start=1.0, end=2.0),
        *(said(1 + i, start=t, end=t) for i, t in enumerate(odd)),
        said(9, start=8.0, end=1e12),
    ]
    data = page_data(conversation(*items), None)
    assert data["placed"] == len(odd)
    assert [row[1:3] for row in data["utterances"]] == [[1.0, 2.0], *[[2.0, 2.0]] * len(odd), [8.0, 8.0]]
    assert not page_data(conversation(*(said(i, start=t, end=t) for i, t in enumerate(odd))), None)["timed"]


def test_a_modality_that_nobody_had_is_named() -> None:
    data = page_data(conversation(said(0, present=("text",))), None)
    assert dict(data["facts"])["Judged by"] == "text (no audio)"


def test_an_empty_conversation_has_a_page() -> None:
    assert data_of(report_html(conversation()))["utterances"] == []


@pytest.mark.parametrize(
    ("path", "kind", "url"),
    [
        ("meeting.mp4", "video", "meeting.mp4"),
        ("clips/what? 100%#1.WAV", "audio", "clips/what%3F%20100%25%231.WAV"),
        ("javascript:alert(1).mp3", "audio", "javascript%3Aalert%281%29.mp3"),
        ("ton.opus", "audio", "ton.opus"),
        ("../no suffix", "video", "../no%20suffix"),
        ("a:b.mp4", "video", "a%3Ab.mp4"),
        ("./C:\\a.wav", "audio", "C%3A%5Ca.wav"),
    ],
)
def test_the_recording_is_a_path_beside_the_page(path: str, kind: str, url: str) -> None:
    media = page_data(conversation(said(0)), path)["media"]
    assert (media["kind"], media["url"]) == (kind, url)


@pytest.mark.parametrize("path", ["/home/me/a.mp4", "//host/a.mp4", "https://host/a.mp4", "C:\\a.mp4"])
def test_a_recording_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="relative to itself"):
        report_html(conversation(said(0)), path)


def test_colours_differ_and_words_on_them_can_be_read() -> None:
    iemocap = ["happy", "sad", "neutral", "angry", "excited", "frustrated"]
    for labels in (iemocap, ["anger", "angry", "calm", "bored", "Neutral"], [f"label {i}" for i in range(30)]):
        colours = label_colours(labels)
        assert [colour is None for colour in colours] == [name.lower() == "neutral" for name in labels]
        first = [colour for colour in colours if colour][:13]
        assert len(set(first)) == len(first)
    inks = page_data(conversation(said(0)), None)["labels"]
    assert all(label["ink"] is None or contrast(label["colour"], label["ink"]) >= 4.5 for label in inks)


def test_contrast_is_wcags() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WCAG's well-known near miss
