"""Eq. 9 against torch's own convolution, Eq. 10 against a loop, and what is added to them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from broadmamba.model.encoder import Encoder, UtteranceConvolution, position_encoding
from broadmamba.model.packing import Packing

LENGTHS = (7, 1, 3, 2)
MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
PACKING = Packing(MASK)


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
def test_convolution_is_conv1d_on_every_conversation_alone(kernel_size: int) -> None:
    torch.manual_seed(0)
    ours = UtteranceConvolution(5, 4, kernel_size).double()
    nn.init.normal_(ours.bias)
    theirs = nn.Conv1d(5, 4, kernel_size, padding="same").double()
    with torch.no_grad():
        theirs.weight.copy_(ours.taps.weight.view(kernel_size, 4, 5).permute(1, 2, 0))
        theirs.bias.copy_(ours.bias)

    x = torch.randn(sum(LENGTHS), 5, dtype=torch.float64)
    expected = torch.cat([theirs(part.T[None])[0].T for part in x.split(LENGTHS)])
    torch.testing.assert_close(ours(x, PACKING), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel_size", [1, 5])
def test_convolution_starts_as_conv1d_does(kernel_size: int) -> None:
    torch.manual_seed(0)
    ours = UtteranceConvolution(40, 30, kernel_size).taps.weight
    theirs = nn.Conv1d(40, 30, kernel_size).weight
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1)
    assert ours.abs().max() <= 1 / math.sqrt(40 * kernel_size)


@pytest.mark.parametrize("D", [1, 6, 7])
def test_positions_are_the_papers_sines_and_cosines(D: int) -> None:
    table = position_encoding(300, D, dtype=torch.float64)
    assert table.shape == (300, D)
    for pos in (0, 1, 17, 299):
        for channel in range(D):
            angle = pos / 10000 ** (2 * (channel // 2) / D)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            assert table[pos, channel].item() == pytest.approx(expected, abs=1e-12)


def test_far_positions_keep_their_precision_in_float32() -> None:
    far = position_encoding(100_000, 4)[-1]
    torch.testing.assert_close(far.double(), position_encoding(100_000, 4, dtype=torch.float64)[-1], rtol=0, atol=1e-7)


def make_encoder(*, position: bool = False, speakers: int = 0) -> Encoder:
    torch.manual_seed(0)
    return Encoder(5, 6, 3, position=position, speakers=speakers, dropout=0.0).double()


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(sum(LENGTHS), 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


NOBODY = torch.full((sum(LENGTHS),), -1)


def test_positions_are_added_in_one_scale_and_never_on_padding(features: torch.Tensor) -> None:
    plain = make_encoder()(features, NOBODY, PACKING)
    added = make_encoder(position=True)(features, NOBODY, PACKING) - plain
    table = position_encoding(max(LENGTHS), 6, dtype=torch.float64).expand(len(LENGTHS), -1, -1)
    scale = added[0, 0, 1] / table[0, 0, 1]
    assert scale > 0
    torch.testing.assert_close(added, scale * table * MASK[..., None], rtol=1e-9, atol=1e-12)


def test_without_positions_padding_is_zero_too(features: torch.Tensor) -> None:
    assert not make_encoder()(features, NOBODY, PACKING)[~MASK].any()


def test_each_speaker_adds_its_own_embedding_and_an_unknown_one_nothing(features: torch.Tensor) -> None:
    encoder = make_encoder(speakers=2)
    assert encoder.speakers is not None
    unknown = PACKING.pack(encoder(features, NOBODY, PACKING))
    speakers = torch.tensor([0, 1, 2, 9, -1, 0, 1, 0, 0, -1, 3, 1, 0])
    added = PACKING.pack(encoder(features, speakers, PACKING)) - unknown
    for row, speaker in zip(added, speakers.tolist(), strict=True):
        # The second of the two embeddings is shared by all that come after it.
        expected = torch.zeros(6, dtype=torch.float64) if speaker < 0 else encoder.speakers.weight[min(speaker, 1) + 1]
        torch.testing.assert_close(row, expected, rtol=1e-12, atol=1e-12)
