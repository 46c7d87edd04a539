"""How long one layer takes, forward and backward, on one core: BiSSM (Eq. 11) against what it could replace.

    python benchmarks/bissm.py              # L = 64 ... 131072, a few minutes
    python benchmarks/bissm.py --million    # and a million utterances

All layers of one length take turns, so that a busy machine is busy for all of them; only ratios mean something.
Time is CPU time of the one thread, the median of the repeats. Peak memory is what one forward and backward add to
the high-water mark of a process of their own. Every layer reads and writes (B, L, D) in float32. LSTM and GRU have D
hidden units a direction (`nn.LSTM(D, D)`), LSTM/2 and GRU/2 half of that, which makes their output as wide as the
others'. S4D is the plain form: complex powers for every lag and state, and one FFT convolution a direction.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from broadmamba.model.bidirectional import BiSSM

D = 128
CASES = [(64, 16, 64), (128, 16, 64), (512, 16, 64), (2048, 16, 64), (8192, 2, 64), (131072, 1, 16)]  # L, B, N
MILLION = (1_000_000, 1, 16)


class PlainS4D(nn.Module):
    """Bidirectional S4D as it is usually written, for comparison."""

    def __init__(self, d_state: int) -> None:
        super().__init__()
        pairs = d_state // 2
        self.log_step = nn.Parameter(torch.linspace(math.log(1e-3), math.log(1e-1), D).repeat(2, 1))
        self.log_decay = nn.Parameter(torch.full((2, D, pairs), math.log(0.5)))
        self.frequency = nn.Parameter((math.pi * torch.arange(pairs)).repeat(2, D, 1))
        self.output = nn.Parameter(torch.randn(2, D, pairs, dtype=torch.cfloat))
        self.skip = nn.Parameter(torch.ones(D))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, L, D)` to `(B, L, D)`."""
        length = x.shape[1]
        A = torch.complex(-self.log_decay.exp(), self.frequency)
        rate = A * self.log_step.exp().unsqueeze(-1)
        lags = torch.arange(length)
        gain = self.output * (rate.exp() - 1) / A
        kernels = 2 * torch.einsum("rdp,rdpl->rdl", gain, torch.exp(rate.unsqueeze(-1) * lags)).real
        u = x.transpose(1, 2)
        y = _fft_convolve(u, kernels[0]) + _fft_convolve(u.flip(-1), kernels[1]).flip(-1)
        return (y + u * self.skip.unsqueeze(-1)).transpose(1, 2)


def _fft_convolve(u: Tensor, kernel: Tensor) -> Tensor:
    size = 2 * u.shape[-1]
    product = torch.fft.rfft(u, n=size) * torch.fft.rfft(kernel, n=size)
    return torch.fft.irfft(product, n=size)[..., : u.shape[-1]]


class Attention(nn.Module):
    """Multi-head self-attention with its projections."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(D, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, L, D)` to `(B, L, D)`."""
        y: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return y


class Recurrent(nn.Module):
    """A bidirectional LSTM or GRU without its final state."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], hidden: int) -> None:
        super().__init__()
        self.layer = kind(D, hidden, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, L, D)` to `(B, L, 2 hidden)`."""
        y: Tensor = self.layer(x)[0]
        return y


# Name -> how to make the layer for a state size, and the longest sequence at which it is worth the wait.
LAYERS: dict[str, tuple[Callable[[int], nn.Module], int]] = {
    "BiSSM": (lambda d_state: BiSSM(D, d_state), MILLION[0]),
    "S4D": (PlainS4D, 8192),
    "GRU": (lambda d_state: Recurrent(nn.GRU, D), 2048),
    "GRU/2": (lambda d_state: Recurrent(nn.GRU, D // 2), 8192),
    "attention": (lambda d_state: Attention(), 8192),
    "LSTM": (lambda d_state: Recurrent(nn.LSTM, D), 131072),
    "LSTM/2": (lambda d_state: Recurrent(nn.LSTM, D // 2), 131072),
}


class Run:
    """One layer at one length."""

    def __init__(self, name: str, length: int, batch: int, d_state: int) -> None:
        torch.manual_seed(0)
        self.layer = LAYERS[name][0](d_state)
        self.x = torch.randn(batch, length, D, requires_grad=True)
        with torch.no_grad():
            self.grad = torch.randn_like(self.layer(self.x[:, :2])[:, :1]).expand(-1, length, -1).contiguous()

    def __call__(self) -> float:
        """Forward and backward; milliseconds."""
        self.layer.zero_grad()
        self.x.grad = None
        start = time.process_time()
        self.layer(self.x).backward(self.grad)
        return 1e3 * (time.process_time() - start)


def time_case(length: int, batch: int, d_state: int, repeats: int) -> dict[str, float]:
    runs = {n: Run(n, length, batch, d_state) for n, (_, longest) in LAYERS.items() if length <= longest}
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(run())
    return {name: statistics.median(values) for name, values in times.items()}


def peak_mebibytes(name: str, case: tuple[int, int, int]) -> float:
    """Measured in a process of its own, since a high-water mark never falls."""
    command = [sys.executable, __file__, "--peak", name, *map(str, case)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_own_peak(name: str, length: int, batch: int, d_state: int) -> None:
    run = Run(name, length, batch, d_state)
    before = _high_water_mark()
    run()
    print(_high_water_mark() - before)


def _high_water_mark() -> float:
    """MiB, from Linux's /proc: `ru_maxrss` would start at the parent's mark."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def print_case(case: tuple[int, int, int], repeats: int, memory: bool) -> float:
    length, batch, d_state = case
    times = time_case(*case, repeats)
    print(f"\nL = {length}, B = {batch}, D = {D}, N = {d_state}")
    for name, value in times.items():
        ratio = value / times["BiSSM"]
        peak = f"{peak_mebibytes(name, case):8.0f} MiB" if memory else ""
        print(f"  {name:10s} {value:10.1f} ms {ratio:8.2f} x {peak}", flush=True)
    return times["BiSSM"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", help="only these lengths of the table")
    parser.add_argument("--repeats", type=int, default=9, help="rounds; a third of it above L = 2048")
    parser.add_argument("--million", action="store_true", help="a million utterances too")
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak:
        name, *case = arguments.peak
        print_own_peak(name, *map(int, case))
        return
    spent: dict[int, float] = {}
    cases = [case for case in CASES if not arguments.lengths or case[0] in arguments.lengths]
    for case in cases + [MILLION] * arguments.million:
        repeats = arguments.repeats if case[0] <= 2048 else max(1, arguments.repeats // 3)
        spent[case[0]] = print_case(case, repeats, not arguments.no_memory)
    if arguments.million and 131072 in spent:
        print(f"\na million utterances cost {spent[MILLION[0]] / spent[131072]:.1f} x L = 131072")


if __name__ == "__main__":
    main()
