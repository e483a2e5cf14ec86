"""Mix the channels of a recording to one."""

from __future__ import annotations

import numpy as np

from tfamt.audio.files import Waveform
from tfamt.errors import InputError

CANCELLED_ENERGY = 0.01
"""Energy of the average of two channels, as a fraction of theirs, below which they cancel each other."""
DECISION_SECONDS = 60.0
"""Part of a recording after which no more is decided about its channels."""


class Mixer:
    """Mix channels that come in chunks: the same samples for any sizes of chunks.

    The average, or half the difference of two channels as long as they cancel each other, as they do where one was
    wired with the wrong polarity.

    Args:
      sample_rate: Hz.
      name: of the recording, in messages.
    """

    def __init__(self, sample_rate: int, name: str):
        self._rate = sample_rate
        self._name = name
        self._position = 0
        self._energy = np.zeros(2)  # So far: of the average, and of both channels.
        self._cancels = False

    def push(self, chunk: Waveform) -> Waveform:
        """Return one channel [samples] of a chunk [samples, channels].

        Raises:
          InputError: a sample is not a finite number; the message names the file and the time.
        """
        # Two steps, so that a sum of huge values cannot overflow to infinity.
        # A signalling NaN is reported below, like any other.
        with np.errstate(invalid="ignore"):
            mono: Waveform = (chunk / np.float32(chunk.shape[1])).sum(axis=1, dtype=np.float32)
        finite = np.isfinite(mono)
        if not finite.all():
            first = int(np.argmin(finite))
            raise InputError(
                "holds samples that are not finite numbers (NaN or infinite), the first at "
                f"{(self._position + first) / self._rate:.3f} s",
                path=self._name,
                fix="Export it again, or replace those samples.",
            )
        if chunk.shape[1] == 2:
            mono = self._without_cancelling(chunk, mono)
        self._position += len(chunk)
        return mono

    def _without_cancelling(self, chunk: Waveform, average: Waveform) -> Waveform:
        difference = (chunk[:, 0] - chunk[:, 1]) / np.float32(2)
        undecided = len(chunk)
        if self._energy[1]:
            left = round(DECISION_SECONDS * self._rate) - self._position
            undecided = min(max(0, left), undecided)
        cancels = np.full(len(chunk), self._cancels)
        if undecided:
            # The mean square of both channels is that of their average and that of half their difference together.
            squares = np.stack([average, difference])[:, :undecided].astype(np.float64) ** 2
            squares[1] += squares[0]
            # One sum from the first sample on, so that it does not depend on the sizes of chunks.
            sums = np.cumsum(np.concatenate([self._energy[:, None], squares], axis=1), axis=1)
            self._energy = sums[:, -1]
            cancels[:undecided] = sums[0, 1:] < CANCELLED_ENERGY * sums[1, 1:]
            self._cancels = bool(cancels[undecided - 1])
            cancels[undecided:] = self._cancels
        mixed: Waveform = np.where(cancels, difference, average)
        return mixed
