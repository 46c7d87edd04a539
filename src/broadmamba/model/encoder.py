"""Section 4.1, 1D-Conv: from features to `D` channels, with positions (Eq. 9–10), and with speakers as an option."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.model.packing import Packing


def position_encoding(
    L: int, D: int, *, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Tensor:
    """Sine and cosine positions (Eq. 10), `(L, D)`; `i` runs to D/2 − 1."""
    pos = torch.arange(L, dtype=torch.float64, device=device)[:, None]
    rate = torch.exp(-math.log(10000.0) * torch.arange(0, D, 2, dtype=torch.float64, device=device) / D)
    angles = pos * rate
    table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return table[:, :D].to(dtype)


class UtteranceConvolution(nn.Module):
    """1-D convolution over the utterances of a conversation (Eq. 9), with `same` padding.

    It equals `nn.Conv1d(d_in, D, kernel_size, padding="same")`. Written as one matrix product of the packed
    utterances followed by shifts of its `kernel_size` results, which are far narrower than the features.

    Args:
        d_in: width of the features.
        D: channels out.
        kernel_size: utterances that one output sees; odd.
    """

    def __init__(self, d_in: int, D: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.taps = nn.Linear(d_in, kernel_size * D, bias=False)
        self.bias = nn.Parameter(torch.zeros(D))
        nn.init.uniform_(self.taps.weight, -1 / math.sqrt(kernel_size * d_in), 1 / math.sqrt(kernel_size * d_in))

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """`(T, d_in)` → `(T, D)`."""
        taps: Tensor = self.taps(x)
        if self.kernel_size == 1:
            return taps + self.bias
        reach = self.kernel_size // 2
        padded = packing.pad(taps)
        L = padded.shape[1]
        shifted = F.pad(padded, (0, 0, reach, reach)).reshape(len(padded), L + 2 * reach, self.kernel_size, -1)
        return packing.pack(sum((shifted[:, j : j + L, j] for j in range(self.kernel_size)), start=self.bias))


class Encoder(nn.Module):
    """Features of one modality → `D` channels that know their position: ξ̂ = Conv1D(ξ) + PE/√D (Eq. 9–10).

    Args:
        d_in: width of the features.
        D: channels out.
        kernel_size: of the convolution; odd.
        position: whether positions are added (False is the paper's ablation "w/o PE").
        speakers: how many speakers have an embedding of their own, which is added; 0 for none (as in the paper).
            Speakers are numbered by first appearance; further ones share the last.
        dropout: of the features and of the result.
    """

    def __init__(self, d_in: int, D: int, kernel_size: int, *, position: bool, speakers: int, dropout: float) -> None:
        super().__init__()
        self.convolution = UtteranceConvolution(d_in, D, kernel_size)
        self.position = position
        self.speakers = nn.Embedding(speakers + 1, D, padding_idx=0) if speakers else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, speakers: Tensor, packing: Packing) -> Tensor:
        """Encode the utterances of a batch.

        Args:
            x: `(T, d_in)` packed features.
            speakers: `(T,)` packed speaker numbers, -1 where unknown.
            packing: which places of the batch are utterances.

        Returns:
            ξ̂ `(B, L, D)`, padded; what stands on padding is zero.
        """
        xi = self.convolution(self.dropout(x), packing)
        if self.speakers is not None:
            xi = xi + self.speakers((speakers + 1).clamp(max=self.speakers.num_embeddings - 1))
        padded = packing.pad(self.dropout(xi))
        if self.position:
            L, D = padded.shape[1:]
            table = position_encoding(L, D, dtype=padded.dtype, device=padded.device)
            # Over √D: in the Transformer, from which Eq. 10 is, embeddings are multiplied by √D before positions are
            # added. Unscaled, positions are far larger than what was said, and training fails to look past them.
            padded = padded + table / math.sqrt(D) * packing.mask[..., None]
        return padded
