"""Score the model on unusual sounds: noise, damage, hard passages, other instruments.

Usage: bin/benchmark conditions [--recordings=FOLDER [--room_responses=FOLDER]] [--soundfont=PIANO]
  [--general_midi=FILE] [--speech=FILE]

Always: silence and noise, notes per minute, where every note is a false one. The rest needs material:
  --recordings    recordings of a piano with labels of the same stem; as they are, detuned, soft, clipped, as mp3
  --room_responses  rooms, by turns one for each of these recordings, in the order of their names
  --soundfont     a piano outside the training data: lowest and highest notes, repeated ones, chords, pedal
  --general_midi  a General MIDI SoundFont: the piece --midi on piano, organ, guitar and violin
  --speech        any recording without music, such as: espeak-ng -f README.md -w speech.wav
Figures are means over recordings, defined in docs/evaluation.md. `pipelines.studies.robustness` makes the sounds.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from pipelines import input as input_data
from pipelines import rendering, studies
from tfamt import audio, evaluation, transcription
from tfamt.commands.app import refuse_arguments
from tfamt.errors import InputError
from tfamt.notes.label_files import read_labels
from tfamt.notes.midi import read_bytes
from tfamt.notes.table import Notes
from tfamt.utils.atomic_files import atomic_write

if TYPE_CHECKING:
    from pipelines.rendering.performances import Performance
    from pipelines.studies.robustness import Example, Waveform
    from tfamt.transcription.transcriber import Transcriber

_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file; default: the model in the package.")
_RECORDINGS = flags.DEFINE_string("recordings", None, "Folder of piano recordings with labels.")
_ROOMS = flags.DEFINE_string("room_responses", None, "Folder of room responses.")
_SOUNDFONT = flags.DEFINE_string("soundfont", None, "SoundFont of a piano.")
_GENERAL_MIDI = flags.DEFINE_string("general_midi", None, "SoundFont of many instruments.")
_MIDI = flags.DEFINE_string(
    "midi", "examples/reference/prelude.mid", "What these instruments play."
)
_SPEECH = flags.DEFINE_multi_string("speech", [], "Recording without music.")
_MINUTES = flags.DEFINE_float("minutes", 5.0, "Length of silence and noises.", 0.1)
_JSON = flags.DEFINE_string("json", None, "File to write the figures to.")

_FIGURES = ("note_f1", "note_offset_f1", "note_offset_velocity_f1", "frame_f1")

Figures = dict[str, float]


def main(argv: list[str]) -> int:
    """Measure and print; return the exit code."""
    refuse_arguments(argv)
    # All at once, before minutes go by.
    rooms, recordings, performance = _rooms(), _recordings(), _performance()
    for soundfont in filter(None, (_SOUNDFONT.value, _GENERAL_MIDI.value)):
        rendering.require_soundfont(soundfont)
    transcriber = transcription.Transcriber.load(_WEIGHTS.value, precision="float32")
    parts = {
        "without music: notes per minute": _false_notes(transcriber),
        "recordings": _scores(transcriber, _changed(recordings, rooms)),
        "hard passages": _scores(transcriber, _passages()),
        "other instruments": _scores(transcriber, _instruments(performance)),
    }
    for title, rows in parts.items():
        if rows:
            heading = [title, *next(iter(rows.values()))]
            cells = [[name, *map("{:.3f}".format, row.values())] for name, row in rows.items()]
            print("\n".join(evaluation.markdown_table(heading, cells)) + "\n")
    if _JSON.value:
        atomic_write(_JSON.value, json.dumps(parts, indent=1) + "\n")
    return 0


def _false_notes(transcriber: Transcriber) -> dict[str, Figures]:

    sounds = studies.without_music(60.0 * _MINUTES.value)
    sounds |= {
        Path(path).name: studies.Example(audio.reading.read(path), Notes.empty())
        for path in _SPEECH.value
    }
    return {
        name: {
            "notes a minute": len(
                transcriber.transcribe(sound.waveform, sample_rate=audio.SAMPLE_RATE)
            )
            / (len(sound.waveform) / audio.SAMPLE_RATE / 60.0)
        }
        for name, sound in sounds.items()
    }


def _scores(
    transcriber: Transcriber, examples: Iterator[tuple[str, Example]]
) -> dict[str, Figures]:
    """Return mean figures by name of condition."""
    found: dict[str, list[Figures]] = {}
    for name, example in examples:
        estimate = transcriber.transcribe(example.waveform, sample_rate=audio.SAMPLE_RATE)
        found.setdefault(name, []).append(evaluation.score(example.notes, estimate))
    return {
        name: {figure: float(np.mean([scores[figure] for scores in all_])) for figure in _FIGURES}
        for name, all_ in found.items()
    }


def _rooms() -> list[Waveform | None]:
    """Yield a room response for each recording by turns; None is no room."""
    if not _ROOMS.value:
        return [None]
    if not _RECORDINGS.value:
        raise InputError("there is nothing to put into rooms", fix="Give --recordings.")
    return [*input_data.read_responses(_ROOMS.value)]


def _recordings() -> list[tuple[Path, Notes]]:
    """Yield the files of recordings, with their labels."""
    if not _RECORDINGS.value:
        return []
    found = transcription.find([_RECORDINGS.value])
    if found.problems:
        raise found.problems[0]
    labels = evaluation.labels_by_stem(Path(_RECORDINGS.value))
    for recording in found.recordings:
        if recording.path.stem not in labels:
            raise InputError("has no labels of its stem beside it", path=recording.path)
    return [(item.path, read_labels(labels[item.path.stem])) for item in found.recordings]


def _performance() -> Performance | None:
    """Return the performance that other instruments play."""
    if not _GENERAL_MIDI.value:
        return None
    return rendering.parse_performance(read_bytes(_MIDI.value), _MIDI.value)


def _changed(
    recordings: list[tuple[Path, Notes]], rooms: list[Waveform | None]
) -> Iterator[tuple[str, Example]]:

    for (path, notes), room in zip(recordings, itertools.cycle(rooms), strict=False):
        yield from studies.changed(audio.reading.read(path), notes, room)


def _passages() -> Iterator[tuple[str, Example]]:

    if not _SOUNDFONT.value:
        return
    lag, _ = rendering.check_soundfont(_SOUNDFONT.value)
    for name, performance in studies.passages().items():
        yield name, studies.play(performance, _SOUNDFONT.value, lag)


def _instruments(performance: Performance | None) -> Iterator[tuple[str, Example]]:

    if performance and _GENERAL_MIDI.value:
        yield from studies.by_instruments(performance, _GENERAL_MIDI.value)
