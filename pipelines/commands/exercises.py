"""Make what recordings of music lack: exercises over all keys as MIDI, and sounds without a piano.

Usage: bin/exercises --output=FOLDER [flags]

Writes FOLDER/midi/*.mid, to be rendered by `bin/prepare --dataset=rendered --midi=FOLDER/midi`, and sounds with empty
labels, FOLDER/sounds/train/*.flac, for `bin/prepare --dataset=folder --source=FOLDER/sounds`. Recordings of --no_music,
such as speech, are put beside these, with empty labels too.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from pipelines import rendering
from tfamt import audio, notes, transcription
from tfamt.commands.app import refuse_arguments, required, run
from tfamt.utils.atomic_files import atomic_path, atomic_write
from tfamt.utils.output_paths import make_folder

_OUTPUT = flags.DEFINE_string("output", None, "Folder that is made.")
_PIECES = flags.DEFINE_integer("pieces", 150, "Exercises, 90 s each.", 0)
_SOUNDS = flags.DEFINE_integer("sounds", 30, "Sounds without music, 90 s each.", 0)
_NO_MUSIC = flags.DEFINE_multi_string("no_music", [], "Folder or recording without music.")
_SEED = flags.DEFINE_integer(
    "seed",
    0,
    "Random seed of the first exercise and of the first sound; every further one adds 1.",
    0,
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    import soundfile

    refuse_arguments(argv)
    output = required(_OUTPUT)
    found = transcription.find(_NO_MUSIC.value)
    if found.problems:
        raise found.problems[0]
    others = found.recordings
    midi, sounds = Path(output, "midi"), Path(output, "sounds", "train")
    make_folder(midi)
    make_folder(sounds)

    def write_sound(name: str, waveform: object) -> None:
        with atomic_path(sounds / f"{name}.flac") as temporary:
            soundfile.write(temporary, waveform, rendering.SAMPLE_RATE, format="FLAC")
        notes.write_csv(notes.Notes.empty(), sounds / f"{name}.csv", overwrite=True)

    for number in range(_PIECES.value):
        performance = rendering.exercise(_SEED.value + number)
        atomic_write(
            midi / f"exercise{number:04d}.mid",
            rendering.midi_bytes(performance, performance.notes.end),
        )
    for number in range(_SOUNDS.value):
        write_sound(f"sound{number:04d}", rendering.sound_without_music(_SEED.value + number))
    for number, other in enumerate(others):
        write_sound(f"other{number:04d}_{other.path.stem}", audio.reading.read(other.path))
    print(f"{_PIECES.value} exercises: {midi}; {_SOUNDS.value + len(others)} sounds: {sounds}")
    return 0


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
