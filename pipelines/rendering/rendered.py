"""Render MIDI files, each with another piano, key, tempo, touch, tuning, room and level.

Everything random is drawn when the data set is read, from the seed and the name of the piece alone, and kept with the
recording: `render` and `rendered_notes` draw nothing. Sound and labels come from the same events.
"""

from __future__ import annotations

import dataclasses
import json
import os
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.readers.recordings import DataSet, Recording, Source
from pipelines.readers.sources import read_bytes
from pipelines.rendering.fluidsynth import SAMPLE_RATE, TAIL_SECONDS, synthesise
from pipelines.rendering.materials import (
    NEED_SOUNDFONTS,
    SOUNDFONT_SUFFIXES,
    choose_some,
    find_files,
    find_midi,
    hash_of,
    usable_soundfonts,
)
from pipelines.rendering.performances import Performance, performance_of, performance_of_midi
from tfamt.audio.effects import Sound, record
from tfamt.audio.formats import AUDIO_SUFFIXES
from tfamt.errors import InputError
from tfamt.notes.midi import MidiContent, parse_midi_content
from tfamt.notes.table import Notes
from tfamt.utils.atomic_files import atomic_path

NOISE_BELOW = (35.0, 70.0)
HIGHEST_PEAK = -0.5


@dataclass(frozen=True)
class Variations:
    """How far a rendering may be from its MIDI file. Zeros throughout render it as it is.

    Attributes:
      transposition: semitones up or down at the most; keys that a piano does not have are not played.
      tempo: tempo is multiplied by 1 / (1 + tempo) .. 1 + tempo.
      touch: velocities v / 127 are raised to a power of 1 / (1 + touch) .. 1 + touch.
      tuning: cents up or down at the most. The strings are tuned, time is not stretched.
      room: probability of a room, if there are any responses.
      noise: probability of noise, white or pink, 35 to 70 dB below the music.
      level: peak of the recording in dB of full scale, at the least; at the most it is -0.5.
    """

    transposition: int = 3
    tempo: float = 0.15
    touch: float = 0.3
    tuning: float = 20.0
    room: float = 0.7
    noise: float = 0.7
    level: float = -18.0

    def __post_init__(self) -> None:
        for name in ("transposition", "tempo", "touch", "tuning", "room", "noise"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative. Received: {getattr(self, name)}")
        for name in ("room", "noise"):
            if getattr(self, name) > 1:
                raise InputError(f"{name} is a probability. Received: {getattr(self, name)}")
        if self.transposition > 12 or self.tuning > 100 or not -60 <= self.level <= -0.5:
            raise InputError(
                "transposition goes up to 12, tuning up to 100, level from -60 to -0.5. "
                f"Received: {self.transposition}, {self.tuning}, {self.level}"
            )


@dataclass(frozen=True)
class Rendering:
    """How one recording is made.

    Attributes:
      transposition: semitones.
      tempo: factor; 2 plays twice as fast.
      touch: exponent; above 1 is softer.
      cents: tuning against A4 = 440 Hz.
      sound: room, noise and level.
      lag: seconds by which the SoundFont's attacks come late, which `render` takes away.
    """

    transposition: int
    tempo: float
    touch: float
    cents: float
    sound: Sound
    lag: float

    @classmethod
    def of(cls, recording: Recording) -> Rendering:
        """Return the random choices of the reader for a recording.

        Raises:
          ValueError: the recording is not rendered.
        """
        if recording.rendering is None:
            raise ValueError(f"The recording must be a rendered one. Received: {recording.id}")
        fields = json.loads(recording.rendering)
        return cls(**{**fields, "sound": Sound(**fields["sound"])})


def read(
    midi: str,
    soundfonts: Sequence[str],
    *,
    seed: int = 0,
    split: str | None = None,
    validation_soundfonts: Sequence[str] = (),
    rooms: str | None = None,
    variations: Variations | None = None,
    pieces: int | None = None,
    follow_links: bool = False,
) -> DataSet:
    """Plan a rendering of each MIDI file.

    Args:
      midi: folder of MIDI files, or of MAESTRO (whose table then gives the splits), or an archive of these.
      soundfonts: SoundFont files, or folders of them, with a piano as program 0.
      seed: of everything random.
      split: the only one to take where a table gives the splits, by default all; without a table that of all
        recordings, by default train.
      validation_soundfonts: files or folders likewise, taken for validation and test only, even if they are among
        `soundfonts`; without any, all splits take all SoundFonts.
      rooms: folder of room responses; see `tfamt.audio.effects`.
      variations: how far from the MIDI file; default `Variations()`.
      pieces: how many of the MIDI files of each split to take, at random; default: all.
      follow_links: whether symbolic links that lead out of the folders are followed.

    Returns:
      Recordings with the SoundFont's name as group. SoundFonts with silent keys are left out.

    Raises:
      InputError: no MIDI file or no usable SoundFont was found, or FluidSynth is missing.
    """
    recordings, left_out = find_midi(midi, split, follow_links=follow_links)
    if pieces is not None:
        recordings = choose_some(recordings, pieces, seed)
    # What there is to play comes first: a SoundFont takes a second or two to check.
    DataSet("rendered", recordings, left_out).require_some(
        midi, fix="Name a folder of MIDI files (.mid, .midi), or of MAESTRO."
    )

    def files(
        paths: Sequence[str],
        suffixes: tuple[str, ...] = SOUNDFONT_SUFFIXES,
        kind: str = "SoundFont",
    ) -> list[str]:
        found, links = find_files(paths, suffixes, kind, follow_links=follow_links)
        left_out.extend(links)
        return found

    train, held_out = files(soundfonts), files(validation_soundfonts)
    lags, useless = usable_soundfonts(sorted({*train, *held_out}))
    draw = _Draw(
        seed=seed,
        variations=variations or Variations(),
        lags=lags,
        train=[font for font in train if font in lags and font not in held_out],
        held_out=[font for font in held_out or train if font in lags],
        rooms=files([rooms], AUDIO_SUFFIXES, "folder of room responses") if rooms else (),
    )
    for fonts, purpose in ((draw.train, "train on"), (draw.held_out, "validate on")):
        if not fonts:
            raise InputError(f"there is no usable SoundFont to {purpose}", fix=NEED_SOUNDFONTS)
    rendered = [draw.rendering(recording) for recording in recordings]
    return DataSet("rendered", rendered, [*left_out, *useless])


def rendered_audio(recording: Recording) -> tuple[int, Iterator[NDArray[np.float32]]]:
    """Synthesise a rendered recording: its number of samples at 16 kHz, and blocks of them in -1..1.

    Raises:
      InputError: the MIDI file is broken, FluidSynth fails, or the disk is full.
    """
    rendering, performance = Rendering.of(recording), _performance(recording, _midi(recording))
    dry = synthesise(performance, recording.audio.path)
    samples = round((performance.notes.end + TAIL_SECONDS) * SAMPLE_RATE)
    skip = round(rendering.lag * SAMPLE_RATE)
    return samples, record(dry, rendering.sound, samples, skip)


def render(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write `rendered_audio` as 16 kHz mono 16-bit wav.

    Raises:
      InputError: as `rendered_audio`, or the file cannot be written.
    """
    _, blocks = rendered_audio(recording)
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for block in blocks:
            file.writeframes(np.rint(block * 32767).astype("<i2").tobytes())


def rendered_notes(recording: Recording) -> Notes:
    """Return the labels of a rendered recording: the notes that are played.

    Raises:
      InputError: the MIDI file is broken.
    """
    return rendered_notes_and_remarks(recording)[0]


def rendered_notes_and_remarks(recording: Recording) -> tuple[Notes, list[str]]:
    """Return the labels as `rendered_notes` does, with what was repaired or ignored in the MIDI file."""
    midi = _midi(recording)
    remarks = [f"{recording.labels}: {remark}" for remark in midi.remarks]
    return _performance(recording, midi).notes, remarks


def alter(original: Performance, rendering: Rendering) -> Performance:
    """Return the performance in another key, tempo, touch and tuning."""
    held = original.held
    notes = Notes(
        held.onset / rendering.tempo,
        held.offset / rendering.tempo,
        # Beyond MIDI's range would be an error; keys beyond the piano's are not played.
        np.clip(held.pitch + rendering.transposition, 0, 127),
        np.clip(np.rint(127 * (held.velocity / 127) ** rendering.touch), 1, 127),
    )
    pedal = original.pedal_positions / [rendering.tempo, 1.0]
    return performance_of(notes, pedal, rendering.cents)


def _midi(recording: Recording) -> MidiContent:
    return parse_midi_content(read_bytes(recording.labels), str(recording.labels))


def _performance(recording: Recording, midi: MidiContent) -> Performance:
    return alter(performance_of_midi(midi, str(recording.labels)), Rendering.of(recording))


@dataclass(frozen=True)
class _Draw:
    """Everything there is to choose from."""

    seed: int
    variations: Variations
    lags: dict[str, float]
    train: Sequence[str]
    held_out: Sequence[str]
    rooms: Sequence[str]

    def rendering(self, recording: Recording) -> Recording:
        """Return the recording with a piano and everything else."""
        random = np.random.default_rng(hash_of(self.seed, "rendering", recording.id))
        fonts = self.train if recording.split == "train" else self.held_out
        font = fonts[random.integers(len(fonts))]
        v = self.variations
        rendering = Rendering(
            transposition=int(random.integers(-v.transposition, v.transposition + 1)),
            tempo=_factor(random, v.tempo),
            touch=_factor(random, v.touch),
            cents=round(float(random.uniform(-v.tuning, v.tuning)), 2),
            sound=self._sound(random),
            lag=self.lags[font],
        )
        return dataclasses.replace(
            recording,
            group=Path(font).stem,
            audio=Source(font),
            rendering=json.dumps(dataclasses.asdict(rendering), sort_keys=True),
        )

    def _sound(self, random: np.random.Generator) -> Sound:
        with_room, with_noise = random.random(2)
        room = self.rooms[random.integers(len(self.rooms))] if self.rooms else None
        noise = ("white", "pink")[random.integers(2)]
        return Sound(
            room=room if with_room < self.variations.room else None,
            noise=noise if with_noise < self.variations.noise else None,
            noise_below=round(float(random.uniform(*NOISE_BELOW)), 2),
            noise_seed=int(random.integers(2**32)),
            peak=round(float(random.uniform(self.variations.level, HIGHEST_PEAK)), 2),
        )


def _factor(random: np.random.Generator, most: float) -> float:
    return round(float((1 + most) ** random.uniform(-1, 1)), 4)
