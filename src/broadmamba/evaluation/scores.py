"""What a model says of utterances, whatever it runs on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.evaluation.calibration import scale


@dataclass(frozen=True)
class Scores:
    """Predictions for `U` utterances.

    Attributes:
        probabilities: `(U, C)`.
        modality_weights: `(U, M)`.
        present: `(U, M)` bool, which modalities were given.
    """

    probabilities: NDArray[np.float32]
    modality_weights: NDArray[np.float32]
    present: NDArray[np.bool_]

    def calibrated(self, temperature: float, model: str) -> Scores:
        """The same at another temperature.

        Args:
            temperature: see `calibration.scale`.
            model: its name, for the message.

        Raises:
            InputError: the model gives non-finite values.
        """
        finite = np.isfinite(np.concatenate([self.probabilities, self.modality_weights], axis=1))
        whole = np.asarray(finite.all(axis=1))
        if not whole.all():
            raise InputError(
                f"the model {model} gives non-finite values for {int((~whole).sum())} of {len(whole)} utterances: "
                "its weights are too large, or the features are"
            )
        return replace(self, probabilities=scale(self.probabilities, temperature))
