"""Makes the example: a piece typed in as notes, played into MIDI, rendered to sound.

Usage: python examples/make_example.py [FOLDER]

J. S. Bach, Prelude in C major BWV 846 (The Well-Tempered Clavier I, 1722; in the public domain), bars 1 to 11
and a closing chord. Writes reference/prelude.mid, from which the sound is made, and prelude.ogg. Needs the command
fluidsynth and the SoundFont FluidR3_GM (MIT licence): Debian packages fluidsynth and fluid-soundfont-gm.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pretty_midi
import soundfile

from tfamt.utils.atomic_files import atomic_path

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
SAMPLE_RATE = 44_100
QUARTERS_PER_MINUTE = 84.0
SIXTEENTH = 60.0 / QUARTERS_PER_MINUTE / 4.0
BAR = 16 * SIXTEENTH
TAIL_SECONDS = 1.5
PEAK = 0.7

# Five notes a bar; each half bar plays 1 2 3 4 5 3 4 5 in sixteenths.
BARS = (
    "C4 E4 G4 C5 E5",
    "C4 D4 A4 D5 F5",
    "B3 D4 G4 D5 F5",
    "C4 E4 G4 C5 E5",
    "C4 E4 A4 E5 A5",
    "C4 D4 F#4 A4 D5",
    "B3 D4 G4 D5 G5",
    "B3 C4 E4 G4 C5",
    "A3 C4 E4 G4 C5",
    "D3 A3 D4 F#4 C5",
    "G3 B3 D4 G4 B4",
)
CLOSING = "C3 C4 E4 G4 C5"
PATTERN = (0, 1, 2, 3, 4, 2, 3, 4)
# In sixteenths: the score holds the first note for a half, the second for the rest of it.
LENGTHS = (8, 7, 1, 1, 1, 1, 1, 1)


def compose() -> pretty_midi.PrettyMIDI:
    """The piece as played: a little uneven in time and loudness, from a seeded generator, with pedal."""
    random = np.random.default_rng(1722)
    piano = pretty_midi.Instrument(program=0, name="piano")

    def play(name: str, begin: float, length: float, loudness: float) -> None:
        pitch = pretty_midi.note_name_to_number(name)
        begin = max(begin + random.normal(0.0, 0.006), 0.0)
        velocity = int(np.clip(loudness + random.normal(0.0, 4.0), 1, 127))
        piano.notes.append(pretty_midi.Note(velocity, pitch, begin, begin + length))

    for number, bar in enumerate(BARS):
        names = bar.split()
        for half in range(2):
            begin = 0.5 + number * BAR + half * BAR / 2
            for step, (note, length) in enumerate(zip(PATTERN, LENGTHS, strict=True)):
                loudness = 64.0 + 10.0 * np.sin(np.pi * number / len(BARS)) - 4.0 * (step % 4 != 0)
                play(names[note], begin + step * SIXTEENTH, 0.95 * length * SIXTEENTH, loudness)
    end = 0.5 + len(BARS) * BAR
    for name in CLOSING.split():
        play(name, end, BAR * 0.9, 56.0)
    for number in range(len(BARS) + 1):
        # The pedal is changed with each harmony.
        begin = 0.5 + number * BAR
        piano.control_changes.append(pretty_midi.ControlChange(64, 127, begin + 0.08))
        piano.control_changes.append(pretty_midi.ControlChange(64, 0, begin + BAR * 0.97))
    midi = pretty_midi.PrettyMIDI(resolution=480, initial_tempo=QUARTERS_PER_MINUTE)
    midi.instruments.append(piano)
    return midi


def find_fluidsynth() -> str:
    """The command, if all that rendering needs is there; else ends the program with a message."""
    fluidsynth = shutil.which("fluidsynth")
    if not fluidsynth or not SOUNDFONT.exists():
        sys.exit("error: needs the Debian packages fluidsynth and fluid-soundfont-gm")
    return fluidsynth


def render(midi_file: Path, sound_file: Path) -> None:
    """Plays a MIDI file with FluidSynth into a Vorbis file."""
    fluidsynth = find_fluidsynth()
    seconds = pretty_midi.PrettyMIDI(str(midi_file)).get_end_time() + TAIL_SECONDS
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "sound.wav")
        options = ["-ni", "-q", "-g", "0.6", "-r", str(SAMPLE_RATE), "-F", str(wav)]
        command = [fluidsynth, *options, str(SOUNDFONT), str(midi_file)]
        subprocess.run(command, check=True, timeout=120)
        samples, _ = soundfile.read(wav, dtype="float32")
    if len(samples) < seconds * SAMPLE_RATE - SAMPLE_RATE:
        sys.exit(
            f"error: FluidSynth stopped after {len(samples) / SAMPLE_RATE:.1f} of {seconds:.1f} s"
        )
    samples = samples[: int(seconds * SAMPLE_RATE)]
    samples *= PEAK / np.abs(samples).max()
    with (
        atomic_path(sound_file) as temporary,
        soundfile.SoundFile(temporary, "w", SAMPLE_RATE, 2, "VORBIS", format="OGG") as file,
    ):
        # In pieces: libsndfile's Vorbis encoder fails on long single writes.
        for begin in range(0, len(samples), SAMPLE_RATE):
            file.write(samples[begin : begin + SAMPLE_RATE])


def main() -> None:
    """Writes both files."""
    parser = argparse.ArgumentParser(description="Makes reference/prelude.mid and prelude.ogg.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().folder
    find_fluidsynth()
    reference = folder / "reference" / "prelude.mid"
    reference.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(reference) as temporary:
        compose().write(str(temporary))
    render(reference, folder / "prelude.ogg")


if __name__ == "__main__":
    main()
