"""Cut a waveform that comes in blocks of any size into the windows that the network transcribes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfamt.audio.loudness import RunningLoudness
from tfamt.config import Config
from tfamt.frames import FrameGrid

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A window of a recording.

    Attributes:
      waveform: float32 [window_frames * hop], silence outside the recording.
      loudness: of the recording (`tfamt.audio.loudness.loudness`), or of the recording so far.
      first: the first frame to keep, counted from the recording's first.
      frames: the number of frames to keep, after the margin.
    """

    waveform: Array
    loudness: float
    first: int
    frames: int


class WindowCutter:
    """Take a waveform in blocks and return its windows as soon as they are complete.

    The kept parts of the windows tile the frames 0, 1, 2, ... without gap or overlap; the margins at either end of a
    window are context only. Positions depend on the two lengths alone, so results do not depend on how a recording was
    read or batched.

    Args:
      grid: sample rate and hop.
      window_frames: length of a window.
      margin_frames: context at either end of it.
      loudness: of the recording; None to use the loudness so far.
    """

    def __init__(
        self,
        grid: FrameGrid,
        window_frames: int,
        margin_frames: int,
        *,
        loudness: float | None = None,
    ):
        if not 0 <= 2 * margin_frames < window_frames:
            raise ValueError(
                f"Margins must leave part of the window. Received: {margin_frames} of {window_frames}"
            )
        self._grid = grid
        self._samples = window_frames * grid.hop
        self._kept = window_frames - 2 * margin_frames
        self._loudness = loudness
        self._running = RunningLoudness(grid.seconds(self._kept))
        self._buffer = [np.zeros(margin_frames * grid.hop, np.float32)]
        self._buffered = margin_frames * grid.hop
        self._received = 0
        self._first = 0

    def push(self, block: Array) -> list[Window]:
        """Take the samples that follow; return the windows that they complete."""
        self._buffer.append(block)
        self._buffered += len(block)
        self._received += len(block)
        windows = []
        if self._buffered >= self._samples:
            waveform = np.concatenate(self._buffer)
            begin = 0
            while len(waveform) - begin >= self._samples:
                windows.append(self._cut(waveform[begin : begin + self._samples], self._kept))
                begin += self._kept * self._grid.hop
            self._buffer, self._buffered = [waveform[begin:].copy()], len(waveform) - begin
        return windows

    def flush(self) -> Iterator[list[Window]]:
        """Yield the windows that reach beyond the end; `push` must not be called afterwards."""
        waveform = np.concatenate(self._buffer)
        while self._first < self._grid.num_frames(self._received):
            piece = waveform[: self._samples]
            left = self._grid.num_frames(self._received) - self._first
            padded = np.pad(piece, (0, self._samples - len(piece)))
            waveform = waveform[self._kept * self._grid.hop :]
            yield [self._cut(padded, min(self._kept, left))]

    def _cut(self, waveform: Array, frames: int) -> Window:
        loudness = self._loudness
        if loudness is None:
            loudness = self._running.update(waveform)
        window = Window(waveform, loudness, self._first, frames)
        self._first += frames
        return window


def window_cutter(config: Config, loudness: float | None = None) -> WindowCutter:
    """Return the cutter for one recording, of this loudness if it is known, and a model of this config."""
    inference = config.inference
    return WindowCutter(
        config.spectrogram.grid,
        inference.window_frames,
        inference.margin_frames,
        loudness=loudness,
    )
