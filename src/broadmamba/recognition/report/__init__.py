"""The report for people: a prediction as one web page that needs nothing but itself.

The page's parts lie beside this file: its frame (`page.html`), its looks (`page.css`) and its script (`words.js`,
`timeline.js` and `page.js`, in this order). They are joined into one file with the data in it. The page's
Content-Security-Policy lets only this script run, by its hash, and lets nothing be loaded but the recording.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib import resources

from broadmamba.recognition.prediction import ConversationPrediction
from broadmamba.recognition.report.payload import page_data

# in JSON these can stand only within strings, where \u says the same: so no name or text ends the script element,
# and half a surrogate pair, which UTF-8 cannot hold, survives
_ESCAPED = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def report_html(prediction: ConversationPrediction, media: str | None = None) -> str:
    """One self-contained HTML page: timeline, probabilities, modality weights and transcript.

    Args:
        prediction: what was recognised; speakers and times are optional.
        media: where the recording lies as seen from the page, such as `meeting.mp4` or `clips/a 1.wav` (a path, not
            yet a URL), to be played in step; without it the page has no player.

    Raises:
        InputError: `media` is an absolute path or a URL.
    """
    files = resources.files(__name__)
    style = (files / "page.css").read_text("utf-8")
    script = "\n".join((files / name).read_text("utf-8") for name in ("words.js", "timeline.js", "page.js"))
    data = json.dumps(page_data(prediction, media), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    parts = {
        "policy": _policy(script, style),
        "title": html.escape(_whole(f"{prediction.conversation} · emotions")),
        "style": style,
        "data": _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", data),
        "script": script,
    }
    frame = (files / "page.html").read_text("utf-8")
    # one pass, so that braces in the data stay what they are
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], frame)


def _policy(script: str, style: str) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data:",  # the empty icon, so that no browser asks for one
        "media-src": "'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _whole(text: str) -> str:
    """The text with a replacement mark for each half of a surrogate pair."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
