"""A layer of a text encoder of BERT's build, with or without what was learnt on top of it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.features.text.lora import LowRank


class Block(nn.Module):
    """A layer of an encoder of BERT's build, made of the layer of transformers.

    y = LN(x + O·attention(Q x, K x, V x)), z = LN(y + D·f(U y)).

    Args:
        layer: of BERT, RoBERTa or MPNet.
        heads: of its attention.
    """

    def __init__(self, layer: Any, heads: int) -> None:
        super().__init__()
        attention, self.heads = layer.attention, heads
        if hasattr(attention, "attn"):  # MPNet
            own = attention.attn
            self.query, self.key, self.value, self.mix, self.norm = own.q, own.k, own.v, own.o, attention.LayerNorm
        else:
            own, out = getattr(attention, "self"), attention.output  # noqa: B009
            self.query, self.key, self.value, self.mix, self.norm = (
                own.query,
                own.key,
                own.value,
                out.dense,
                out.LayerNorm,
            )
        self.up, self.act = layer.intermediate.dense, layer.intermediate.intermediate_act_fn
        self.down, self.end = layer.output.dense, layer.output.LayerNorm

    def forward(self, x: Tensor, bias: Tensor | None, plain: bool = False) -> Tensor:
        """One layer.

        Args:
            x: `(T, n, W)`.
            bias: see `PassageEncoder._bias`, `(T or 1, heads or 1, n or 1, n)`.
            plain: without what was learnt.
        """

        def through(layer: nn.Module, x: Tensor) -> Tensor:
            y: Tensor = (layer.layer if plain and isinstance(layer, LowRank) else layer)(x)
            return y

        q, k, v = (
            through(layer, x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
        y = self.norm(x + through(self.mix, mixed))
        z: Tensor = self.end(y + through(self.down, self.act(through(self.up, y))))
        return z
