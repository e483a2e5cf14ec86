"""Collect the columns of a picture of a recording, in memory that does not grow with its length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
MAX_COLUMNS = 8192
"""Several times what the widest picture has pixels."""


class Overview:
    """Collects frames in pieces and keeps `MAX_COLUMNS` columns at most: each the maximum of 1, 2, 4, ... frames.

    A short event keeps its brightness. The lengths of the pieces change nothing.

    Attributes:
      frames_per_column: how many frames went into each column; fewer into the last.
    """

    def __init__(self) -> None:
        self.frames_per_column = 1
        self._frames = 0
        self._columns: list[Array] = []

    @property
    def spectrogram(self) -> Array:
        """Float32 [columns, bins]."""
        return self._whole(0)

    @property
    def pianoroll(self) -> Array:
        """Float32 [columns, 88]."""
        return self._whole(1)

    def add(self, spectrogram: Array, pianoroll: Array) -> None:
        """Add the frames that follow, [frames, bins] and [frames, 88], values from 0 on."""
        rolls = (spectrogram, pianoroll)
        if not self._columns:
            self._columns = [np.zeros((MAX_COLUMNS, roll.shape[1]), np.float32) for roll in rolls]
        end = self._frames + len(pianoroll)
        while end > MAX_COLUMNS * self.frames_per_column:
            self._columns = [_halved(columns) for columns in self._columns]
            self.frames_per_column *= 2
        column = np.arange(self._frames, end) // self.frames_per_column
        numbers, starts = np.unique(column, return_index=True)
        for columns, roll in zip(self._columns, rolls, strict=True):
            pooled = np.maximum.reduceat(roll, starts, axis=0)
            columns[numbers] = np.maximum(columns[numbers], pooled)
        self._frames = end

    def _whole(self, number: int) -> Array:
        return self._columns[number][: -(-self._frames // self.frames_per_column)]


def _halved(columns: Array) -> Array:
    pairs = columns.reshape(-1, 2, columns.shape[1]).max(axis=1)
    return np.concatenate([pairs, np.zeros_like(pairs)])
