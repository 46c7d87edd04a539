"""A-DMN against its equations, followed question by question."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from broadmamba.baselines.a_dmn import ADmn, ADmnConfig, run_by_speaker
from broadmamba.data.batching import Batch

SPEAKERS = torch.tensor([[0, 1, 0, 2, -1, 1, 0, -1], [0, 0, 1, 0, -1, -1, -1, -1], [0, -1, -1, -1, -1, -1, -1, -1]])
MASK = torch.arange(8) < torch.tensor([8, 4, 1])[:, None]


def places(row: int) -> list[list[int]]:
    """For each utterance of a conversation, those of its speaker."""
    speakers = SPEAKERS[row, MASK[row]].tolist()
    return [[i for i, other in enumerate(speakers) if other == speaker] for speaker in speakers]


def test_each_speaker_of_each_conversation_is_read_by_itself() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(3, 4, batch_first=True, bidirectional=True).double()
    x = torch.randn(3, 8, 3, dtype=torch.float64)
    found = run_by_speaker(layer, x, MASK, SPEAKERS)
    expected = torch.zeros_like(found)
    for row in range(3):
        for own in places(row):
            expected[row, own] = layer(x[row, own][None])[0][0]
    torch.testing.assert_close(found, expected)


def facts(layer: nn.Module, u: Tensor) -> Tensor:
    """States of a recurrent layer over these utterances and no others, both directions added."""
    ahead, behind = layer(u[None])[0][0].chunk(2, dim=-1)
    return ahead + behind


def test_it_follows_the_equations_question_by_question() -> None:
    torch.manual_seed(0)
    network = ADmn(ADmnConfig(widths={"text": 3}, classes=4, hidden=6, episodes=2)).double().eval()
    x = torch.randn(3, 8, 3, dtype=torch.float64)
    labels = torch.zeros(3, 8, dtype=torch.long)
    found = network(Batch({"text": x}, {"text": MASK}, MASK, SPEAKERS, labels)).logits
    for row in range(3):
        u = network.utterance(x[row, MASK[row]]).tanh()
        for t, own in enumerate(places(row)):
            q = memory = u[t]
            for _ in range(2):
                recalled = []
                known = (facts(network.others, u), facts(network.oneself, u[own]))
                for gate, kind in zip(network.gates, known, strict=True):
                    asked = (gate.question.weight @ q + gate.memory.weight @ memory) / 6**0.5
                    shares = torch.stack([fact @ asked for fact in kind]).softmax(0)
                    recalled.append(sum(share * fact for share, fact in zip(shares, kind, strict=True)))
                memory = network.memory(torch.cat(recalled)[None], memory[None])[0]
            torch.testing.assert_close(found[row, t], network.emotion(network.dense(memory).relu()))
