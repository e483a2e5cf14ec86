"""Test the pooling of frames for pictures."""

from __future__ import annotations

import numpy as np
import pytest

from tfamt.plots.overview import MAX_COLUMNS, Overview


@pytest.mark.parametrize(
    ("frames", "per_column"),
    [(1, 1), (MAX_COLUMNS, 1), (MAX_COLUMNS + 1, 2), (3 * MAX_COLUMNS + 5, 4)],
)
@pytest.mark.parametrize("block", [1000, 10**6])
def test_columns_are_maxima_of_frames(frames: int, per_column: int, block: int) -> None:
    rng = np.random.default_rng(frames)
    spectrogram = rng.random((frames, 3), np.float32)
    pianoroll = rng.random((frames, 2), np.float32)
    overview = Overview()
    for start in range(0, frames, block):
        overview.add(spectrogram[start : start + block], pianoroll[start : start + block])
    assert overview.frames_per_column == per_column
    for ours, roll in ((overview.spectrogram, spectrogram), (overview.pianoroll, pianoroll)):
        expected = [roll[t : t + per_column].max(axis=0) for t in range(0, frames, per_column)]
        np.testing.assert_array_equal(ours, expected)
