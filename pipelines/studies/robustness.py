"""Make unusual sounds, with the notes that a transcription of them should hold, for the model card.

Silence and noise, which hold no notes; recordings changed the way that instruments, microphones and files
change them; passages that are hard to predict, played by a synthesiser; other instruments. All audio is 16 kHz mono.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import soundfile
import soxr
from numpy.typing import ArrayLike, NDArray
from scipy import signal

from pipelines.input.pitch_shift import ratio_of
from pipelines.rendering.fluidsynth import SAMPLE_RATE, synthesise
from pipelines.rendering.performances import Performance, performance_of
from tfamt.audio import reading as audio
from tfamt.audio.effects import noise_source
from tfamt.notes.table import HIGHEST_PITCH, LOWEST_PITCH, Notes

Waveform = NDArray[np.float32]

NOISE_DB = -30.0
"""Level of the noises, root mean square, in dB of full scale."""
CLIPPED_DB = 12.0
"""By how much the peak of a clipped recording would exceed full scale."""
SOFT_DB = -40.0
MP3_KBIT = 64
INSTRUMENTS = {"piano": 0, "organ": 19, "guitar": 24, "violin": 40}
"""General MIDI programs (counted from 0): acoustic grand, church organ, nylon guitar, violin."""
_REPEATED = (60, 72, 48, 84)
_MP3_RATE = 44_100
_NO_PEDAL = np.zeros((0, 2))


@dataclass(frozen=True)
class Example:
    """A sound, and the notes that it holds.

    Attributes:
      waveform: float32 [samples] at 16 kHz.
      notes: all of its notes; none where there is no music.
    """

    waveform: Waveform
    notes: Notes


def without_music(seconds: float, seed: int = 0) -> dict[str, Example]:
    """Return silence and noises of a length, by name."""
    samples = round(seconds * SAMPLE_RATE)
    noises = {
        f"{colour} noise": 10 ** (NOISE_DB / 20) * noise_source(colour, seed)(samples)
        for colour in ("white", "pink")
    }
    sounds = {"silence": np.zeros(samples, np.float32), **noises}
    return {name: Example(waveform, Notes.empty()) for name, waveform in sounds.items()}


def changed(
    waveform: Waveform, notes: Notes, response: Waveform | None = None
) -> Iterator[tuple[str, Example]]:
    """Yield a recording as it is, and as instruments, microphones and files may change it.

    Args:
      waveform: float32 [samples] at 16 kHz.
      notes: the notes to render.
      response: of a room, with the direct sound at its beginning; None leaves the room out.
    """
    yield "as it is", Example(waveform, notes)
    for cents in (-30, 30):
        yield f"{cents:+d} cents", _detuned(waveform, notes, cents)
    yield (
        f"{SOFT_DB:.0f} dB, in 16 bits",
        Example(_in_16_bits(10 ** (SOFT_DB / 20) * waveform), notes),
    )
    peak = max(float(np.abs(waveform).max(initial=0.0)), 1e-9)
    clipped = np.clip(10 ** (CLIPPED_DB / 20) / peak * waveform, -1.0, 1.0)
    yield f"clipped, {CLIPPED_DB:.0f} dB too loud", Example(clipped, notes)
    yield f"mp3, {MP3_KBIT} kbit/s", Example(_through_mp3(waveform), notes)
    if response is not None:
        yield "in a room", Example(_in_room(waveform, response), notes)


def passages() -> dict[str, Performance]:
    """Return music that is hard to predict, by name; each some 20 to 30 s, always the same."""
    random = np.random.default_rng(7)
    found = {
        "lowest octave": _in_a_row(LOWEST_PITCH + np.arange(12), 0.5, 0.45),
        "highest octave": _in_a_row(HIGHEST_PITCH - np.arange(12), 0.25, 0.2),
        "a key 5 times a second": _in_a_row(np.repeat(_REPEATED, 10), 0.2, 0.15),
        "a key 10 times a second": _in_a_row(np.repeat(_REPEATED, 20), 0.1, 0.07),
    }
    chords = [random.choice(np.arange(36, 97), 10, replace=False) for _ in range(24)]
    onset = np.repeat(0.5 + np.arange(24.0), 10)
    dense = Notes(onset, onset + 0.9, np.concatenate(chords), random.integers(50, 100, 240))
    found["chords of ten notes"] = performance_of(dense, _NO_PEDAL)
    onset = 0.5 + 0.25 * np.arange(96.0)
    walk = np.clip(60 + np.cumsum(random.integers(-5, 6, 96)), 36, 96)
    held = Notes(onset, onset + 0.2, walk, random.integers(40, 100, 96))
    pedal = np.array([(0.1, 127.0), (12.3, 0.0), (12.4, 127.0), (24.6, 0.0)])
    found["pedal held for 12 s"] = performance_of(held, pedal)
    return found


def play(performance: Performance, soundfont: str | os.PathLike[str], lag: float) -> Example:
    """Play a performance on a SoundFont, 3 dB below full scale, with labels `lag` seconds after the note-on.

    Raises:
      InputError: as `synthesise`.
    """
    waveform = np.concatenate(list(synthesise(performance, soundfont)))
    peak = max(float(np.abs(waveform).max(initial=0.0)), 1e-9)
    return Example(
        (10 ** (-3 / 20) / peak * waveform).astype(np.float32), performance.notes.shift(lag)
    )


def by_instruments(
    performance: Performance, soundfont: str | os.PathLike[str]
) -> Iterator[tuple[str, Example]]:
    """Yield a performance on `INSTRUMENTS` of a General MIDI SoundFont.

    Raises:
      InputError: as `synthesise`.
    """
    for name, program in INSTRUMENTS.items():
        yield name, play(replace(performance, program=program), soundfont, 0.0)


def _in_a_row(pitches: ArrayLike, spacing: float, length: float) -> Performance:
    """Return pitches one after the other at even spacing, repeated for 20 s."""
    count = round(20.0 / spacing)
    onset = 0.5 + spacing * np.arange(count)
    row, velocity = np.resize(pitches, count), np.resize((50, 70, 90), count)
    return performance_of(Notes(onset, onset + length, row, velocity), _NO_PEDAL)


def _detuned(waveform: Waveform, notes: Notes, cents: float) -> Example:
    """Return the recording played faster or slower; all times move with it."""
    ratio = ratio_of(0, cents)
    # Taken for one of another rate: at the rate that the others have it is that much higher.
    moved = soxr.resample(waveform, ratio * SAMPLE_RATE, SAMPLE_RATE)
    return Example(
        moved, Notes(notes.onset / ratio, notes.offset / ratio, notes.pitch, notes.velocity)
    )


def _in_16_bits(waveform: Waveform) -> Waveform:
    coarse: Waveform = (np.round(32768 * waveform) / 32768).astype(np.float32)
    return coarse


def _in_room(waveform: Waveform, response: Waveform) -> Waveform:
    """Return the recording in a room, as loud and as long as it was."""
    wet = signal.oaconvolve(waveform, response)[: len(waveform)]
    loudness = [max(float(np.square(sound).mean()) ** 0.5, 1e-9) for sound in (waveform, wet)]
    as_loud: Waveform = (loudness[0] / loudness[1] * wet).astype(np.float32)
    return as_loud


def _through_mp3(waveform: Waveform) -> Waveform:
    return audio.read(mp3_bytes(waveform))[: len(waveform)]


def mp3_bytes(waveform: Waveform) -> bytes:
    """Return an mp3 file of `MP3_KBIT` at a constant rate, mono at 44.1 kHz."""
    file = io.BytesIO()
    # Level 0 is LAME's highest constant rate, 320 kbit/s, and 1 its lowest, 32.
    soundfile.write(
        file,
        soxr.resample(waveform, SAMPLE_RATE, _MP3_RATE),
        _MP3_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=(320 - MP3_KBIT) / (320 - 32),
    )
    return file.getvalue()
