"""Draw a transcription: the spectrogram, and below it probabilities and notes."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfamt.errors import printable
from tfamt.notes.drawing import draw_bars
from tfamt.notes.table import HIGHEST_PITCH, LOWEST_PITCH, NUM_PITCHES, Notes
from tfamt.utils.output_paths import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float32] | NDArray[np.float64]

DPI = 100
SECONDS_PER_INCH = 25.0
WIDTH_INCHES = (12.0, 24.0)
HEIGHT_INCHES = 8.0
CLOCK_STEPS = (
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
)
FEWEST_KEYS = 30
LIKELY = 0.3
"""Keys that nowhere reach this probability and carry no note need not be shown."""


def write_png(
    notes: Notes,
    path: str | os.PathLike[str],
    *,
    spectrogram: FloatArray,
    pianoroll: FloatArray,
    frames_per_second: float,
    frames_per_column: int = 1,
    title: str = "",
    overwrite: bool = False,
) -> None:
    """Draw the spectrogram, and the piano roll's probabilities in grey with the notes over them in colour.

    Args:
      notes: what was made of the piano roll.
      path: the picture, 1200 to 2400 pixels wide.
      spectrogram: [columns, bins], values 0..1, lowest bin first.
      pianoroll: [columns, 88], probabilities.
      frames_per_second: frame rate of both; frame t is centred on t / frames_per_second.
      frames_per_column: how many frames a column stands for (see `Overview`).
      title: such as the name of the recording; taken literally.
      overwrite: whether an existing file may be replaced.

    Raises:
      InputError: the file exists or cannot be written.
      ValueError: the arrays do not belong together.
    """
    if (
        pianoroll.shape != (len(spectrogram), NUM_PITCHES)
        or spectrogram.ndim != 2
        or not spectrogram.size
    ):
        raise ValueError(
            "A picture needs [columns, bins] and [columns, 88] of the same frames. "
            f"Received: {spectrogram.shape} and {pianoroll.shape}"
        )
    figure = _draw(notes, spectrogram, pianoroll, (frames_per_second, frames_per_column), title)
    with new_file(path, overwrite=overwrite) as temporary, warnings.catch_warnings():
        # A title in a script that the font lacks shows boxes; that is no reason to disturb anyone.
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font", category=UserWarning
        )
        figure.savefig(temporary, format="png")


def _draw(
    notes: Notes,
    spectrogram: FloatArray,
    pianoroll: FloatArray,
    timing: tuple[float, int],
    title: str,
) -> Figure:

    frames_per_second, frames_per_column = timing
    frames = len(pianoroll) * frames_per_column
    seconds = frames / frames_per_second
    width = float(np.clip(seconds / SECONDS_PER_INCH, *WIDTH_INCHES))
    # A Figure of its own, not pyplot's: nothing global, no display, safe in threads.
    figure = Figure(figsize=(width, HEIGHT_INCHES), dpi=DPI, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    columns = int(0.9 * width * DPI)
    _show(upper, spectrogram, 0.0, timing, columns, "magma", None)
    _show(lower, pianoroll, float(LOWEST_PITCH), timing, columns, "Greys", 1.3)
    draw_bars(lower, notes, onset_width=min(1.2, 30.0 / seconds))
    upper.set_title(printable(title), parse_math=False, loc="left")
    upper.set_ylabel("spectrogram bin")
    lower.set_xlabel("time (min:s)")
    lower.set_xticks(_ticks(seconds), [_clock(t) for t in _ticks(seconds)])
    cs = np.arange(24, HIGHEST_PITCH + 1, 12)
    lower.set_yticks(cs, [f"C{pitch // 12 - 1}" for pitch in cs])
    # After the ticks, which would widen them.
    lower.set_xlim(-0.5 / frames_per_second, (frames - 0.5) / frames_per_second)
    lower.set_ylim(*_key_range(notes, pianoroll))
    lower.grid(axis="y", color="0.8", linewidth=0.6)
    lower.set_axisbelow(False)
    lower.set_ylabel("probability (grey), notes (colour)")
    return figure


def _show(
    axes: Axes,
    roll: FloatArray,
    lowest: float,
    timing: tuple[float, int],
    columns: int,
    colours: str,
    brightest: float | None,
) -> None:
    """Draw [columns, rows] from left to right, row 0 at height `lowest`; timing: frames per second, and per column."""
    frames_per_second, frames_per_column = timing
    pooled, step = pool(roll, columns)
    left = -0.5 / frames_per_second
    right = (len(pooled) * step * frames_per_column - 0.5) / frames_per_second
    axes.imshow(
        pooled.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=colours,
        vmin=0.0,
        vmax=brightest or 1.0,
        extent=(left, right, lowest - 0.5, lowest + roll.shape[1] - 0.5),
    )


def pool(roll: FloatArray, columns: int) -> tuple[FloatArray, int]:
    """Shorten [frames, rows] to `columns` at most by the maximum of neighbours: a short note stays as dark as it is.

    Returns:
      The shorter array, and how many frames went into each of its columns (fewer into the last).
    """
    step = -(-len(roll) // columns)
    return np.maximum.reduceat(roll, np.arange(0, len(roll), step), axis=0), step


def _key_range(notes: Notes, pianoroll: FloatArray) -> tuple[float, float]:
    """Return the keys that matter and a few around them."""
    likely = LOWEST_PITCH + np.flatnonzero((pianoroll >= LIKELY).any(axis=0))
    keys = np.concatenate([likely, notes.pitch])
    if not len(keys):
        return LOWEST_PITCH - 0.5, HIGHEST_PITCH + 0.5
    middle, reach = (keys.min() + keys.max()) / 2, (keys.max() - keys.min()) / 2
    reach = max(reach + 2, FEWEST_KEYS / 2)
    lowest = max(middle - reach, min(LOWEST_PITCH, keys.min()))
    highest = min(middle + reach, max(HIGHEST_PITCH, keys.max()))
    return lowest - 0.5, highest + 0.5


def _ticks(seconds: float) -> NDArray[np.float64]:
    """Return times to label, twelve at most, at steps of clock times."""
    step = next((s for s in CLOCK_STEPS if seconds / s <= 12), 3600.0)
    return np.arange(0.0, seconds, step)


def _clock(seconds: float) -> str:
    """Return minutes and seconds, with tenths where there are any: 1:05, 0:02.5."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    return f"{minutes}:{tenths // 10:02d}" + (f".{tenths % 10}" if tenths % 10 else "")
