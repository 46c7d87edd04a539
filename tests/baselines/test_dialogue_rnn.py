"""DialogueRNN against its equations, followed utterance by utterance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from broadmamba.baselines.dialogue_rnn import DialogueRnn, DialogueRnnConfig, TwoWayCell, backwards
from broadmamba.data.batching import Batch

WIDTHS = {"text": 5, "audio": 3}
SPEAKERS = [[0, 1, 0, 2, -1, 1, 0, -1], [0, 0, 1, 0], [0]]


def model() -> DialogueRnn:
    torch.manual_seed(0)
    return DialogueRnn(DialogueRnnConfig(widths=WIDTHS, classes=4, hidden=6)).double().eval()


def batch() -> Batch:
    lengths = torch.tensor([len(row) for row in SPEAKERS])
    mask = torch.arange(8) < lengths[:, None]
    speakers = torch.tensor([row + [-1] * (8 - len(row)) for row in SPEAKERS])
    generator = torch.Generator().manual_seed(1)
    features = {
        m: torch.randn(3, 8, width, generator=generator, dtype=torch.float64) * mask[..., None]
        for m, width in WIDTHS.items()
    }
    return Batch(features, dict.fromkeys(WIDTHS, mask), mask, speakers, torch.zeros(3, 8, dtype=torch.long))


def torch_cell(cell: TwoWayCell, way: int) -> nn.GRUCell:
    """The same cell for one direction, as torch has it."""
    weights = torch.cat([cell.known[way], cell.input[way]]).T
    made = nn.GRUCell(weights.shape[1], cell.state.shape[1]).double()
    made.load_state_dict(
        {
            "weight_ih": weights,
            "weight_hh": cell.state[way].T,
            "bias_ih": cell.known_bias[way, 0],
            "bias_hh": cell.state_bias[way, 0],
        }
    )
    return made


def emotions(network: DialogueRnn, utterances: Tensor, speakers: list[int], way: int) -> list[Tensor]:
    """e_t of one conversation in one direction: equations 1 to 4 as they stand, one utterance after the other."""
    hidden = network.config.hidden
    conversation, party = torch_cell(network.conversation, way), torch_cell(network.party, way)
    parties: dict[int, Tensor] = {}
    before: list[Tensor] = []
    g = torch.zeros(hidden, dtype=torch.float64)
    states = []
    for u, speaker in zip(utterances, speakers, strict=True):
        q = parties.get(speaker, torch.zeros(hidden, dtype=torch.float64))
        c = torch.zeros(hidden, dtype=torch.float64)
        if before:
            scores = torch.stack([u @ network.ask[way] @ earlier for earlier in before])
            for alpha, earlier in zip(scores.softmax(0), before, strict=True):
                c = c + alpha * earlier
        g = conversation(torch.cat([u, q])[None], g[None])[0]
        parties[speaker] = party(torch.cat([u, c])[None], q[None])[0]
        before.append(g)
        states.append(parties[speaker])
    return list(network.emotions[way](torch.stack(states)[None])[0][0])


def test_it_follows_the_equations_utterance_by_utterance() -> None:
    network, given = model(), batch()
    found = network(given).logits.detach()
    for number, speakers in enumerate(SPEAKERS):
        length = len(speakers)
        u = torch.cat([given.features[m][number, :length] for m in WIDTHS], dim=-1)
        ahead = emotions(network, u, speakers, 0)
        behind = emotions(network, u.flip(0), speakers[::-1], 1)[::-1]
        e = [torch.cat(both) for both in zip(ahead, behind, strict=True)]
        for t in range(length):
            beta = torch.stack([(network.match.weight @ e[t]) @ other for other in e]).softmax(0)
            attended = sum(share * other for share, other in zip(beta, e, strict=True))
            logits = network.emotion(network.dense(attended).relu())
            torch.testing.assert_close(found[number, t], logits.detach(), rtol=1e-10, atol=1e-12)


def test_a_listener_keeps_its_state() -> None:
    """What one party says reaches another by way of the conversation alone, which is silenced here."""
    network, given = model(), batch()
    with torch.no_grad():
        network.party.input.zero_()
    u = torch.cat(list(given.features.values()), dim=-1)[:1]
    speakers = torch.tensor([[0, 1, 0, 1, 1, 0, 0, 1]])
    other = torch.where((speakers == 1)[..., None], u + 1, u)
    q, changed = (network.parties(torch.stack([x, x]), torch.stack([speakers, speakers])) for x in (u, other))
    torch.testing.assert_close(q[:, speakers == 0], changed[:, speakers == 0])
    assert not torch.allclose(q[:, speakers == 1], changed[:, speakers == 1])


def test_reading_backwards_leaves_padding_last() -> None:
    mask = torch.tensor([[True, True, True, False], [True] * 4, [True, False, False, False]])
    assert backwards(mask).tolist() == [[2, 1, 0, 3], [3, 2, 1, 0], [0, 1, 2, 3]]
