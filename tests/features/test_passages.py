"""Reading with context: every turn is scored once and in order, after as much context as was asked for."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoders import LIMIT, WORDS, build_encoder
from transformers import AutoModel, AutoTokenizer

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.errors import InputError
from broadmamba.features.text.passages import Passage, Reading
from broadmamba.features.text.tokens import TurnTokens, turn_mask

conversations = st.lists(
    st.tuples(st.sampled_from(["Ann", "Bo", "Cy", None]), st.sampled_from(WORDS)), min_size=1, max_size=40
).map(lambda said: Conversation("c", tuple(Utterance(f"u{i}", t, s) for i, (s, t) in enumerate(said))))


@given(conversation=conversations, context=st.integers(0, 7), speakers=st.booleans())
def test_each_turn_is_scored_once_after_its_context(conversation: Conversation, context: int, speakers: bool) -> None:
    reading = Reading(context, speakers)
    turns = reading.turns(conversation)
    passages = reading.passages(conversation)
    assert list(chain.from_iterable(p.turns[-p.scored :] for p in passages)) == turns
    done = 0
    for passage in passages:
        before = len(passage.turns) - passage.scored
        assert list(passage.turns[:before]) == turns[done - before : done]  # what comes before, without a gap
        assert before == (0 if done == 0 else context)
        assert len(passage.turns) <= max(1, 2 * context)
        done += passage.scored


@given(conversation=conversations, context=st.integers(0, 7), shifted=st.booleans())
def test_training_passages_cover_the_conversation(conversation: Conversation, context: int, shifted: bool) -> None:
    reading = Reading(context)
    pieces = reading.training_passages(conversation, shifted)
    assert list(chain.from_iterable(p.turns for _, p in pieces)) == reading.turns(conversation)
    assert [start for start, _ in pieces] == list(np.cumsum([0, *(p.scored for _, p in pieces)])[:-1])
    if len(conversation) > 2 * context > 0:
        assert (len(pieces[0][1].turns) == context) == shifted


def test_speakers_are_letters_in_the_order_of_their_first_words() -> None:
    said = (("Zoe", "hi"), ("Al", "yes"), (None, "who?"), ("Zoe", "me"))
    conversation = Conversation("c", tuple(Utterance(str(i), t, s) for i, (s, t) in enumerate(said)))
    assert Reading(2, True).turns(conversation) == ["A: hi", "B: yes", "?: who?", "A: me"]


@pytest.mark.parametrize("values", [{"context": -1}, {"context": 65}, {"context": True}, {"context": 1.5},
                                    {"speakers": 1}, {"other": 1}, [1]])  # fmt: skip
def test_a_wrong_reading_is_refused(values: object) -> None:
    with pytest.raises(InputError):
        Reading.from_dict(values)


@pytest.fixture(scope="module", params=["bert", "roberta", "mpnet"])
def tokens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TurnTokens:
    folder = build_encoder(request.param, tmp_path_factory.mktemp("encoder") / request.param)
    return TurnTokens(AutoTokenizer.from_pretrained(folder))


@settings(max_examples=60)
@given(turns=st.lists(st.lists(st.sampled_from(WORDS), max_size=9), min_size=1, max_size=5))
def test_tokens_are_those_of_the_turns_and_the_longest_are_cut(tokens: TurnTokens, turns: list[list[str]]) -> None:
    passage = Passage(tuple(" ".join(turn) for turn in turns), 1)
    [(ids, owners)] = tokens.of([passage], LIMIT)
    numbers = [[4 + WORDS.index(word) for word in turn] for turn in turns]
    whole = [0, *chain.from_iterable([*turn, 2] for turn in numbers)]
    assert len(ids) == len(owners) <= max(LIMIT, len(turns) + 1)
    assert owners == sorted(owners)
    assert set(owners) == set(range(len(turns)))
    if len(whole) <= LIMIT:
        assert ids == whole
    else:
        kept = [sum(o == turn for o in owners) - (2 if turn == 0 else 1) for turn in range(len(turns))]
        cut = {k for k, turn in zip(kept, numbers, strict=True) if k < len(turn)}
        assert len(cut) == 1  # all are cut to the same length
        assert all(k == min(len(turn), min(cut)) for k, turn in zip(kept, numbers, strict=True))
        assert len(ids) > LIMIT - len(turns)  # no room is wasted but what cannot be shared
    mask = turn_mask(owners, len(ids) + 3)
    assert mask.shape == (len(turns), len(ids) + 3)
    assert mask.sum(0).tolist() == [1] * len(ids) + [0] * 3


def test_rows_are_means_over_a_turns_own_tokens(tmp_path_factory: pytest.TempPathFactory) -> None:
    from broadmamba.features.text.encoder import TextEncoder

    folder = build_encoder("bert", tmp_path_factory.mktemp("encoder") / "bert")
    encoder = TextEncoder.load(str(folder))
    passages = [Passage(("w1 w2", "w3", "w4 w5 w6"), 2), Passage(("w7",), 1), Passage(("w7", "w8 w9"), 2)]
    model = AutoModel.from_pretrained(folder).eval()
    for passage, rows in zip(passages, encoder.encode_passages(passages), strict=True):
        lengths = [len(turn.split()) + 1 for turn in passage.turns]
        ids = [0, *chain.from_iterable([*(4 + WORDS.index(w) for w in t.split()), 2] for t in passage.turns)]
        with torch.no_grad():
            states = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        parts = np.split(states, np.cumsum(lengths)[:-1] + 1)  # the first token of all is the first turn's
        expected = np.stack([part.mean(0) for part in parts])[-passage.scored :]
        np.testing.assert_allclose(rows, expected, atol=1e-5)
