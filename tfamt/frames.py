"""Convert between samples, frames and seconds: the only place with this arithmetic.

Frame t is centred on sample t * hop, so it stands for the time t * hop / sample_rate. A recording of n samples
has ceil(n / hop) frames: those whose centre lies inside it. Rates are kept as exact fractions of integers;
nothing drifts, however long the recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class FrameGrid:
    """Frames every `hop` samples at `sample_rate` Hz."""

    sample_rate: int
    hop: int

    @property
    def frames_per_second(self) -> float:
        """Frame rate in Hz."""
        return self.sample_rate / self.hop

    def num_frames(self, num_samples: int) -> int:
        """Return how many frames have their centre inside `num_samples` samples."""
        return -(-num_samples // self.hop)

    def seconds(self, frame: float) -> float:
        """Return `time_of` one frame."""
        return frame * self.hop / self.sample_rate

    def time_of(self, frame: ArrayLike) -> NDArray[np.float64]:
        """Return seconds at the centre of a frame; fractions of frames are allowed."""
        return np.asarray(frame, np.float64) * self.hop / self.sample_rate

    def position_of(self, seconds: ArrayLike, start_sample: int = 0) -> NDArray[np.float64]:
        """Return frames, with their fraction, from the frame centred on `start_sample` to a time."""
        return (np.asarray(seconds, np.float64) * self.sample_rate - start_sample) / self.hop
