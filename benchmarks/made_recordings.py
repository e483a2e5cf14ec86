"""Make recordings for benchmarks: simple tones with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfamt.notes.sonify import SAMPLE_RATE, synthesise
from tfamt.notes.table import Notes
from tfamt.notes.tables import write_csv

_PHRASE_SECONDS = 20.0


def phrase() -> Notes:
    """Return 20 seconds of random notes, 8 a second; always the same."""
    random = np.random.default_rng(0)
    onset = np.sort(random.uniform(0.0, _PHRASE_SECONDS - 1.0, 160))
    return Notes(
        onset,
        onset + random.uniform(0.1, 1.0, 160),
        random.integers(30, 100, 160),
        random.integers(30, 120, 160),
    )


def make_recordings(folder: Path, count: int, seconds: float, rate: int, channels: int) -> None:
    """Write `count` 16-bit wav files of that length in seconds, each with a .csv of its notes, into folder/train."""
    import soundfile

    place = folder / "train"
    place.mkdir(parents=True)
    notes = phrase()
    sound = _sound(notes, rate)
    repeats = int(np.ceil(seconds / _PHRASE_SECONDS))
    times = np.arange(repeats)[:, None] * _PHRASE_SECONDS
    whole = Notes(
        (notes.onset + times).ravel(),
        (notes.offset + times).ravel(),
        np.tile(notes.pitch, repeats),
        np.tile(notes.velocity, repeats),
    )
    whole = whole.select(whole.offset <= seconds)
    for number in range(count):
        with soundfile.SoundFile(
            str(place / f"piece{number:05d}.wav"), "w", rate, channels, "PCM_16"
        ) as file:
            left = round(seconds * rate)
            while left:
                block = np.repeat(sound[:left, None], channels, axis=1)
                file.write(block)
                left -= len(block)
        write_csv(whole, place / f"piece{number:05d}.csv")


def _sound(notes: Notes, rate: int) -> NDArray[np.float32]:
    import soxr

    blocks = np.concatenate(list(synthesise(notes, duration=_PHRASE_SECONDS)))
    resampled: NDArray[np.float32] = soxr.resample(blocks.astype(np.float32), SAMPLE_RATE, rate)
    return resampled
