"""Compute the micro-average precision of piano rolls, in memory that does not grow with their length.

The figure that papers on MusicNet report (Thickstun, Harchaoui and Kakade, "Learning Features of Music from Scratch",
2017): all pairs of frame and pitch in one list, sorted by probability; the sum over thresholds of
(R_n - R_(n-1)) P_n, as scikit-learn's `average_precision_score` defines it, without interpolation. Probabilities are
counted in `LEVELS` equal steps, so figures of pieces can be pooled exactly; probabilities that fall into one step rank
alike (a difference below 1e-4 in the tests).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 1 << 16


@dataclass(frozen=True, eq=False)
class PrecisionCounts:
    """How many pairs of frame and pitch have each probability.

    Attributes:
      sounding: int64 [LEVELS], of those that sound in the reference.
      silent: int64 [LEVELS], of the others.
    """

    sounding: NDArray[np.int64]
    silent: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        reference: NDArray[np.float32] | NDArray[np.bool_],
        probability: NDArray[np.float32] | NDArray[np.float64],
    ) -> PrecisionCounts:
        """Count a roll.

        Args:
          reference: [frames, pitches], above 0 where a pitch sounds.
          probability: [frames, pitches], 0..1.
        """
        scaled = np.clip(np.asarray(probability, np.float64), 0.0, 1.0) * (LEVELS - 1)
        level = np.rint(scaled).astype(np.int64)
        sounds = reference > 0
        return cls(
            np.bincount(level[sounds], minlength=LEVELS),
            np.bincount(level[~sounds], minlength=LEVELS),
        )

    def __add__(self, other: PrecisionCounts) -> PrecisionCounts:
        return PrecisionCounts(self.sounding + other.sounding, self.silent + other.silent)

    @property
    def average_precision(self) -> float:
        """0..1; 1 if nothing sounds in the reference, since then there is nothing to rank."""
        total = int(self.sounding.sum())
        if not total:
            return 1.0
        hits = np.cumsum(self.sounding[::-1])
        found = hits + np.cumsum(self.silent[::-1])
        precision = hits / np.maximum(found, 1)
        return float((precision * self.sounding[::-1]).sum() / total)
