"""What all audio extractors share: the samples of each span in, one row out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.features.extractor import Span
from broadmamba.media.recording import Recording


@dataclass(frozen=True, slots=True)
class AudioExtractor:
    """Measures the samples of each span on their own.

    Attributes:
        spec: of the feature that it makes.
        measure: from mono samples at 16 kHz, `(samples,)`, at least one and not all equal, to a row `(width,)`.
        notice: one sentence that users must see about the licence of what measures; empty where there is none.
    """

    spec: FeatureSpec
    measure: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    notice: str = ""

    def extract(self, recording: Recording, spans: Sequence[Span]) -> Iterator[NDArray[np.float32]]:
        """Rows of the spans, one by one; a span in which nothing is to be heard gives NaN throughout.

        Args:
            recording: open.
            spans: in seconds.

        Yields:
            `(width,)` for each span in order.

        Raises:
            InputError: the recording cannot be decoded.
        """
        for start, end in spans:
            samples = recording.audio(start, end)
            if np.all(samples == samples[:1]):  # true of no samples at all, too
                yield np.full(self.spec.width, np.nan, dtype=np.float32)
            else:
                yield self.measure(samples)
