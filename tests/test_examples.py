"""Test that the example's notes, audio and script belong together."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from tfamt.audio.reading import probe, read
from tfamt.notes.midi import read_midi


@pytest.fixture(scope="module")
def script(root: Path) -> ModuleType:
    """The script, which is in no package."""
    path = root / "examples" / "make_example.py"
    spec = importlib.util.spec_from_file_location("make_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def midi_file(root: Path) -> Path:
    return root / "examples" / "reference" / "prelude.mid"


@pytest.fixture(scope="module")
def sound_file(root: Path) -> Path:
    return root / "examples" / "prelude.ogg"


def test_notes_are_those_of_the_score(midi_file: Path) -> None:
    notes = read_midi(midi_file)
    # 11 bars of 16 sixteenths and a chord of 5.
    assert len(notes) == 181
    # C E G C E G C E, twice; then the second bar, C D A D F A D F.
    first_bar = [60, 64, 67, 72, 76, 67, 72, 76]
    assert notes.pitch[:24].tolist() == [*first_bar, *first_bar, 60, 62, 69, 74, 77, 69, 74, 77]
    # Bar 11, G B D G B, and the chord.
    assert notes.pitch[-13:-5].tolist() == [55, 59, 62, 67, 71, 62, 67, 71]
    assert sorted(notes.pitch[-5:].tolist()) == [48, 60, 64, 67, 72]
    # F# is struck in bars 6 and 10 alone: third of five notes in one (two onsets a half bar), fourth in the
    # other (two as well).
    assert Counter(notes.pitch.tolist())[66] == 8


def test_notes_keep_to_the_beat_within_a_players_freedom(midi_file: Path) -> None:
    notes = read_midi(midi_file)
    # At 84 quarters a minute a sixteenth is 60 / 84 / 4 = 0.178571 s; the piece begins at 0.5 s.
    steps = np.concatenate([np.arange(176), np.full(5, 176)])
    deviation = notes.onset - (0.5 + 0.17857142857 * steps)
    # Six milliseconds of standard deviation: none beyond four of them, and not a machine's zero.
    assert np.abs(deviation).max() < 0.024
    assert 0.004 < deviation.std() < 0.008
    assert len(set(notes.velocity.tolist())) > 10


def test_pedal_changes_with_every_bar_and_ends_up(script: ModuleType) -> None:
    (piano,) = script.compose().instruments
    pedal = piano.control_changes
    assert [event.number for event in pedal] == [64] * 24
    assert [event.value for event in pedal] == [127, 0] * 12
    # A bar is 20/7 s. Down 0.08 s into it, up at 97 % of it.
    assert [event.time for event in pedal[:4]] == pytest.approx(
        [0.58, 3.271429, 3.437143, 6.128571], abs=1e-6
    )


def test_low_notes_are_written_as_the_score_holds_them(script: ModuleType) -> None:
    (piano,) = script.compose().instruments
    lengths = [note.end - note.start for note in piano.notes[:8]]
    # 95 % of a half, of a dotted quarter tied to a sixteenth, and of six sixteenths.
    assert lengths == pytest.approx([1.357143, 1.1875, *[0.169643] * 6], abs=1e-6)


def test_script_makes_the_committed_midi_byte_for_byte(
    script: ModuleType, midi_file: Path, tmp_path: Path
) -> None:
    for name in ("one.mid", "two.mid"):
        script.compose().write(str(tmp_path / name))
    assert (tmp_path / "one.mid").read_bytes() == (tmp_path / "two.mid").read_bytes()
    assert (tmp_path / "one.mid").read_bytes() == midi_file.read_bytes()


def test_sound_lasts_as_long_as_the_notes_and_dies_away(midi_file: Path, sound_file: Path) -> None:
    info = probe(sound_file)
    assert (info.sample_rate, info.channels, info.codec) == (44_100, 2, "vorbis")
    assert sound_file.stat().st_size < 700_000
    seconds = info.num_frames / info.sample_rate
    end = read_midi(midi_file).offset.max()
    assert 20 < seconds < 40
    assert end < seconds < end + 3
    samples, rate = soundfile.read(sound_file)
    # -3.1 dBFS was asked for; Vorbis is not exact.
    assert np.abs(samples).max() == pytest.approx(0.7, abs=0.03)
    assert np.abs(samples[-rate // 10 :]).max() < 0.001


def test_notes_begin_where_the_sound_does(midi_file: Path, sound_file: Path) -> None:
    """Loudness, moved against the onsets, rises most where they meet."""
    rate, hop = 16_000, 16
    samples = read(sound_file)
    # First differences favour the hammer's noise over what still sounds.
    power = np.diff(samples.astype(np.float64)) ** 2
    energy = power[: len(power) // hop * hop].reshape(-1, hop).sum(axis=1)
    level = np.log(np.convolve(energy, np.ones(10) / 10, mode="same") + 1e-6)
    rise = np.maximum(np.diff(level), 0.0)
    times = (np.arange(len(rise)) + 1) * hop / rate
    lags = np.arange(-60, 61) / 1000
    onsets = read_midi(midi_file).onset
    mean_rise = [np.interp(onsets + lag, times, rise).mean() for lag in lags]
    assert abs(lags[int(np.argmax(mean_rise))]) <= 0.010


def test_rendering_again_gives_the_committed_sound(
    script: ModuleType, midi_file: Path, sound_file: Path, tmp_path: Path
) -> None:
    if not shutil.which("fluidsynth") or not script.SOUNDFONT.exists():
        pytest.skip("needs the Debian packages fluidsynth and fluid-soundfont-gm")
    script.render(midi_file, tmp_path / "again.ogg")
    committed, _ = soundfile.read(sound_file)
    again, _ = soundfile.read(tmp_path / "again.ogg")
    assert again.shape == committed.shape
    assert np.corrcoef(committed.ravel(), again.ravel())[0, 1] > 0.99


def test_without_fluidsynth_the_packages_are_named(root: Path, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, str(root / "examples" / "make_example.py"), str(tmp_path)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 1
    assert made.stderr == "error: needs the Debian packages fluidsynth and fluid-soundfont-gm\n"
    assert not (tmp_path / "prelude.ogg").exists()
