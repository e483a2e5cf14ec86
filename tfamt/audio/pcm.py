"""Turn decoded frames into samples of one sample rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import soxr

from tfamt.audio.files import Waveform

_SCALES = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}


class RateConverter:
    """Convert pieces of a file whose sample rate changes to one rate."""

    def __init__(self, rate: int):
        self._rate = rate
        self._stream: Any = None
        self._source = (rate, 0)

    def push(self, piece: Waveform, rate: int) -> Iterator[Waveform]:
        """Yield what is ready after a piece [samples, channels]."""
        source = (rate, piece.shape[1])
        if source != self._source:
            yield from self.flush()
            self._source = source
            if rate != self._rate:
                self._stream = soxr.ResampleStream(
                    rate, self._rate, piece.shape[1], dtype="float32", quality="HQ"
                )
        yield (
            piece
            if self._stream is None
            else self._stream.resample_chunk(piece).reshape(-1, piece.shape[1])
        )

    def flush(self) -> Iterator[Waveform]:
        """Yield what is left of the pieces of one rate."""
        if self._stream is not None:
            nothing = np.zeros((0, self._source[1]), np.float32)
            yield self._stream.resample_chunk(nothing, last=True).reshape(-1, self._source[1])
        self._stream = None


def frame_samples(frame: Any) -> Waveform:
    """Return the samples of a frame, float32 [samples, channels], integers divided by their full scale."""
    values = frame.to_ndarray()
    kind = frame.format.name.removesuffix("p")
    columns = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    floats: Waveform = columns.astype(np.float32, order="C")
    if kind == "u8":
        floats -= np.float32(128)
    if kind in _SCALES:
        floats /= np.float32(_SCALES[kind])
    return floats


def silence(seconds: float, channels: int, rate: int) -> Iterator[tuple[Waveform, int]]:
    """Yield zeros [samples, channels] and their rate, a second at most at a time."""
    left = round(seconds * rate)
    while left > 0:
        yield np.zeros((min(left, rate), channels), np.float32), rate
        left -= rate
