"""Test the conversion between samples, frames and seconds."""

from __future__ import annotations

import pytest

from tfamt.frames import FrameGrid

GRID = FrameGrid(16000, 512)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (1, 1), (512, 1), (513, 2), (51200, 100), (51201, 101)]
)
def test_number_of_frames(samples: int, frames: int) -> None:
    assert GRID.num_frames(samples) == frames


def test_rate_and_times() -> None:
    assert GRID.frames_per_second == 31.25
    # Three hours: 337,500 frames, exactly.
    assert float(GRID.time_of(337_500)) == 10_800.0
    assert float(GRID.position_of(10_800.0)) == 337_500.0
    assert float(GRID.position_of(1.0, start_sample=8000)) == 15.625


def test_rate_that_is_no_whole_number_does_not_drift() -> None:
    grid = FrameGrid(22050, 256)  # 86.1328125 frames per second
    frames = grid.num_frames(22050 * 3600)
    assert frames == 310_079
    assert abs(float(grid.time_of(frames - 1)) - 3600.0) < 256 / 22050
