"""Samples, frames and seconds: the only place with this arithmetic.

Frame t is centred on sample t * hop, so it stands for the time t * hop / sample_rate. A recording of n samples
has ceil(n / hop) frames: those whose centre lies inside it. Rates are kept as exact fractions of integers;
nothing drifts, however long the recording.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        """How many frames have their centre inside `num_samples` samples."""
        return -(-num_samples // self.hop)

    def time_of(self, frame: ArrayLike) -> NDArray[np.float64]:
        """Seconds at the centre of a frame; fractions of frames are allowed."""
        return np.asarray(frame, np.float64) * self.hop / self.sample_rate

    def position_of(self, seconds: ArrayLike, start_sample: int = 0) -> NDArray[np.float64]:
        """Frames, with their fraction, from the frame centred on `start_sample` to a time."""
        return (np.asarray(seconds, np.float64) * self.sample_rate - start_sample) / self.hop


@dataclass(frozen=True)
class Window:
    """A stretch of frames that the network sees, and the part of it that is kept.

    Attributes:
      start: its first frame, counted from the recording's first; negative where it begins before that.
      frames: its length.
      keep_from: first kept frame, counted from `start`.
      keep_to: end of the kept frames, counted from `start`.
    """

    start: int
    frames: int
    keep_from: int
    keep_to: int


def windows(window_frames: int, margin_frames: int) -> Iterator[Window]:
    """Windows without end whose kept parts tile the frames 0, 1, 2, ... without gap or overlap.

    Each window gives `margin_frames` at either end only as context. Positions depend on nothing but these two
    numbers, so the result of a recording does not depend on how it was read or batched.
    """
    kept = window_frames - 2 * margin_frames
    if margin_frames < 0 or kept <= 0:
        raise ValueError(
            f"Margins must leave something of the window. Received: {margin_frames} of {window_frames}"
        )
    start = -margin_frames
    while True:
        yield Window(start, window_frames, margin_frames, margin_frames + kept)
        start += kept
