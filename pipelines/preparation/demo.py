"""Make a small data set from one MIDI file, to try training without any download."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pipelines.preparation.shards import ShardJob, write_shard
from pipelines.readers.folder import read
from tfamt.notes.midi import read_midi, write_midi
from tfamt.notes.sonify import write_wav
from tfamt.notes.table import Notes
from tfamt.utils.atomic_files import atomic_write

TRANSPOSITIONS = {"train": (-7, -5, -3, -1, 0, 1, 3, 5), "validation": (2,)}
"""Semitones. The validation piece is the training piece in another key: enough to see figures move, no more."""


def prepare_demo(midi: str, folder: Path) -> None:
    """Synthesise a MIDI file in several keys (`tfamt.notes.sonify`) and store it as a prepared data set.

    Args:
      midi: the MIDI file.
      folder: where the data set goes; nothing is done if it is there already.

    Raises:
      InputError: the MIDI file cannot be read, or the folder cannot be written.
    """
    if (folder / "manifest.json").is_file():
        return
    notes = read_midi(midi)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for split, semitones in TRANSPOSITIONS.items():
            place = Path(temporary, split)
            place.mkdir()
            for number in semitones:
                transposed = Notes(notes.onset, notes.offset, notes.pitch + number, notes.velocity)
                write_midi(transposed, place / f"{split}{number:+d}.mid")
                write_wav(transposed, place / f"{split}{number:+d}.wav")
        recordings = read(temporary).recordings
        for split in TRANSPOSITIONS:
            chosen = [recording for recording in recordings if recording.split == split]
            write_shard(ShardJob(str(folder), f"{split}-00000-of-00001", "demo", chosen))
    atomic_write(folder / "manifest.json", json.dumps({"demo": Path(midi).name}) + "\n")
