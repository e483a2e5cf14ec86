"""Synthesise pianos with random properties, as SoundFonts.

Struck strings as sums of partials (Fletcher and Rossing, "The Physics of Musical Instruments", 1998, chapter 12): stiff
strings spread the partials, the place of the hammer leaves some out, its hardness decides how many there are, the
soundboard colours all, two or three strings a key beat against each other and die away at first fast, then slowly. All
of these are drawn at random within what pianos have, and somewhat beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.rendering.soundfont import Zone, write_soundfont
from tfamt.notes.table import HIGHEST_PITCH, LOWEST_PITCH

Waveform = NDArray[np.float64]

RATE = 22_050
"""Hz: above the band of a model at 16 kHz."""
KEYS_PER_SAMPLE = 3
LONGEST = 10.0
"""Seconds of a sample."""
_LAYERS = ((1, 48), (49, 84), (85, 127))
"""Velocities of the samples of one key."""
_PEAK = 0.7
_MIDDLE = 60


@dataclass(frozen=True)
class Piano:
    """What makes an instrument; functions of the key are straight lines over the MIDI pitch, from C4 on.

    Attributes:
      stiffness: logarithm of the inharmonicity at C4, and its rise per key.
      stretch: cents by which octaves are tuned wide.
      hammer: where on the string it strikes, as a share of its length.
      tilt: fall of the partials' amplitude, as a power of their number.
      cutoff: Hz above which a note on C4 of medium velocity has little energy.
      touch: how much brighter the next layer is.
      decay: logarithm of the seconds in which C4 falls by 60 dB, and its rise per key.
      damping: how much faster each further partial falls.
      second: share of the slow decay behind the fast one, and how much slower it is.
      strings: cents between the strings of a key, at the most.
      thump: level of the hammer's noise, and seconds that it takes.
      body: of the soundboard: centre (log Hz), width (octaves) and gain (dB) of each resonance [n, 3].
      uneven: dB by which partials and keys differ from the rule, standard deviation.
      release: seconds that a damped note takes to fade.
    """

    stiffness: tuple[float, float]
    stretch: float
    hammer: float
    tilt: float
    cutoff: float
    touch: float
    decay: tuple[float, float]
    damping: float
    second: tuple[float, float]
    strings: float
    thump: tuple[float, float]
    body: NDArray[np.float64]
    uneven: float
    release: float


def invent(random: np.random.Generator) -> Piano:
    """Draw a piano."""
    resonances = int(random.integers(4, 12))
    body = np.stack(
        [
            random.uniform(np.log(60.0), np.log(6000.0), resonances),
            random.uniform(0.15, 1.2, resonances),
            random.uniform(-10.0, 10.0, resonances),
        ],
        axis=1,
    )
    return Piano(
        stiffness=(random.uniform(-8.5, -7.0), random.uniform(0.05, 0.09)),
        stretch=random.uniform(0.0, 4.0),
        hammer=1.0 / random.uniform(6.5, 12.0),
        tilt=random.uniform(0.4, 1.6),
        cutoff=float(np.exp(random.uniform(np.log(900.0), np.log(4000.0)))),
        touch=random.uniform(1.2, 2.0),
        decay=(float(np.log(random.uniform(4.0, 14.0))), random.uniform(-0.055, -0.03)),
        damping=random.uniform(0.05, 0.35),
        second=(random.uniform(0.05, 0.5), random.uniform(2.0, 6.0)),
        strings=random.uniform(0.1, 2.5),
        thump=(10.0 ** (random.uniform(-40.0, -18.0) / 20.0), random.uniform(0.01, 0.06)),
        body=body,
        uneven=random.uniform(1.0, 5.0),
        release=float(np.exp(random.uniform(np.log(0.06), np.log(0.5)))),
    )


def strike(piano: Piano, pitch: int, layer: int, random: np.random.Generator) -> Waveform:
    """Synthesise one key, at `RATE`, as loud as its partials make it.

    Args:
      piano: the instrument.
      pitch: MIDI pitch of the key.
      layer: 0 for soft, 1 for medium, 2 for loud notes.
      random: for what differs from key to key.
    """
    key = pitch - _MIDDLE
    cents = piano.stretch * key / 12.0
    fundamental = 440.0 * 2.0 ** ((pitch - 69 + cents / 100.0) / 12.0)
    number = np.arange(1, 1 + max(1, int(0.45 * RATE / fundamental)))[:60].astype(float)
    stiffness = np.exp(piano.stiffness[0] + piano.stiffness[1] * key)
    frequency = number * fundamental * np.sqrt(1.0 + stiffness * number**2)
    number, frequency = number[frequency < 0.45 * RATE], frequency[frequency < 0.45 * RATE]
    # The heavier the string, the softer its hammer for it; treble hammers are hard.
    cutoff = piano.cutoff * piano.touch ** (layer - 1) * 2.0 ** (key / 24.0)
    level = number**-piano.tilt * np.exp(-frequency / cutoff)
    level *= 0.1 + np.abs(np.sin(np.pi * number * piano.hammer))
    octaves = (np.log(frequency)[:, None] - piano.body[:, 0]) / np.log(2.0) / piano.body[:, 1]
    colour = (piano.body[:, 2] * np.exp(-0.5 * octaves**2)).sum(axis=1)
    level *= 10.0 ** ((colour + random.normal(0.0, piano.uneven, len(number))) / 20.0)
    seconds = np.exp(piano.decay[0] + piano.decay[1] * key)
    rate = np.log(1000.0) / seconds * (1.0 + piano.damping * (number - 1.0))
    rate *= np.exp(random.normal(0.0, 0.2, len(number)))
    time = np.arange(round(RATE * min(max(seconds, 0.8), LONGEST))) / RATE
    wave = np.zeros(len(time))
    strings = 1 if pitch < 34 else 2 if pitch < 46 else 3
    for f, amplitude, fall in zip(frequency, level, rate, strict=True):
        share, slower = piano.second
        envelope = (1.0 - share) * np.exp(-fall * time) + share * np.exp(-fall / slower * time)
        for _ in range(strings):
            tuned = f * 2.0 ** (random.uniform(-0.5, 0.5) * piano.strings / 1200.0)
            phase = 2.0 * np.pi * random.random()
            wave += amplitude / strings * envelope * np.sin(2.0 * np.pi * tuned * time + phase)
    wave += _thump(piano, len(time), random) * np.abs(wave).max()
    rise = round(RATE * 0.001 * 2.0 ** (-key / 24.0))
    wave[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    fade = round(RATE * 0.05)
    wave[-fade:] *= np.linspace(1.0, 0.0, fade)
    return wave


def write_piano(path: Path, seed: int) -> None:
    """Write a synthetic piano as a SoundFont; the same for the same seed.

    Raises:
      InputError: the file cannot be written.
    """
    random = np.random.default_rng(seed)
    piano = invent(random)
    zones = []
    for first in range(LOWEST_PITCH, HIGHEST_PITCH + 1, KEYS_PER_SAMPLE):
        last = min(first + KEYS_PER_SAMPLE - 1, HIGHEST_PITCH)
        root = (first + last) // 2
        # Layers of a key are alike but for their brightness; how loud they are is left to the synthesiser.
        own = int(random.integers(2**31))
        loudness = _PEAK * 10.0 ** (-abs(random.normal(0.0, piano.uneven / 2.0)) / 20.0)
        for layer, velocities in enumerate(_LAYERS):
            wave = strike(piano, root, layer, np.random.default_rng(own))
            samples = np.round(wave * loudness / np.abs(wave).max() * 2.0**15).astype(np.int16)
            zones.append(Zone(samples, root, (first, last), velocities))
    write_soundfont(path, f"piano {seed}", zones, rate=RATE, release=piano.release)


def _thump(piano: Piano, samples: int, random: np.random.Generator) -> Waveform:
    """Return the hammer's blow: dark noise that ends soon."""
    level, seconds = piano.thump
    noise = random.normal(size=samples)
    dark: Waveform = np.convolve(noise, np.hanning(24) / np.hanning(24).sum(), "same")
    blow: Waveform = level * 3.0 * dark * np.exp(-np.arange(samples) / RATE / seconds)
    return blow
