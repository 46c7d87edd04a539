"""An encoder in two halves: the lower layers are frozen and run once, the upper ones learn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from broadmamba.errors import InputError


def upper_layers(encoder: Any, count: int) -> list[str]:
    """Beginnings of the names of the `count` upper layers, or of all if there are not so many.

    Raises:
        InputError: the encoder is not built like BERT, so that its layers cannot be told apart.
    """
    layers = getattr(getattr(encoder, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList) or not hasattr(encoder, "embeddings"):
        raise InputError(
            f"{type(encoder).__name__} cannot be fine-tuned: expected an encoder of BERT's build, "
            "with embeddings and encoder.layer"
        )
    return [f"encoder.layer.{i}." for i in range(max(0, len(layers) - count), len(layers))]


class SplitEncoder(nn.Module):
    """Runs the lower and the upper layers of an encoder of the BERT family apart.

    Args:
        encoder: of transformers; its layers are moved out of it.
        upper: how many layers make up the upper half; the embeddings belong to the lower one.
    """

    def __init__(self, encoder: Any, upper: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.width: int = encoder.config.hidden_size
        layers = encoder.encoder.layer
        cut = len(layers) - upper
        self._lower, self._upper = nn.ModuleList(layers[:cut]), nn.ModuleList(layers[cut:])
        self._embeddings, self._given = encoder.embeddings, _Given()

    @torch.no_grad()
    def lower(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and their mask (B, T) to the states that the upper half begins with (B, T, width)."""
        self.encoder.eval()
        self.encoder.embeddings, self.encoder.encoder.layer = self._embeddings, self._lower
        states: Tensor = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States of the lower half (B, T, width) to those of the last layer."""
        self.encoder.train(self.training)
        self.encoder.embeddings, self.encoder.encoder.layer = self._given, self._upper
        last: Tensor = self.encoder(inputs_embeds=states, attention_mask=mask.long()).last_hidden_state
        return last


class _Given(nn.Module):
    """Stands where the embeddings were: the upper half is given its states."""

    def forward(self, *, inputs_embeds: Tensor, **_: object) -> Tensor:
        return inputs_embeds
