"""Mix the channels of a recording to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfamt.audio.files import Waveform
from tfamt.errors import InputError

CANCELLED_ENERGY = 0.01
"""Energy of the average of two channels, as a fraction of theirs, below which they cancel each other."""
EVIDENCE_SECONDS = 0.02
"""Part of a recording, from its first sound on, by which it is first decided whether its channels cancel each other."""
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
        self._position = 0  # Of the samples received.
        self._mixed = 0  # Of the samples returned.
        # Average and half difference, [2, samples], of the first sound, until there is enough of it to decide.
        self._held: Waveform = np.zeros((2, 0), np.float32)
        self._is_decided = False
        self._energy = np.zeros(2)  # So far: of the average, and of both channels.
        self._cancels = False

    def push(self, chunk: Waveform) -> Waveform:
        """Return one channel [samples] of a chunk [samples, channels].

        Of two channels the first `EVIDENCE_SECONDS` of sound are returned when they are complete.

        Raises:
          InputError: a sample is not a finite number; the message names the file and the time.
        """
        # Two steps, so that a sum of huge values cannot overflow to infinity.
        # A signalling NaN is reported below, like any other.
        with np.errstate(invalid="ignore"):
            mono: Waveform = (chunk / np.float32(chunk.shape[1])).sum(axis=1, dtype=np.float32)
        self._check_finite(mono)
        self._position += len(chunk)
        if chunk.shape[1] != 2:
            return mono
        difference = (chunk[:, 0] - chunk[:, 1]) / np.float32(2)
        pair = np.concatenate([self._held, np.stack([mono, difference])], axis=1)
        return self._mix(pair, is_last=False)

    def flush(self) -> Waveform:
        """Return the samples that are left at the end of the recording, [samples]."""
        return self._mix(self._held, is_last=True)

    def _check_finite(self, mono: Waveform) -> None:
        finite = np.isfinite(mono)
        if not finite.all():
            first = int(np.argmin(finite))
            raise InputError(
                "holds samples that are not finite numbers (NaN or infinite), the first at "
                f"{(self._position + first) / self._rate:.3f} s",
                path=self._name,
                fix="Export it again, or replace those samples.",
            )

    def _mix(self, pair: Waveform, *, is_last: bool) -> Waveform:
        """Return the mix of average and half difference, [2, samples], as far as it is decided; hold the rest."""
        evidence = 0
        if not self._is_decided:
            sounding = pair.any(axis=0)
            silent = int(np.argmax(sounding)) if sounding.any() else pair.shape[1]
            evidence = silent + round(EVIDENCE_SECONDS * self._rate)
            self._is_decided = is_last or evidence <= pair.shape[1]
            if not self._is_decided:
                self._held = pair[:, silent:]
                self._mixed += silent
                return pair[0, :silent]
        self._held = pair[:, :0]
        cancels = self._cancelled(pair, evidence)
        self._mixed += pair.shape[1]
        return np.where(cancels, pair[1], pair[0])

    def _cancelled(self, pair: Waveform, evidence: int) -> NDArray[np.bool_]:
        """Return after which samples of average and half difference, [2, samples], the channels cancel each other.

        The first sound, up to the sample `evidence`, is mixed in one way, since a sample alone shows nothing about its
        channels.
        """
        cancels = np.full(pair.shape[1], self._cancels)
        left = round(DECISION_SECONDS * self._rate) - self._mixed
        undecided = min(max(evidence, left), pair.shape[1])
        if undecided:
            # The mean square of both channels is that of their average and that of half their difference together.
            squares = pair[:, :undecided].astype(np.float64) ** 2
            squares[1] += squares[0]
            # One sum from the first sample on, so that it does not depend on the sizes of chunks.
            sums = np.cumsum(np.concatenate([self._energy[:, None], squares], axis=1), axis=1)
            self._energy = sums[:, -1]
            cancels[:undecided] = sums[0, 1:] < CANCELLED_ENERGY * sums[1, 1:]
            self._cancels = bool(cancels[undecided - 1])
            cancels[undecided:] = self._cancels
        first = cancels[:evidence]
        first[:] = first[-1:]
        return cancels
