"""A waveform that comes in blocks of any size, cut into the windows that the network sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfamt.config import Config
from tfamt.frames import FrameGrid
from tfamt.level import Leveller

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Cut:
    """A window of a recording.

    Attributes:
      waveform: float32 [window_frames * hop], with silence where it reaches beyond the recording.
      first: the first frame that is kept of it, counted from the recording's first.
      frames: how many frames are kept, those behind the margin.
    """

    waveform: Array
    first: int
    frames: int


class WindowCutter:
    """Takes a waveform in blocks and gives its windows as soon as they are complete.

    The kept parts of the windows tile the frames 0, 1, 2, ... without gap or overlap; what lies at either end of a
    window only gives context. Positions depend on nothing but the two lengths, so the result of a recording does not
    depend on how it was read or batched.

    Args:
      grid: sample rate and hop.
      window_frames: length of a window.
      margin_frames: context at either end of it.
      levelled: whether windows are brought to the recording's loudness (`tfamt.level`).
      level: that loudness, if it is known; otherwise the loudness so far counts.
    """

    def __init__(
        self,
        grid: FrameGrid,
        window_frames: int,
        margin_frames: int,
        *,
        levelled: bool = False,
        level: float | None = None,
    ):
        if not 0 <= 2 * margin_frames < window_frames:
            raise ValueError(
                f"Margins must leave something of the window. Received: {margin_frames} of {window_frames}"
            )
        self._grid = grid
        self._samples = window_frames * grid.hop
        self._kept = window_frames - 2 * margin_frames
        seconds = grid.seconds(self._kept)
        self._leveller = Leveller(seconds, level) if levelled else None
        self._buffer = [np.zeros(margin_frames * grid.hop, np.float32)]
        self._buffered = margin_frames * grid.hop
        self._received = 0
        self._first = 0

    def push(self, block: Array) -> list[Cut]:
        """Takes the samples that follow; returns the windows that they complete."""
        self._buffer.append(block)
        self._buffered += len(block)
        self._received += len(block)
        cuts = []
        if self._buffered >= self._samples:
            waveform = np.concatenate(self._buffer)
            begin = 0
            while len(waveform) - begin >= self._samples:
                cuts.append(self._cut(waveform[begin : begin + self._samples], self._kept))
                begin += self._kept * self._grid.hop
            self._buffer, self._buffered = [waveform[begin:].copy()], len(waveform) - begin
        return cuts

    def rest(self) -> Iterator[list[Cut]]:
        """The windows that reach beyond the end; nothing may be pushed after that."""
        waveform = np.concatenate(self._buffer)
        while self._first < self._grid.num_frames(self._received):
            piece = waveform[: self._samples]
            left = self._grid.num_frames(self._received) - self._first
            padded = np.pad(piece, (0, self._samples - len(piece)))
            waveform = waveform[self._kept * self._grid.hop :]
            yield [self._cut(padded, min(self._kept, left))]

    def _cut(self, waveform: Array, frames: int) -> Cut:
        if self._leveller:
            waveform = self._leveller.level(waveform)
        cut = Cut(waveform, self._first, frames)
        self._first += frames
        return cut


def window_cutter(config: Config, level: float | None = None) -> WindowCutter:
    """What cuts a recording of this loudness (`WindowCutter`) into the windows that a model hears."""
    spectrogram, inference = config.spectrogram, config.inference
    return WindowCutter(
        FrameGrid(spectrogram.sample_rate, spectrogram.hop),
        inference.window_frames,
        inference.margin_frames,
        levelled=spectrogram.normalizes_loudness,
        level=level,
    )
