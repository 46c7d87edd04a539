"""The report in a real browser: it draws, plays, seeks, filters, obeys the keyboard, and runs no foreign script."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broadmamba.data.conversation import Utterance
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction
from broadmamba.recognition.report import report_html
from chromium import PATH, Chromium

pytestmark = pytest.mark.skipif(PATH is None, reason="needs the program chromium")

LABELS = ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")
SPEAKERS = ("Ann", "Ben", "Chloé")
NASTY = "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def talk(
    count: int = 12, *, timed: bool = True, texts: tuple[str, ...] = ("Hello there.", "Well, no."), nasty: bool = False
) -> ConversationPrediction:
    """Utterance i lasts from second i to i + 0.8; speakers and emotions take turns."""
    items = []
    for i in range(count):
        label = LABELS[i % 4]
        rest = 0.4 / (len(LABELS) - 1)
        present = ("text", "audio", "video") if i % 3 else ("text",)
        speaker = NASTY if nasty else SPEAKERS[i % 3]
        utterance = Utterance(
            f"u{i}",
            NASTY if nasty else texts[i % len(texts)],
            speaker,
            i if timed else None,
            i + 0.8 if timed else None,
        )
        weights = {name: (1 / len(present) if name in present else 0.0) for name in ("text", "audio", "video")}
        probabilities = {name: 0.6 if name == label else rest for name in LABELS}
        items.append(UtterancePrediction(utterance, label, 0.6, probabilities, weights, present))
    return ConversationPrediction(NASTY if nasty else "A talk", tuple(items), "tiny-model")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "talk.html").write_text(report_html(talk(), "a talk.mp4"), "utf-8")
    return folder


@pytest.fixture(scope="module")
def recording(folder: Path) -> Path:
    """Twelve seconds of H.264 and AAC beside the page."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the program ffmpeg")
    path = folder / "a talk.mp4"
    sources = "-f lavfi -i testsrc=size=160x90:rate=10:duration=12 -f lavfi -i sine=duration=12"
    coding = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -movflags +faststart"
    subprocess.run(["ffmpeg", "-loglevel", "error", *sources.split(), *coding.split(), str(path)], check=True)
    return path


def show(browser: Chromium, path: Path, **options: int | bool) -> None:
    browser.open(path.as_uri(), **options)  # type: ignore[arg-type]
    browser.wait("performance.getEntriesByName('complete').length === 1")


def current(browser: Chromium) -> list[int]:
    """Numbers of the rows that are marked as current."""
    rows = "[...document.querySelectorAll('.row')].flatMap((r, i) => r.hasAttribute('aria-current') ? [i] : [])"
    numbers: list[int] = browser.evaluate(rows)
    return numbers


def shown(browser: Chromium) -> list[int]:
    """Numbers of the rows that can be seen."""
    rows = "[...document.querySelectorAll('.row')].flatMap((r, i) => r.checkVisibility() ? [i] : [])"
    numbers: list[int] = browser.evaluate(rows)
    return numbers


def test_the_page_draws_without_a_warning_or_a_request(browser: Chromium, folder: Path, recording: Path) -> None:
    show(browser, folder / "talk.html")
    browser.wait("document.querySelector('video').readyState >= 1")
    assert browser.problems == []
    assert {Path(address).name for address in browser.requests} == {"talk.html", "a%20talk.mp4"}
    assert shown(browser) == list(range(12))
    # the canvas holds the emotions' colours: joy's orange, sadness' blue, anger's red
    colours = browser.evaluate(
        """(() => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const found = {};
            for (let i = 0; i < data.length; i += 4) {
                const colour = [data[i], data[i + 1], data[i + 2]].join();
                found[colour] = (found[colour] ?? 0) + 1;
            }
            return ["230,159,0", "0,114,178", "213,94,0"].map((colour) => found[colour] ?? 0);
        })()"""
    )
    assert all(count > 500 for count in colours)


def test_the_policy_stops_inline_script(browser: Chromium, folder: Path, recording: Path) -> None:
    show(browser, folder / "talk.html")
    browser.evaluate(
        """(() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
        })()"""
    )
    assert "owned" not in browser.evaluate("document.title")
    assert any("Content Security Policy" in problem for problem in browser.problems)


def test_markup_in_names_and_texts_stays_text(browser: Chromium, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(report_html(talk(nasty=True)), "utf-8")
    show(browser, tmp_path / "page.html")
    browser.press("j")
    assert browser.problems == []
    assert len(browser.requests) == 1
    assert browser.evaluate("[document.querySelectorAll('img').length, document.scripts.length]") == [0, 2]
    for selector in ("h1", ".row .text", ".row .who", "#gutter .lane", "#counts tbody th"):
        assert browser.evaluate(f"document.querySelector('{selector}').textContent") == NASTY


def test_a_click_on_a_block_the_chart_or_the_transcript_seeks(browser: Chromium, folder: Path, recording: Path) -> None:
    show(browser, folder / "talk.html")
    browser.wait("document.querySelector('video').readyState >= 1")
    left, top, width = browser.evaluate(
        "(() => { scrollTo(0, 0); const b = canvas.getBoundingClientRect(); return [b.x, b.y, b.width]; })()"
    )
    second = width / 11.8  # pixels
    browser.click(left + 4.4 * second, top + 34 + 1.5 * 38)  # Ben's lane
    browser.wait("document.querySelector('video').currentTime === 4")
    assert current(browser) == [4]
    browser.click(left + 7.5 * second, top + 56 + 3 * 38 + 60)  # the chart
    browser.wait("Math.abs(document.querySelector('video').currentTime - 7.5) < 0.05")
    assert current(browser) == [7]
    browser.click_on(".row:nth-child(3) .text")
    browser.wait("document.querySelector('video').currentTime === 2")
    assert current(browser) == [2]
    assert browser.evaluate("document.querySelector('video').paused")


def test_playing_moves_the_highlight(browser: Chromium, folder: Path, recording: Path) -> None:
    show(browser, folder / "talk.html")
    browser.wait("document.querySelector('video').readyState >= 1")
    browser.click_on(".row:nth-child(6) .time")
    browser.wait("!document.querySelector('video').paused")
    assert current(browser) == [5]
    before = browser.evaluate("playhead.getBoundingClientRect().x")
    browser.wait("document.querySelector('.row:nth-child(7)').hasAttribute('aria-current')")
    assert browser.evaluate("document.querySelector('video').currentTime") == pytest.approx(6, abs=0.9)
    assert browser.evaluate("playhead.getBoundingClientRect().x") > before + 20
    browser.evaluate("document.activeElement.blur()")
    browser.press(" ")
    browser.wait("document.querySelector('video').paused")


def test_filters_hide_the_others(browser: Chromium, folder: Path, recording: Path) -> None:
    show(browser, folder / "talk.html")
    browser.click_on("#speaker-filters .chip:nth-child(2)")
    assert shown(browser) == [1, 4, 7, 10]
    browser.click_on("#emotion-filters .chip:nth-child(2)")
    browser.click_on("#emotion-filters .chip:nth-child(4)")
    assert shown(browser) == [1, 7]  # Ben's joy or anger
    assert browser.evaluate("document.querySelector('#shown').textContent") == "2 of 12"
    pressed = "[...document.querySelectorAll('.chip[aria-pressed=true] .label')].map((e) => e.textContent)"
    assert browser.evaluate(pressed) == ["Ben", "joy", "anger"]
    browser.press("j", "j")
    assert current(browser) == [7]
    browser.press("Escape")
    assert shown(browser) == list(range(12))
    browser.press("/", *"WELL")
    assert shown(browser) == list(range(1, 12, 2))
    browser.press(*" nothing")
    assert shown(browser) == []
    assert browser.evaluate("document.querySelector('#nothing').checkVisibility()")
    browser.press("Escape")


def test_the_keyboard_is_enough(browser: Chromium, folder: Path, recording: Path) -> None:
    show(browser, folder / "talk.html")
    browser.wait("document.querySelector('video').readyState >= 1")
    browser.press("j", "j", "j", "k")
    assert current(browser) == [1]
    assert browser.evaluate("document.activeElement === document.querySelectorAll('.row')[1]")
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("ArrowDown")
    assert current(browser) == [2]
    browser.press("Enter")
    browser.wait("!document.querySelector('video').paused && document.querySelector('video').currentTime >= 2")
    browser.press(" ")
    browser.wait("document.querySelector('video').paused")
    browser.press("f")
    assert browser.evaluate("document.activeElement.className") == "chip"
    browser.press("?")
    assert browser.evaluate("document.querySelector('dialog').open")
    browser.press("j")  # is the dialog's, not the page's
    assert current(browser) == [2]
    browser.evaluate("document.querySelector('dialog').close()")
    width = browser.evaluate("strip.clientWidth")
    browser.press("+", "+")
    assert browser.evaluate("strip.clientWidth") == pytest.approx(width * 2.56, rel=0.01)
    browser.press("0")
    assert browser.evaluate("strip.clientWidth") == width


def test_without_the_recording_there_is_a_note(browser: Chromium, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(report_html(talk(), "gone.wav"), "utf-8")
    show(browser, tmp_path / "page.html")
    browser.wait("document.querySelector('#player .note') !== null")
    assert "gone.wav could not be loaded" in browser.evaluate("document.querySelector('#player').textContent")
    browser.press("j", "Enter", " ")
    assert current(browser) == [0]


@pytest.mark.parametrize("count", [0, 1, 12])
def test_a_conversation_without_times_has_a_page(browser: Chromium, tmp_path: Path, count: int) -> None:
    (tmp_path / "page.html").write_text(report_html(talk(count, timed=False)), "utf-8")
    show(browser, tmp_path / "page.html")
    assert browser.problems == []
    assert "spaced evenly" in browser.evaluate("document.querySelector('#timeline-note').textContent")
    assert len(shown(browser)) == count


@pytest.mark.parametrize("last", [float("inf"), 1e12, 3.6e6])
def test_no_end_however_late_keeps_the_page_from_being_used(browser: Chromium, tmp_path: Path, last: float) -> None:
    made = talk()
    late = replace(
        made.utterances[-1], utterance=Utterance("late", "At last.", "Ann", last - 5 if last < 1e9 else 20.0, last)
    )
    (tmp_path / "page.html").write_text(report_html(replace(made, utterances=(*made.utterances, late))), "utf-8")
    show(browser, tmp_path / "page.html")
    browser.press("j", "+", "+", "0", "k")
    ticks = browser.evaluate(
        """(() => {
            let ticks = 0;
            const write = timeline.pen.fillText;
            timeline.pen.fillText = () => (ticks += 1);
            timeline.drawAxis();
            timeline.pen.fillText = write;
            return ticks;
        })()"""
    )
    assert 2 <= ticks <= 20
    assert browser.problems == []
    assert shown(browser) == list(range(13))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [420, 1400])
def test_text_can_be_read_and_fits(browser: Chromium, folder: Path, recording: Path, width: int, dark: bool) -> None:
    show(browser, folder / "talk.html", width=width, dark=dark)
    browser.press("j")
    browser.click_on("#emotion-filters .chip")
    poor = browser.evaluate(
        """(() => {
            const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
            const luminance = (colour) => {
                const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                const [r, g, b] = colour.slice(0, 3).map((c) => linear(c / 255));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const behind = (element) => {
                for (let e = element; e; e = e.parentElement) {
                    const colour = parse(getComputedStyle(e).backgroundColor);
                    if (colour.length === 3) return colour;
                }
            };
            const poor = [];
            for (const element of document.querySelectorAll("body *")) {
                const words = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
                if (!words || !element.checkVisibility() || element.closest("script, noscript, .skip")) continue;
                const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
                const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                if (ratio < 4.5) poor.push([element.className, element.textContent, ratio]);
            }
            return poor;
        })()"""
    )
    assert poor == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name_and_the_list_its_roles(browser: Chromium, folder: Path, recording: Path) -> None:
    show(browser, folder / "talk.html")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {}
    for node in nodes:
        role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value")
        roles.setdefault(role, []).append(name)
    for role in ("button", "searchbox", "list", "group", "toolbar", "region"):
        assert roles[role], role
        assert all(name for name in roles[role]), f"a {role} without a name"
    assert len(roles["listitem"]) >= 12
    assert any("was missing" in name for name in roles["image"])


def test_thousands_of_utterances_stay_usable(browser: Chromium, tmp_path: Path) -> None:
    words = random.Random(0)
    texts = tuple(" ".join(words.choices(("yes", "no", "maybe", "well"), k=12)) for _ in range(50))
    page = report_html(talk(5000, texts=texts))
    assert len(page.encode()) < 1_500_000
    (tmp_path / "page.html").write_text(page, "utf-8")
    browser.open((tmp_path / "page.html").as_uri())
    browser.wait("performance.getEntriesByName('usable').length === 1")
    assert browser.evaluate("performance.getEntriesByName('usable')[0].startTime") < 4000  # 300 ms on an idle machine
    browser.wait("performance.getEntriesByName('complete').length === 1", seconds=20)
    browser.evaluate("select(4999, { focus: true })")
    browser.wait("rows[4999].getBoundingClientRect().top < innerHeight && rows[4999].getBoundingClientRect().top > 0")
    assert browser.problems == []
