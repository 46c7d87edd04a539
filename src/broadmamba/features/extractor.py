"""What every extractor of audio or video features is: a spec, and one row for each span of a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.media.recording import Recording

Span = tuple[float, float | None]
"""Start and end in seconds from the start of the recording; no end means until the recording's."""


class MediaExtractor(Protocol):
    """Makes one row of numbers of each span of a recording."""

    @property
    def spec(self) -> FeatureSpec:
        """Of the feature that it makes."""

    def extract(self, recording: Recording, spans: Sequence[Span]) -> Iterator[NDArray[np.float32]]:
        """Rows of the spans, one by one.

        Args:
            recording: open; it is read with flat memory.
            spans: with ascending starts; they may overlap.

        Yields:
            `(width,)` for each span in order; NaN throughout where the span has nothing to see or to hear.

        Raises:
            InputError: the recording cannot be decoded.
        """
