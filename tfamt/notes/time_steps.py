"""Place notes on a grid of equal steps of time: ticks of MIDI, frames of a piano roll."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfamt.notes.table import Notes


def separate_notes(notes: Notes, steps_per_second: float) -> NDArray[np.int64]:
    """Return rows (begin, end, pitch, velocity) in steps, int64 [m, 4], no two of a pitch sounding together.

    Times go to the nearest step. Every note lasts a step at least and ends where its pitch is struck again. Of several
    that begin in one step, one stays, with the highest velocity and the latest end.
    """
    begin = np.round(notes.onset * steps_per_second).astype(np.int64)
    end = np.maximum(np.round(notes.offset * steps_per_second).astype(np.int64), begin + 1)
    order = np.lexsort((begin, notes.pitch))
    begin, end = begin[order], end[order]
    pitch, velocity = notes.pitch[order], notes.velocity[order]
    new = (np.diff(begin, prepend=-1) != 0) | (np.diff(pitch, prepend=-1) != 0)
    first = np.flatnonzero(new)
    begin, pitch = begin[first], pitch[first]
    end, velocity = np.maximum.reduceat(end, first), np.maximum.reduceat(velocity, first)
    again = np.flatnonzero(pitch[1:] == pitch[:-1])
    end[again] = np.minimum(end[again], begin[again + 1])
    return np.stack([begin, end, pitch, velocity], axis=1)
