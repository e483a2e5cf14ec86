"""Synthesise a performance with FluidSynth and a SoundFont."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
import soxr
from numpy.typing import NDArray

from pipelines.rendering.performances import (
    TICKS_PER_SECOND,
    Performance,
    midi_bytes,
    performance_of,
)
from tfamt.errors import InputError
from tfamt.notes.table import HIGHEST_PITCH, LOWEST_PITCH, NUM_PITCHES, Notes

SAMPLE_RATE = 16_000
SYNTHESIS_RATE = 44_100
"""FluidSynth does not filter before it resamples, and starts notes every 64 frames only: at 16 kHz it would alias,
and be up to 4 ms late instead of 1.5 ms. It would take half the time."""
TAIL_SECONDS = 2.0
"""What is kept after the last note has been let go."""
CHECK_VELOCITIES = (40, 80, 110)
ATTACK_FRACTION = 0.1
_NOTE_SECONDS, _NOTE_SPACING = 0.3, 1.25
_ATTACK_WINDOW = 0.2
_SILENCE = 1e-5
_BLOCK_FRAMES = 2**16
_SETTINGS = {
    "synth.reverb.active": "0",
    "synth.chorus.active": "0",
    "synth.polyphony": "1024",
    "synth.lock-memory": "0",
    "synth.gain": "0.5",
    # Where it cannot load the SoundFont that it is given, FluidSynth plays another one.
    "synth.default-soundfont": "",
}


def synthesise(
    performance: Performance, soundfont: str | os.PathLike[str]
) -> Iterator[NDArray[np.float32]]:
    """Play a performance on its program of a SoundFont, dry.

    FluidSynth writes into a pipe that is closed after as many samples as the performance is long: it cannot
    fill a disk, and needs none.

    Returns:
      Blocks of 16 kHz mono, together round((last offset + `TAIL_SECONDS`) * 16000) samples; loud passages may exceed 1.

    Raises:
      InputError: FluidSynth is missing, fails, takes too long, or stops too early; or the file is no SoundFont.
    """
    end = performance.notes.end + TAIL_SECONDS
    missing = round(end * SAMPLE_RATE)
    stream = soxr.ResampleStream(SYNTHESIS_RATE, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for stereo in _frames(performance, soundfont, end):
        block = stream.resample_chunk(stereo.mean(axis=1))[:missing]
        missing -= len(block)
        yield block
    block = stream.resample_chunk(np.zeros(0, np.float32), last=True)[:missing]
    # The filter may be one sample short of its due at the very end.
    yield np.pad(block, (0, missing - len(block)))


@lru_cache(maxsize=64)
def check_soundfont(soundfont: str) -> tuple[float, tuple[int, ...]]:
    """Play every key once, and measure it.

    The attack of a note is the moment at which its magnitude first reaches `ATTACK_FRACTION` of the peak that it has
    in its first 0.2 s. SoundFonts differ by the silence, or the travel of the hammer, that their samples begin with.

    Returns:
      Median time in seconds from the note-on to the attack over all keys that sound, at soft, medium and loud
      velocities in turn; and the pitches of the keys that make no sound.

    Raises:
      InputError: as `synthesise`; or no key sounds.
    """
    lags = attack_times(soundfont, CHECK_VELOCITIES)
    silent = tuple(LOWEST_PITCH + int(key) for key in np.flatnonzero(np.isnan(lags)))
    if len(silent) == NUM_PITCHES:
        raise InputError("makes no sound", path=soundfont, fix="Its program 0 must be a piano.")
    return float(np.nanmedian(lags)), silent


def attack_times(
    soundfont: str, velocities: tuple[int, ...], lag: float = 0.0
) -> NDArray[np.float64]:
    """Return seconds from the note-on of each of the 88 keys to its attack, minus `lag`.

    Args:
      soundfont: the file.
      velocities: of the keys, from the lowest on, in turn.
      lag: what to subtract.

    Returns:
      float64 [88]; NaN for silent keys.

    Raises:
      InputError: as `synthesise`.
    """
    # Spacings that are no multiple of the synthesiser's block, so that its rounding averages out.
    onset = 0.5 + np.arange(NUM_PITCHES) * _NOTE_SPACING
    onset = np.round(onset + np.arange(NUM_PITCHES) * 0.0007, 3)
    pitch = np.arange(LOWEST_PITCH, HIGHEST_PITCH + 1)
    velocity = np.resize(velocities, NUM_PITCHES)
    notes = Notes(onset, onset + _NOTE_SECONDS, pitch, velocity)
    performance = performance_of(notes, np.zeros((0, 2)))
    audio = np.abs(np.concatenate(list(synthesise(performance, soundfont))))
    result = np.full(NUM_PITCHES, np.nan)
    for key, press in enumerate(performance.keys[:, 0]):
        start = round(press / TICKS_PER_SECOND * SAMPLE_RATE)
        attack = audio[start : start + round(_ATTACK_WINDOW * SAMPLE_RATE)]
        if attack.max() > _SILENCE:
            result[key] = np.argmax(attack >= ATTACK_FRACTION * attack.max()) / SAMPLE_RATE - lag
    return result


def _frames(
    performance: Performance, soundfont: str | os.PathLike[str], end: float
) -> Iterator[NDArray[np.float32]]:
    """Yield stereo at `SYNTHESIS_RATE`, float32 [frames, 2], until `end` seconds."""
    missing = round(end * SYNTHESIS_RATE)
    with (
        tempfile.TemporaryDirectory(prefix="tfamt-") as folder,
        tempfile.TemporaryFile() as messages,
    ):
        midi = Path(folder, "performance.mid")
        midi.write_bytes(midi_bytes(performance, end))
        with _player(str(midi), os.fspath(soundfont), messages, time_limit=60.0 + end) as pipe:
            while missing > 0:
                content = pipe.read(min(missing, _BLOCK_FRAMES) * 8)
                frames = np.frombuffer(content[: len(content) // 8 * 8], "<f4").reshape(-1, 2)
                if not len(frames):
                    break
                missing -= len(frames)
                yield frames
        # The last event lies at the end, so nothing but a failure makes the sound shorter than its last block.
        if missing > SYNTHESIS_RATE // 10:
            messages.seek(0)
            detail = " ".join(messages.read(500).decode(errors="replace").split())
            raise InputError(
                f"FluidSynth stopped {missing / SYNTHESIS_RATE:.1f} s before the end of {end:.1f} s ({detail})",
                path=soundfont,
                fix="Check that the file is a SoundFont (.sf2, .sf3) that FluidSynth plays.",
            )


@contextmanager
def _player(
    midi: str, soundfont: str, messages: IO[bytes], time_limit: float
) -> Iterator[IO[bytes]]:
    """Yield the pipe that FluidSynth writes float32 samples into; it ends with the block, or at a time limit."""
    if sys.platform == "win32":
        raise InputError("MIDI is rendered through a pipe that Windows does not have")
    executable = shutil.which("fluidsynth")
    if executable is None:
        raise InputError(
            "FluidSynth is needed to make audio from MIDI, and is not installed",
            fix="Debian and Ubuntu: apt-get install fluidsynth.",
        )
    require_soundfont(soundfont)
    reader, writer = os.pipe()
    settings = [text for name, value in _SETTINGS.items() for text in ("-o", f"{name}={value}")]
    output = ["-F", f"/dev/fd/{writer}", "-T", "raw", "-O", "float", "-E", "little"]
    command = [
        executable,
        "-ni",
        "-q",
        "-r",
        str(SYNTHESIS_RATE),
        *settings,
        *output,
        soundfont,
        midi,
    ]
    with open(reader, "rb") as pipe:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                pass_fds=(writer,),
            )
        finally:
            os.close(writer)
        clock = threading.Timer(time_limit, process.kill)
        clock.daemon = True
        clock.start()
        try:
            yield pipe
        finally:
            clock.cancel()
            process.kill()
            process.wait()


def require_soundfont(path: str) -> None:
    """Refuse a file that does not look like a SoundFont.

    Raises:
      InputError: it does not, or it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(12)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error
    if header[:4] != b"RIFF" or header[8:] != b"sfbk":
        raise InputError("is no SoundFont", path=path, fix="It must be an .sf2 or .sf3 file.")
