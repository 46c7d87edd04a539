"""CTNet's interactions between modalities, written out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from broadmamba.baselines.attention import Transformer, positions
from broadmamba.baselines.ctnet import CtNet, CtNetConfig


def layer(transformer: Transformer, x: Tensor, y: Tensor, readable: list[int]) -> Tensor:
    """One conversation through a transformer, `(L, H)` each, a query and a head at a time."""
    attention = transformer.attention
    q, k, v = attention.query(x), attention.key(y), attention.value(y)
    d = x.shape[1] // attention.heads
    rows = []
    for i in range(len(x)):
        heads = []
        for head in range(attention.heads):
            part = slice(head * d, (head + 1) * d)
            weights = torch.stack([(q[i, part] @ k[j, part] / d**0.5).exp() for j in readable])
            heads.append(sum(w / weights.sum() * v[j, part] for w, j in zip(weights, readable, strict=True)))
        rows.append(attention.out(torch.cat(heads)))
    a = F.layer_norm(x + torch.stack(rows), x.shape[1:], transformer.norms[0].weight, transformer.norms[0].bias)
    inner = transformer.inner[3](transformer.inner[0](a).relu())
    return F.layer_norm(a + inner, x.shape[1:], transformer.norms[1].weight, transformer.norms[1].bias)


def test_a_modality_reads_another_where_that_is_present() -> None:
    torch.manual_seed(0)
    model = CtNet(CtNetConfig(widths={"text": 6, "audio": 3}, classes=4, hidden=8, heads=2)).double().eval()
    present = {
        "text": torch.tensor([[True, True, False, True]]),
        "audio": torch.tensor([[False, True, True, True]]),
    }
    features = {m: torch.randn(1, 4, w).double() * present[m][..., None] for m, w in model.config.widths.items()}
    single, cross = model.interactions(features, present)
    assert set(cross) == {"audio_to_text", "text_to_audio"}
    here = {m: p[0].nonzero().flatten().tolist() for m, p in present.items()}
    expected = {}
    for m, x in features.items():
        x = model.projections[m](x)
        x = (x + positions(x))[0]
        expected[m] = layer(model.single[m], x, x, here[m])
        torch.testing.assert_close(single[m][0], expected[m])
    across = layer(model.cross["audio_to_text"], expected["text"], expected["audio"], here["audio"])
    torch.testing.assert_close(cross["audio_to_text"][0], across)


def test_one_modality_has_nothing_to_cross() -> None:
    assert len(CtNet(CtNetConfig(widths={"text": 6}, classes=4)).cross) == 0
    assert len(CtNet(CtNetConfig(widths={"text": 6, "audio": 3, "video": 2}, classes=4)).cross) == 6
