"""Eq. 11 for long sequences: a chunked recurrence, O(L) in time and lean in memory.

The sequence is cut into chunks of c utterances. Inside a chunk the convolution is a matrix product with a
c × c Toeplitz matrix; what comes from outside the chunk goes through the states of Eq. 4: each chunk
*absorbs* its utterances into a contribution to the states, the contributions are *carried* from chunk to
chunk (forwards for κ_f, backwards for κ_b), and each chunk *emits* from the states that reach it. The
gradient with respect to x is the same computation with every matrix transposed and the directions exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from broadmamba.model.convolution import toeplitz_matrix, two_sided
from broadmamba.model.state_space import DiagonalSSM, powers

CHUNK = 64
_BLOCK_BYTES = 2 << 20


class ChunkMatrices(NamedTuple):
    """The matrices of one chunk. States are 2N real numbers a channel: direction, pair, real and imaginary.

    Attributes:
        local: `(D, c, c)`, from the utterances of a chunk to its own outputs.
        absorb: `(D, c, 2N)`, from the utterances of a chunk to its contribution to the states.
        emit: `(D, 2N, c)`, from the states that reach a chunk to its outputs.
        decay: `(D, 2, N/2, 2)`, Ā^c, by which the states shrink and turn in one chunk.
    """

    local: Tensor
    absorb: Tensor
    emit: Tensor
    decay: Tensor

    def adjoint(self) -> ChunkMatrices:
        """The matrices that carry gradients back: transposed, directions exchanged."""
        half = self.absorb.shape[2] // 2
        conjugate = self.decay.flip(1) * self.decay.new_tensor((1.0, -1.0))
        return ChunkMatrices(
            self.local.transpose(1, 2),
            self.emit.roll(half, 1).transpose(1, 2),
            self.absorb.roll(half, 2).transpose(1, 2),
            conjugate,
        )


def chunk_matrices(ssm: DiagonalSSM, chunk: int = CHUNK, dtype: torch.dtype | None = None) -> ChunkMatrices:
    """Build the matrices of one chunk from the two directions of an SSM; differentiable.

    Args:
        ssm: of two directions.
        chunk: c.
        dtype: precision to compute in, see `DiagonalSSM.kernel`; the matrices have the parameters' precision.
    """
    matrices = _chunk_matrices(ssm, chunk, dtype)
    return ChunkMatrices(*(matrix.to(ssm.skip.dtype) for matrix in matrices))


def _chunk_matrices(ssm: DiagonalSSM, chunk: int, dtype: torch.dtype | None) -> ChunkMatrices:
    rate, gain = ssm.terms(dtype)
    reach = powers(rate, torch.arange(chunk + 1, device=rate.device))  # (2, D, c + 1, N/2)
    # Forwards, place j of a chunk is c - 1 - j steps from the chunk's end and j + 1 steps from the end of the
    # one before; backwards, j steps from the chunk's start and c - j steps from the start of the one after.
    absorb = torch.stack((reach[0, :, :-1].flip(1), reach[1, :, :-1]), dim=2)  # (D, c, 2, N/2)
    leave = 2 * gain.unsqueeze(2) * reach[:, :, 1:]
    emit = torch.stack((leave[0], leave[1].flip(1)), dim=2).conj()  # Re(ab) = Re a Re b - Im a Im b
    return ChunkMatrices(
        toeplitz_matrix(two_sided(ssm.kernel(chunk, dtype), ssm.skip.to(dtype))),
        torch.view_as_real(absorb).flatten(2),
        torch.view_as_real(emit.resolve_conj()).flatten(2).transpose(1, 2),
        torch.view_as_real(reach[:, :, -1]).transpose(0, 1),
    )


class _Block(NamedTuple):
    """Some neighbouring chunks of one sequence, so few that what is computed of them stays in the cache."""

    batch: int
    first: int  # chunk
    last: int  # chunk, exclusive
    places: slice


def _blocks(x: Tensor, chunk: int) -> Iterator[_Block]:
    batch, length, channels = x.shape
    chunks = -(-length // chunk)
    size = max(1, _BLOCK_BYTES // (chunk * channels * x.element_size())) if x.device.type == "cpu" else chunks
    for number in range(batch):
        for first in range(0, chunks, size):
            last = min(first + size, chunks)
            yield _Block(number, first, last, slice(first * chunk, min(last * chunk, length)))


def _read(x: Tensor, block: _Block, chunk: int) -> Tensor:
    """A block of x `(B, L, D)` as `(D, chunks, c)`, filled up with zeros."""
    rows = x[block.batch, block.places].t()
    missing = (block.last - block.first) * chunk - rows.shape[1]
    rows = torch.nn.functional.pad(rows, (0, missing)) if missing else rows.contiguous()
    return rows.view(rows.shape[0], -1, chunk)


def _reaching(states: Tensor, block: _Block) -> Tensor:
    """The states that reach the chunks of a block, `(D, chunks, 2N)`; see `_scan` for the slots."""
    return states[block.first + 1 : block.last + 1, block.batch].transpose(0, 1)


def _carry(states: Tensor, decay: Tensor) -> None:
    """Run the recurrence over chunks in place: states[i] += Ā^c · states[i - 1], and backwards likewise."""
    whole = torch.view_as_complex(states.view(*states.shape[:2], *decay.shape))
    forwards, backwards = torch.view_as_complex(decay.contiguous()).unbind(1)
    for before, now in pairwise(whole[1:, :, :, 0].unbind(0)):
        now.addcmul_(forwards, before)
    for after, now in pairwise(reversed(whole[:-1, :, :, 1].unbind(0))):
        now.addcmul_(backwards, after)


def _scan(x: Tensor, matrices: ChunkMatrices) -> tuple[Tensor, Tensor]:
    """Apply the chunk matrices to x `(B, L, D)`.

    Returns:
        y `(B, L, D)`, and the states `(chunks + 2, B, D, 2N)`: slot i + 1 holds what reaches chunk i from
        both sides. A chunk writes its own contribution where the next one forwards (slot i + 2) and
        backwards (slot i) will find it, so that the recurrence runs in place.
    """
    local, absorb, emit, decay = matrices
    chunk, half = local.shape[1], absorb.shape[2] // 2
    states = x.new_empty(-(-x.shape[1] // chunk) + 2, x.shape[0], x.shape[2], 2 * half)
    states[1, ..., :half] = 0  # nothing comes before the first chunk
    states[-2, ..., half:] = 0  # nor after the last
    for block in _blocks(x, chunk):
        absorbed = torch.bmm(_read(x, block, chunk), absorb).transpose(0, 1)
        states[block.first + 2 : block.last + 2, block.batch, :, :half] = absorbed[..., :half]
        states[block.first : block.last, block.batch, :, half:] = absorbed[..., half:]
    _carry(states, decay)
    y = torch.empty_like(x)
    for block in _blocks(x, chunk):
        out = torch.bmm(_read(x, block, chunk), local).baddbmm_(_reaching(states, block), emit)
        places = y[block.batch, block.places]
        places.copy_(out.flatten(1)[:, : len(places)].t())
    return y, states


class _ChunkedRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *matrices: Tensor) -> Tensor:
        y, states = _scan(x, ChunkMatrices(*matrices))
        ctx.save_for_backward(x, states, *matrices)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, states, *saved = ctx.saved_tensors
        matrices = ChunkMatrices(*saved)
        grad = grad.contiguous()
        with torch.autocast(grad.device.type, enabled=False):
            grad_x, grad_states = _scan(grad, matrices.adjoint())
            if not any(ctx.needs_input_grad[1:]):
                return grad_x, None, None, None, None
            return grad_x, *_matrix_gradients(x, states, grad, grad_states, matrices)


def _matrix_gradients(
    x: Tensor, states: Tensor, grad: Tensor, grad_states: Tensor, matrices: ChunkMatrices
) -> ChunkMatrices:
    sums = ChunkMatrices(*(torch.zeros_like(m, memory_format=torch.contiguous_format) for m in matrices))
    chunk, half = matrices.local.shape[1], matrices.absorb.shape[2] // 2
    decay = torch.view_as_complex(sums.decay)
    for block in _blocks(x, chunk):
        inputs, grads = _read(x, block, chunk).transpose(1, 2), _read(grad, block, chunk)
        reaching = _reaching(states, block)
        # In the scan of gradients the directions are exchanged.
        absorbed = _reaching(grad_states, block).roll(half, 2)
        sums.local.baddbmm_(inputs, grads)
        sums.absorb.baddbmm_(inputs, absorbed)
        sums.emit.baddbmm_(reaching.transpose(1, 2), grads)
        carried = _as_pairs(reaching, matrices.decay)
        pulled = _as_pairs(absorbed, matrices.decay)
        decay += (pulled * carried.conj()).sum(1)
    return sums


def _as_pairs(states: Tensor, decay: Tensor) -> Tensor:
    """`(D, chunks, 2N)` real to `(D, chunks, 2, N/2)` complex."""
    return torch.view_as_complex(states.view(*states.shape[:2], *decay.shape[1:]))


def chunked_recurrence(x: Tensor, matrices: ChunkMatrices) -> Tensor:
    """Convolve x `(B, L, D)` as Eq. 11 by recurrence over chunks; differentiable."""
    y = _ChunkedRecurrence.apply(x.contiguous(), *matrices)  # type: ignore[no-untyped-call]
    return cast(Tensor, y)
