"""Test windows over a stream of blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tfamt.frames import FrameGrid
from tfamt.transcription.windows import Window, WindowCutter

GRID = FrameGrid(16000, 512)


def cuts_of(waveform: np.ndarray, size: int, window: int, margin: int) -> Iterator[Window]:
    cutter = WindowCutter(GRID, window, margin)
    for start in range(0, len(waveform), size):
        yield from cutter.push(waveform[start : start + size])
    for cuts in cutter.flush():
        yield from cuts


@pytest.mark.parametrize("length", [1, 511, 512, 513, 4 * 512, 6 * 512, 6 * 512 + 1, 100_000])
@pytest.mark.parametrize("size", [97, 5000, 10**6])
def test_windows_hold_what_they_should(length: int, size: int) -> None:
    waveform = np.arange(1, length + 1, dtype=np.float32)
    padded = np.pad(waveform, (2 * 512, 20 * 512))
    next_frame = 0
    for cut in cuts_of(waveform, size, 10, 2):
        assert cut.first == next_frame
        # The kept frames begin two frames into the window, which begins two frames before them.
        np.testing.assert_array_equal(
            cut.waveform, padded[cut.first * 512 : cut.first * 512 + 10 * 512]
        )
        next_frame += cut.frames
    assert next_frame == GRID.num_frames(length)


def test_the_kept_parts_tile_the_recording() -> None:
    cuts = [(cut.first, cut.frames) for cut in cuts_of(np.ones(20 * 512, np.float32), 512, 10, 2)]
    assert cuts == [(0, 6), (6, 6), (12, 6), (18, 2)]


def test_a_window_is_there_with_its_last_sample() -> None:
    cutter = WindowCutter(GRID, 10, 2)
    # The first begins with two frames of silence.
    assert cutter.push(np.ones(8 * 512 - 1, np.float32)) == []
    (cut,) = cutter.push(np.ones(1, np.float32))
    assert (cut.first, cut.frames) == (0, 6)


def test_margins_that_leave_nothing() -> None:
    with pytest.raises(ValueError, match="Received: 5 of 10"):
        WindowCutter(GRID, 10, 5)
