"""Measure how grid-like a feature map is: periodicity along time and frequency, by autocorrelation.

Definition, for a map F of T frames and B bins, along time (along frequency, with the axes exchanged):

1. Every bin's mean over time is taken off, so that constant values have no influence.
2. r(l) = C(l) / C(0), where C(l) is the mean of F(t, b) F(t + l, b) over all bins and the T - l frames that there are.
3. The periodicity is half of how far r rises after it has fallen: max over l of (r(l) - least r before l), for lags up
   to half the axis, divided by 2. The period is the first peak of r that rises at least `PEAK` times as far.

It lies near 1 for a strictly periodic pattern (r runs from 1 to -1 and back to 1), near 0 for noise (r falls to 0 at
once and stays there), and is 0 for what is constant along the axis. `grid` is the geometric mean of both axes: stripes,
however regular, give 0. Cheuk et al. (ICPR 2020) speak of grid-like structures without a measure; this one is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32] | NDArray[np.float64]
PEAK = 0.9
_FLAT = 1e-9
"""Variance below which an axis counts as constant."""


@dataclass(frozen=True)
class Periodicity:
    """Figures of merit of a map.

    Attributes:
      time: periodicity along time, 0..1.
      time_period: its period in frames, 0 if there is none.
      frequency: periodicity along frequency, 0..1.
      frequency_period: its period in bins, 0 if there is none.
    """

    time: float
    time_period: int
    frequency: float
    frequency_period: int

    @property
    def grid(self) -> float:
        """Periodicity along both axes at once, 0..1."""
        return float(np.sqrt(self.time * self.frequency))


def periodicity(feature_map: FloatArray) -> Periodicity:
    """Return the figures of a map [frames, bins]."""
    values = np.asarray(feature_map, np.float64)
    time, time_period = _rise(autocorrelation(values))
    frequency, frequency_period = _rise(autocorrelation(values.T))
    return Periodicity(time, time_period, frequency, frequency_period)


def autocorrelation(values: FloatArray) -> NDArray[np.float64]:
    """Return r(0), r(1), ... along the first axis, up to half of it; empty if all is constant along it."""
    centred = values - values.mean(axis=0, keepdims=True)
    length = len(centred)
    if float((centred**2).mean()) < _FLAT:
        return np.empty(0)
    # Zeros behind the signal keep the far end from wrapping round.
    spectrum = np.fft.rfft(centred, 2 * length, axis=0)
    sums = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1), 2 * length)[: length // 2 + 1]
    means = sums / (length - np.arange(len(sums)))
    correlation: NDArray[np.float64] = means / means[0]
    return correlation


def _rise(correlation: NDArray[np.float64]) -> tuple[float, int]:
    """Return the largest rise after a fall, halved, and where it ends."""
    if len(correlation) < 3:
        return 0.0, 0
    rise = correlation - np.minimum.accumulate(correlation)
    largest = float(rise.max())
    if largest <= 0:
        return 0.0, 0
    next_ = np.append(rise[1:], -np.inf)
    peaks = np.flatnonzero((rise >= PEAK * largest) & (rise >= next_))
    return min(largest / 2.0, 1.0), int(peaks[0])
