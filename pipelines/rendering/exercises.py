"""Make what recordings of music lack: exercises over all keys, and sounds without a piano.

Music has few of the lowest and highest notes, few repeated ones, few dense chords, and no silence: a model
that was trained on music alone is at a loss there (`bin/benchmark conditions` measures it).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from pipelines.rendering.fluidsynth import SAMPLE_RATE
from pipelines.rendering.performances import Performance, performance_of
from tfamt.audio.effects import noise_source
from tfamt.notes.table import HIGHEST_PITCH, LOWEST_PITCH, NUM_PITCHES, Notes, Row

Waveform = NDArray[np.float32]

SECONDS = 90.0
"""Length of an exercise, and of a sound without music, about."""
_PART_SECONDS = (4.0, 10.0)
_PEDAL_SHARE = 0.4


def exercise(seed: int) -> Performance:
    """Return some 90 s in parts of 4 to 10 s: rows of notes, repeated keys, chords, long notes.

    Keys, speed, touch and pedal are drawn evenly rather than as in music.
    """
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    pedal: list[tuple[float, float]] = []
    begin = 0.5
    while begin < SECONDS:
        end = begin + random.uniform(*_PART_SECONDS)
        part = _PARTS[random.integers(len(_PARTS))]
        loudness = random.uniform(20, 110)
        for onset, length, pitch in part(random, end - begin):
            velocity = int(np.clip(round(random.normal(loudness, 12)), 1, 127))
            rows.append((begin + onset, begin + onset + length, int(pitch), velocity))
        if random.random() < _PEDAL_SHARE:
            pedal += _pedalling(random, begin, end)
        begin = end + random.uniform(0.1, 1.0)
    return performance_of(Notes.from_rows(rows), np.array(pedal).reshape(-1, 2))


def sound_without_music(seed: int) -> Waveform:
    """Return some 90 s of silence, noise of any colour, hum, clicks or whistling, float32 [samples] at 16 kHz."""
    random = np.random.default_rng(seed)
    parts = []
    length = 0
    while length < SECONDS * SAMPLE_RATE:
        samples = round(SAMPLE_RATE * random.uniform(*_PART_SECONDS))
        make = _SOUNDS[random.integers(len(_SOUNDS))]
        sound = make(random, samples)
        peak = max(float(np.abs(sound).max()), 1e-9)
        parts.append(10 ** (random.uniform(-60, -3) / 20) / peak * sound)
        length += samples
    whole: Waveform = np.concatenate(parts).astype(np.float32)
    return whole


_Strokes = list[tuple[float, float, float]]
"""(onset, length, pitch) of each, seconds."""


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _row(random: np.random.Generator, seconds: float) -> _Strokes:
    """Return one note after the other, by steps or leaps of a size, turning back at either end of the keyboard."""
    spacing = _log_uniform(random, 0.06, 0.6)
    count = max(1, int(seconds / spacing))
    reach = int(random.integers(1, 8))
    steps = (
        random.integers(-reach, reach + 1, count) if random.random() < 0.6 else np.full(count, 1)
    )
    place = random.integers(NUM_PITCHES) + np.cumsum(steps)
    # Reflected: up to the highest key and down again.
    place = np.abs((place + NUM_PITCHES - 1) % (2 * NUM_PITCHES - 2) - (NUM_PITCHES - 1))
    length = spacing * random.uniform(0.3, 2.0)
    return [(n * spacing, length, LOWEST_PITCH + key) for n, key in enumerate(place)]


def _repeated(random: np.random.Generator, seconds: float) -> _Strokes:
    """Return one or two keys, repeated."""
    spacing = _log_uniform(random, 0.07, 0.4)
    first = random.integers(LOWEST_PITCH, HIGHEST_PITCH + 1, 2)
    keys = first[: random.integers(1, 3)]
    length = spacing * len(keys) * random.uniform(0.3, 0.95)
    return [(n * spacing, length, keys[n % len(keys)]) for n in range(int(seconds / spacing))]


def _chords(random: np.random.Generator, seconds: float) -> _Strokes:
    """Return two to ten notes at a time, not quite together, within a span of one to five octaves."""
    spacing = random.uniform(0.2, 1.5)
    span = int(random.integers(12, 61))
    lowest = random.integers(LOWEST_PITCH, HIGHEST_PITCH - span + 1)
    onsets = []
    for number in range(max(1, int(seconds / spacing))):
        keys = random.choice(span + 1, random.integers(2, 11), replace=False)
        length = spacing * random.uniform(0.3, 1.0)
        late = random.uniform(0.0, 0.02, len(keys))
        onsets += [
            (number * spacing + delay, length, lowest + key)
            for delay, key in zip(late, keys, strict=True)
        ]
    return onsets


def _long(random: np.random.Generator, seconds: float) -> _Strokes:
    """Return few notes that are held for seconds."""
    return [
        (onset, random.uniform(1.0, 5.0), random.integers(LOWEST_PITCH, HIGHEST_PITCH + 1))
        for onset in np.sort(random.uniform(0.0, seconds, random.integers(2, 9)))
    ]


_PARTS: tuple[Callable[[np.random.Generator, float], _Strokes], ...] = (
    _row,
    _row,
    _repeated,
    _chords,
    _long,
)


def _pedalling(random: np.random.Generator, begin: float, end: float) -> list[tuple[float, float]]:
    """Return a pedal held for intervals of about one length, released for a moment in between."""
    spell = _log_uniform(random, 0.5, 10.0)
    changes = []
    while begin < end:
        changes += [(begin, 127.0), (min(begin + spell, end), 0.0)]
        begin += spell + 0.1
    return changes


def _silence(random: np.random.Generator, samples: int) -> NDArray[np.float64]:
    return np.zeros(samples)


def _noise(random: np.random.Generator, samples: int) -> NDArray[np.float64]:
    """Return white or pink noise through a band, swelling and fading."""
    colour = ("white", "pink")[random.integers(2)]
    sound = noise_source(colour, int(random.integers(2**31)))(samples).astype(np.float64)
    low, high = np.sort(np.exp(random.uniform(np.log(30), np.log(7800), 2)))
    if random.random() < 0.6:
        band = signal.butter(2, [low, high * 1.02], "bandpass", fs=SAMPLE_RATE, output="sos")
        sound = signal.sosfilt(band, sound)
    swell = np.interp(np.arange(samples), np.linspace(0, samples, 6), random.uniform(0.1, 1.0, 6))
    shaped: NDArray[np.float64] = sound * swell
    return shaped


def _hum(random: np.random.Generator, samples: int) -> NDArray[np.float64]:
    """Return mains hum with harmonics: a steady tone that recordings often hold."""
    time = np.arange(samples) / SAMPLE_RATE
    mains = (50.0, 60.0)[random.integers(2)] * (1 + random.normal(0, 1e-3))
    sound = 0.01 * random.standard_normal(samples)
    for n in range(1, 9):
        sound += random.random() / n * np.sin(2 * np.pi * n * mains * time + random.uniform(0, 6))
    return sound


def _clicks(random: np.random.Generator, samples: int) -> NDArray[np.float64]:
    """Return knocks and crackle: bursts of noise of 1 to 50 ms."""
    sound = np.zeros(samples)
    for place in random.integers(0, samples, random.integers(3, 60)):
        decay = _log_uniform(random, 0.001, 0.05) * SAMPLE_RATE
        time = np.arange(int(5 * decay) + 1)
        burst = random.standard_normal(len(time)) * np.exp(-time / decay)
        piece = sound[place : place + len(burst)]
        piece += random.random() * burst[: len(piece)]
    return sound


def _whistle(random: np.random.Generator, samples: int) -> NDArray[np.float64]:
    """Return a tone that glides up and down by octaves, which no key does."""
    points = np.exp(random.uniform(np.log(150), np.log(3000), 12))
    hertz = np.interp(np.arange(samples), np.linspace(0, samples, 12), points)
    tone: NDArray[np.float64] = np.sin(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE)
    return tone + 0.01 * random.standard_normal(samples)


_SOUNDS: tuple[Callable[[np.random.Generator, int], NDArray[np.float64]], ...] = (
    _silence,
    _noise,
    _noise,
    _hum,
    _clicks,
    _whistle,
)
