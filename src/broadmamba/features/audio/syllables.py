"""How fast someone speaks, from the sound alone: syllable nuclei by de Jong & Wempe (2009).

N. H. de Jong & T. Wempe, "Praat script to detect syllable nuclei and measure speech rate automatically",
Behavior Research Methods 41, 385–390. A nucleus is a voiced peak of intensity with a dip behind it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

_INTENSITY_FLOOR = 50.0
"""Lowest pitch in Hz that the intensity smooths away: frames of 16 ms over windows of 128 ms."""

_SILENCE = -25.0
"""dB below the loudest 1 % of the sound, under which a peak is none and a pause is one."""

_DIP = 2.0
"""dB that the intensity must fall behind a peak."""

_SHORTEST_PAUSE = 0.3
_SHORTEST_SOUNDING = 0.1


def articulation_rate(sound: Any) -> float:
    """Syllable nuclei a second of phonation, pauses of 0.3 s and more left out.

    Args:
        sound: a `parselmouth.Sound`.

    Returns:
        The rate, or 0 where the sound has no nucleus. The last peak of a sound is not counted, as in the
        published script, since no later peak closes its dip.

    Raises:
        parselmouth.PraatError: the sound is too short (128 ms).
    """
    from parselmouth.praat import call

    intensity = sound.to_intensity(_INTENSITY_FLOOR)
    loudest = call(intensity, "Get maximum", 0, 0, "Parabolic")
    loud = call(intensity, "Get quantile", 0, 0, 0.99)
    grid = call(
        intensity,
        "To TextGrid (silences)",
        _SILENCE - (loudest - loud),  # this command counts from the maximum, which a click can raise
        _SHORTEST_PAUSE,
        _SHORTEST_SOUNDING,
        "silent",
        "sounding",
    )
    intervals = range(1, call(grid, "Get number of intervals", 1) + 1)
    sounding = [
        (call(grid, "Get start time of interval", 1, i), call(grid, "Get end time of interval", 1, i))
        for i in intervals
        if call(grid, "Get label of interval", 1, i) == "sounding"
    ]
    if not sounding:
        return 0.0
    threshold = max(loud + _SILENCE, call(intensity, "Get minimum", 0, 0, "Parabolic"))
    pitch = sound.to_pitch_ac(0.02, 30.0, 4, False, 0.03, 0.25, 0.01, 0.35, 0.25, 450.0)
    nuclei = [
        time
        for time in _peaks_before_dips(intensity, threshold)
        if any(start <= time < end for start, end in sounding) and not np.isnan(pitch.get_value_at_time(time))
    ]
    phonation: float = sum(end - start for start, end in sounding)
    return len(nuclei) / phonation


def _peaks_before_dips(intensity: Any, threshold: float) -> list[float]:
    """Times of the peaks above the threshold from which the intensity falls by a dip before the next one."""
    from parselmouth.praat import call

    as_sound = call(call(intensity, "Down to Matrix"), "To Sound (slice)", 1)
    points = call(as_sound, "To PointProcess (extrema)", 1, "yes", "no", "Sinc70")
    times = [call(points, "Get time from index", i) for i in range(1, call(points, "Get number of points") + 1)]
    levels = {time: call(intensity, "Get value at time", time, "Cubic") for time in times}
    peaks = [time for time in times if levels[time] > threshold]
    return [
        time
        for time, following in pairwise(peaks)
        if levels[time] - call(intensity, "Get minimum", time, following, "None") > _DIP
    ]
