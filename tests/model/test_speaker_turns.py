"""Each speaker's own turns as a sequence, against plain lists; and a model that reads them."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.data.batching import Prepared
from broadmamba.model.config import BroadMambaConfig
from broadmamba.model.network import BroadMamba
from broadmamba.model.packing import Packing, SpeakerTurns
from broadmamba.testing import check_model

CONVERSATIONS = st.lists(st.lists(st.integers(-1, 3), min_size=1, max_size=9), min_size=1, max_size=5)


@settings(max_examples=50, deadline=None)
@given(CONVERSATIONS)
def test_turns_are_those_of_each_speaker_in_order(conversations: list[list[int]]) -> None:
    longest = max(map(len, conversations))
    mask = torch.tensor([[i < len(c) for i in range(longest)] for c in conversations])
    packing = Packing(mask)
    said = [(b, speaker) for b, c in enumerate(conversations) for speaker in c]
    speakers = torch.tensor([speaker for _, speaker in said])
    turns = SpeakerTurns(packing, speakers)
    numbers = torch.arange(1.0, len(said) + 1)[:, None]  # 0 is what stands after a speaker's last turn
    found = [[int(x) for x in row if x] for row in turns.split(numbers).squeeze(-1)]
    expected = [[i + 1 for i, one in enumerate(said) if one == group] for group in sorted(set(said))]
    assert found == expected
    assert torch.equal(turns.join(turns.split(numbers)), numbers)


def test_what_others_say_reaches_a_turn_through_the_conversation_alone() -> None:
    """With the layer over the conversation silenced, an utterance is read with those of its speaker and no other."""
    torch.manual_seed(0)
    config = BroadMambaConfig(widths={"text": 5}, classes=3, d_model=8, own_turns=True, position=False)
    model = BroadMamba(config).eval()
    check_model(model)
    for parameter in model.branches["text"].contexts[0].sequence.parameters():
        parameter.detach().zero_()
    speakers = torch.tensor([0, 1, 0, 0, 1, 1, 0])

    def logits(features: torch.Tensor) -> torch.Tensor:
        present = {"text": torch.ones(7, dtype=torch.bool)}
        prepared = Prepared((7,), {"text": features}, present, speakers, torch.zeros(7, dtype=torch.long))
        with torch.no_grad():
            return model(prepared.batch([0])).logits[0]

    features = torch.randn(7, 5)
    changed = features.clone()
    changed[2] += 1
    moved = (logits(changed) - logits(features)).abs().amax(-1) > 1e-6
    assert moved.tolist() == (speakers == 0).tolist()
