"""Plan which windows of which recordings training uses, in what order: a pure function of the seed.

A grid of windows with a random phase is laid over every recording, once per epoch, so that every second of every
recording is as likely to be seen as any other, and all of them are shuffled. A run resumes anywhere by asking for the
plan from that window on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.input.pitch_shift import PitchShift, ratio_of


@dataclass(frozen=True)
class WindowSpec:
    """A window to cut: `start` is its first sample in the recording and may be negative.

    It is played higher by `semitones`, which its labels follow, and by `cents`, which they do not.
    """

    recording: int
    start: int
    seed: int
    semitones: int = 0
    cents: float = 0.0

    @property
    def ratio(self) -> float:
        """Return how much faster than the recording it is played."""
        return ratio_of(self.semitones, self.cents)


def training_plan(
    totals: Sequence[int],
    window_samples: int,
    seed: int,
    first: int = 0,
    shift: PitchShift | None = None,
    group: int = 1,
) -> Iterator[WindowSpec]:
    """Yield windows without end, from number `first` on; the same for the same arguments.

    Args:
      totals: length of each recording in samples.
      window_samples: length of a window.
      seed: of all that is random.
      first: how many windows of the plan to pass over.
      shift: how far the pitch of windows may be moved.
      group: so many windows in a row are of one recording and have one seed; where a recording's number of windows is
        no multiple of it, some of them come twice.
    """
    skip = first
    for epoch in itertools.count():
        shuffled = _epoch(
            np.asarray(totals), window_samples, np.random.default_rng((seed, epoch)), shift
        )
        columns = _in_groups(shuffled, group)
        for values in zip(*(column[skip:] for column in columns), strict=True):
            yield WindowSpec(*(value.item() for value in values))
        skip = max(skip - len(columns[0]), 0)


def _epoch(
    totals: NDArray[np.int64],
    window_samples: int,
    random: np.random.Generator,
    shift: PitchShift | None,
) -> tuple[NDArray[Any], ...]:
    """Return shuffled grids of windows with a random phase: the fields of `WindowSpec` as columns."""
    # The grid's first window begins before the recording, so that its first second is no rarer than others; earlier
    # still where windows may be played faster and so reach further.
    before = math.ceil(shift.largest_ratio) if shift else 1
    starts = random.integers(1, window_samples + 1, len(totals)) - before * window_samples
    counts = -(-(totals - starts) // window_samples)
    recordings = np.repeat(np.arange(len(totals)), counts)
    tiles = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    windows = starts[recordings] + tiles * window_samples
    order = random.permutation(len(windows))
    seeds = random.integers(0, 2**31, len(windows))
    shuffled = recordings[order], windows[order], seeds[order]
    if shift is None:
        return shuffled
    semitones, cents = shift.draw(random, len(windows))
    # What ends before the recording begins would be silence.
    inside = shuffled[1] + window_samples * 2.0 ** (semitones / 12 + cents / 1200) > 0
    return tuple(column[inside] for column in (*shuffled, semitones, cents))


def _in_groups(columns: tuple[NDArray[Any], ...], group: int) -> tuple[NDArray[Any], ...]:
    """Reorder shuffled windows into groups of one recording and one seed, each at the place of its first window."""
    recordings = columns[0]
    by_recording = np.argsort(recordings, kind="stable")
    groups = []
    for windows in np.split(by_recording, np.flatnonzero(np.diff(recordings[by_recording])) + 1):
        complete = -(-len(windows) // group) * group
        groups.append(np.resize(windows, complete).reshape(-1, group))
    chosen = np.concatenate(groups)
    chosen = chosen[np.argsort(chosen[:, 0], kind="stable")]
    number, start, seed, *moved = (column[chosen] for column in columns)
    seed = np.repeat(seed[:, :1], group, axis=1)
    return tuple(column.reshape(-1) for column in (number, start, seed, *moved))
