"""Who gets which utterance, held against a slow reading of the same rule."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.media.turns import Turn, assign_speakers, speakers_of

# thousandths of a second, so that the slow reading is exact
spans = st.tuples(st.integers(0, 3000), st.integers(0, 400)).map(lambda span: (span[0], sum(span)))
turns = st.lists(st.tuples(spans, st.sampled_from("ABC")), max_size=8)


def slow(span, turns, within):
    start, end = span
    order = [speaker for (_, speaker) in sorted(turns, key=lambda turn: turn[0][0])]
    best, best_claim = None, (0, -within - 1)
    for speaker in dict.fromkeys(order):
        own = [turn for turn, name in turns if name == speaker]
        covered = {tick for a, b in own for tick in range(max(a, start), min(b, end))}
        gap = min(max(a - end, start - b, 0) for a, b in own)
        claim = (len(covered), -gap)
        if claim[0] > best_claim[0] or (best_claim[0] == 0 and claim[1] > best_claim[1]):
            best, best_claim = speaker, claim
    return best


@settings(max_examples=200, deadline=None)
@given(st.lists(spans, max_size=8), turns, st.integers(0, 1000))
def test_the_speaker_is_the_one_of_the_slow_reading(spans, turns, within):
    found = speakers_of(
        [(a / 1000, b / 1000) for a, b in spans],
        [Turn(a / 1000, b / 1000, name) for (a, b), name in turns],
        within / 1000,
    )
    assert found == [slow(span, turns, within) for span in spans]


def test_known_speakers_stay_and_unknown_times_get_nobody():
    conversation = Conversation(
        "talk",
        (
            Utterance("1", "a", "Zoë", 0.0, 1.0),
            Utterance("2", "b", None, 0.0, 1.0),
            Utterance("3", "c"),
            Utterance("4", "d", None, 2.2, None),
            Utterance("5", "e", None, None, 9.0),
        ),
    )
    given = assign_speakers(conversation, [Turn(2.0, 3.0, "Bob"), Turn(0.5, 1.5, "Anna")])
    assert [u.speaker for u in given] == ["Zoë", "Anna", None, "Bob", None]
    assert [u.text for u in given] == list("abcde")


def test_no_turns_give_nobody():
    conversation = Conversation("talk", (Utterance("1", "a", None, 0.0, 1.0),))
    assert assign_speakers(conversation, []) == conversation
