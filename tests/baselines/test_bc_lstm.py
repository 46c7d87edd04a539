"""bc-LSTM against torch's own LSTMs, run over each conversation alone."""

from __future__ import annotations

import torch

from broadmamba.baselines.bc_lstm import BcLstm, BcLstmConfig
from broadmamba.data.batching import Batch

WIDTHS = {"text": 5, "audio": 3}
LENGTHS = (7, 4, 1)


def test_it_is_an_lstm_of_each_modality_and_one_of_all() -> None:
    torch.manual_seed(0)
    network = BcLstm(BcLstmConfig(widths=WIDTHS, classes=4, hidden=6)).double().eval()
    mask = torch.arange(7) < torch.tensor(LENGTHS)[:, None]
    features = {m: torch.randn(3, 7, width, dtype=torch.float64) for m, width in WIDTHS.items()}  # rubbish on padding
    speakers, labels = torch.zeros(2, 3, 7, dtype=torch.long)
    found = network(Batch(features, dict.fromkeys(WIDTHS, mask), mask, speakers, labels))
    for row, length in enumerate(LENGTHS):
        alone = {m: x[row : row + 1, :length] for m, x in features.items()}
        z = [torch.tanh(network.dense[m](network.contexts[m](x)[0])) for m, x in alone.items()]
        h = network.together(torch.cat(z, dim=-1))[0]
        fused = network.fused(h).relu()
        torch.testing.assert_close(found.fused[row, :length], fused[0])
        torch.testing.assert_close(found.logits[row, :length], network.emotion(fused)[0])
