"""Random conversations with predictions, for the writers that follow the recording."""

from __future__ import annotations

from hypothesis import strategies as st

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction

LABELS = ("neutral", "joy", "sadness", "anger")

nasty = st.sampled_from(
    [
        'say "no"',
        "a, b; c",
        "Zoë",
        "<i>x</i>",
        "&amp; &",
        "‮שלום‏",
        "--> so",
        "a\nb",
        "",
        "'",
        "]]>",
        "!<exists> 1 2",
        "…",
        "sil",
        "<unk>",
        "A_001",
    ]
)
texts = st.lists(nasty | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12), max_size=4).map(" ".join)
names = st.none() | st.sampled_from(
    [
        "Anna",
        'Jo "J" Lee',
        "R&D <x>",
        "Zoë, B.",
        "words",
        "Anna-emotion",
        "Anna-probability",
        "Anna - words",
        "ref@Anna",
    ]
)
chances = st.floats(0.25, 1)
milliseconds = st.integers(0, 4 * 10**8)


def predict(*utterances: Utterance, label: str = "joy") -> ConversationPrediction:
    """A prediction with the same label for all."""
    chances = {name: 0.7 if name == label else 0.1 for name in LABELS}
    items = [UtterancePrediction(u, label, 0.7, chances, {"text": 1.0}, ("text",)) for u in utterances]
    return ConversationPrediction("talk", tuple(items), "a model")


@st.composite
def conversations(draw, *, apart: bool) -> ConversationPrediction:
    """A conversation of known times; `apart`: no two utterances overlap."""
    items = []
    position = 0
    for number in range(draw(st.integers(1, 8))):
        start = position + draw(st.integers(0, 5000)) if apart else draw(milliseconds)
        end = start + draw(st.integers(1, 9999))
        position = end
        label = draw(st.sampled_from(LABELS))
        utterance = Utterance(f"u{number}", draw(texts), draw(names), start / 1000, end / 1000)
        items.append(
            UtterancePrediction(utterance, label, draw(chances), dict.fromkeys(LABELS, 0.25), {"text": 1.0}, ("text",))
        )
    return ConversationPrediction("talk", tuple(items), "a model")


def lines(conversation: Conversation | ConversationPrediction) -> list[tuple[str | None, str, float, float]]:
    """Speaker, text and times by start, with the text on one line."""
    utterances = [getattr(item, "utterance", item) for item in conversation]
    return sorted(
        ((u.speaker, " ".join(u.text.split()), u.start, u.end) for u in utterances), key=lambda entry: entry[2]
    )
