"""Synthesise notes, to listen to a transcription.

A plain additive tone with the features by which a struck string is known: partials stretched by stiffness, weaker
where the hammer strikes their node, dying sooner the higher they are, and a damper at the end of the note. It needs
no SoundFont and sounds the same on every machine.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
from collections.abc import Iterator

import numpy as np
import soundfile
from numpy.typing import NDArray

from tfamt.notes.table import Notes, midi_to_hz
from tfamt.utils.output_paths import new_file

SAMPLE_RATE = 22_050
SOFTWARE = "tfamt"
"""Of the program, in the header of a file."""
BLOCK_SECONDS = 10.0
MAX_PARTIALS = 24
HAMMER_POSITION = 1 / 8
"""Where the hammer strikes, as a part of the string's length: partial 8 has its node there."""
ATTACK_SECONDS = 0.003
RELEASE_SECONDS = 0.15
"""How long a damper takes to bring a string to rest, 60 dB down."""
GAIN = 0.25


def write_wav(
    notes: Notes,
    path: str | os.PathLike[str],
    *,
    duration: float | None = None,
    overwrite: bool = False,
) -> None:
    """Write the notes as 16-bit mono wav at 22,050 Hz, in memory that does not grow with their number of hours.

    Args:
      notes: what to play.
      path: the file.
      duration: length in seconds, that of the recording, say; default: until the last note has faded.
      overwrite: whether an existing file may be replaced.

    Raises:
      InputError: the file exists or cannot be written.
    """
    with (
        new_file(path, overwrite=overwrite) as temporary,
        # A descriptor, because soundfile cannot encode every name.
        temporary.open("r+b", buffering=0) as content,
        _system_errors(content),
        soundfile.SoundFile(
            content.fileno(),
            "w",
            SAMPLE_RATE,
            channels=1,
            subtype="PCM_16",
            format="WAV",
            closefd=False,
        ) as file,
    ):
        file.software = SOFTWARE
        for block in synthesise(notes, duration=duration):
            file.write(block)


@contextlib.contextmanager
def _system_errors(file: io.FileIO) -> Iterator[None]:
    """Raise OSError, such as for a full disk, where libsndfile says "System error": writing again shows which."""
    try:
        yield
    except soundfile.LibsndfileError:
        file.seek(0, os.SEEK_END)
        file.write(bytes(2**16))
        raise


def is_synthesised(path: str | os.PathLike[str]) -> bool:
    """Return whether a file states that `write_wav` made it."""
    try:
        with open(path, "rb") as content, soundfile.SoundFile(content) as file:
            return str(file.software).startswith(SOFTWARE)
    except (OSError, soundfile.LibsndfileError):
        return False


def synthesise(
    notes: Notes, *, duration: float | None = None, block_seconds: float = BLOCK_SECONDS
) -> Iterator[NDArray[np.float32]]:
    """Synthesise notes block by block.

    Args:
      notes: what to play.
      duration: as in `write_wav`.
      block_seconds: length of a block; the sound does not depend on it.

    Yields:
      float32 [samples] within -1..1 at 22,050 Hz.
    """
    first = np.round(notes.onset * SAMPLE_RATE).astype(np.int64)
    damped = np.round(notes.offset * SAMPLE_RATE).astype(np.int64)
    last = damped + round(RELEASE_SECONDS * SAMPLE_RATE)
    gain = GAIN * (notes.velocity / 127.0) ** 1.5
    end = int(last.max(initial=0)) if duration is None else round(duration * SAMPLE_RATE)
    size = round(block_seconds * SAMPLE_RATE)
    for start in range(0, end, size):
        block = np.zeros(min(size, end - start), np.float32)
        for n in np.flatnonzero((first < start + len(block)) & (last > start)):
            tone = _tone(int(notes.pitch[n]))
            begin, stop = max(int(first[n]), start), min(int(last[n]), start + len(block))
            stop = min(stop, int(first[n]) + len(tone))
            if begin < stop:
                played = tone[begin - first[n] : stop - first[n]]
                damper = _damper(np.arange(begin, stop) - damped[n])
                block[begin - start : stop - start] += np.float32(gain[n]) * played * damper
        # However many notes sound together, nothing clips; a few alone pass all but unchanged.
        yield np.tanh(block)


def _damper(samples_after_release: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return gain 1 until the release, then 60 dB less every RELEASE_SECONDS."""
    seconds = np.maximum(samples_after_release, 0).astype(np.float32) / SAMPLE_RATE
    decay: NDArray[np.float32] = np.exp(-np.log(1e3) / RELEASE_SECONDS * seconds).astype(np.float32)
    return decay


@functools.cache
def _tone(pitch: int) -> NDArray[np.float32]:
    """Return the sound of a string struck once, float32 [samples], peak 1; at most 128 are cached.

    Partial k of a stiff string has the frequency k f sqrt(1 + B k^2) (Fletcher, Blackham and Stratton, "Quality of
    Piano Tones", 1962).
    """
    fundamental = midi_to_hz(pitch)
    stiffness = 1e-4 * 2.0 ** ((pitch - 48) / 12)
    number = np.arange(1, MAX_PARTIALS + 1)
    frequency = number * fundamental * np.sqrt(1 + stiffness * number**2)
    audible = frequency < 0.45 * SAMPLE_RATE
    number, frequency = number[audible], frequency[audible]
    # Ten seconds to die away in the bass, half a second at the top.
    ring = float(np.interp(pitch, [21, 108], [10.0, 0.5]))
    time = np.arange(round(ring * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.zeros_like(time)
    for k, f in zip(number.tolist(), frequency.tolist(), strict=True):
        strength = abs(np.sin(np.pi * k * HAMMER_POSITION)) / k**1.2
        rate = np.log(1e3) / ring * (1 + 0.3 * (k - 1))
        tone += strength * _partial(f, rate, len(tone))
    tone *= np.minimum(time / ATTACK_SECONDS, 1.0)
    # Its last tenth fades out, so that a string that rings to the end does not break off with a click.
    tone *= np.minimum((ring - time) / (0.1 * ring), 1.0)
    # The highest MIDI pitches have no partial that this rate can hold: silence, not 0 / 0.
    peak = float(np.abs(tone).max())
    return (tone / (peak or 1.0)).astype(np.float32)


def _partial(frequency: float, rate: float, samples: int) -> NDArray[np.float64]:
    """Return exp(-rate t) sin(2 pi frequency t).

    The imaginary part of a power: as the products of its coarse steps and its fine ones it takes some 2 sqrt(samples)
    exponentials, not `samples`.
    """
    width = math.isqrt(samples) + 1
    turn = complex(-rate, 2 * np.pi * frequency) / SAMPLE_RATE
    fine = np.exp(turn * np.arange(width))
    coarse = np.exp(turn * np.arange(0, samples, width))[:, None]
    product: NDArray[np.float64] = coarse.real * fine.imag + coarse.imag * fine.real
    return product.ravel()[:samples]
