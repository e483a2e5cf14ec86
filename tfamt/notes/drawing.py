"""Draw notes into axes of matplotlib.

`tfamt.plots` draws whole pictures. The bars of notes are drawn here, below it, since `Notes.plot` needs them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfamt.notes.table import Notes
from tfamt.utils.optional_packages import import_package

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR_HEIGHT = 0.6
"""Of a key's height: above and below a note's bar what lies behind it stays visible."""
PITCH_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_PURPOSE = "Notes.plot"


def plot_notes(notes: Notes, ax: Axes | None = None) -> Axes:
    """Draw notes as bars over time in seconds and pitch, coloured by velocity, with a line at each onset.

    Args:
      notes: the notes.
      ax: axes of matplotlib; default: those of a new figure of pyplot.

    Returns:
      The axes. They have no way back to notes.

    Raises:
      InputError: matplotlib is not installed.
    """
    if ax is None:
        pyplot = import_package("matplotlib.pyplot", _PURPOSE)
        _, ax = pyplot.subplots(figsize=(12, 4), layout="constrained")
    draw_bars(ax, notes, onset_width=min(1.2, 30.0 / max(notes.end, 1.0)))
    ticker = import_package("matplotlib.ticker", _PURPOSE)
    # Every C, and in a range of two octaves or less a few between.
    narrow = len(notes) and np.ptp(notes.pitch) <= 24
    ax.yaxis.set_major_locator(ticker.MultipleLocator(3 if narrow else 12))
    ax.yaxis.set_major_formatter(lambda pitch, _: pitch_name(round(pitch)))
    ax.grid(axis="y", color="0.8", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("pitch")
    return ax


def draw_bars(axes: Axes, notes: Notes, onset_width: float) -> None:
    """Add the bars of notes and a scale of velocities, and a line of that width in points at each onset."""
    half = BAR_HEIGHT / 2
    left, right = notes.onset, notes.offset
    bottom, top = notes.pitch - half, notes.pitch + half
    corners = np.stack(
        [
            np.stack(corner, axis=1)
            for corner in ((left, bottom), (left, top), (right, top), (right, bottom))
        ],
        axis=1,
    )
    # The thin outline keeps a note visible that is narrower than a pixel.
    bars = import_package("matplotlib.collections", _PURPOSE).PolyCollection(
        corners,
        array=notes.velocity,
        cmap="viridis",
        clim=(1, 127),
        edgecolors="face",
        linewidths=0.5,
        alpha=0.8,
    )
    axes.add_collection(bars)
    # A line at the onset separates notes of one key without a gap; it gets thinner as notes get closer.
    axes.vlines(left, bottom, top, colors="black", linewidth=onset_width)
    axes.autoscale_view()
    axes.figure.colorbar(bars, ax=axes, label="velocity", fraction=0.02, pad=0.01)


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI note number, such as C4 for 60."""
    return f"{PITCH_NAMES[pitch % 12]}{pitch // 12 - 1}"
