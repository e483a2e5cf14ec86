"""Test generated exercises over all keys and sounds without notes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from pipelines.preparation.index import load_index
from pipelines.preparation.records import read_segments
from pipelines.rendering.exercises import SECONDS, exercise, sound_without_music
from tests.support.processes import command
from tfamt.notes.midi import read_midi


def test_exercises_go_where_music_does_not() -> None:
    played = [exercise(seed) for seed in range(40)]
    keys = np.concatenate([performance.keys for performance in played])
    counts = np.bincount(keys[:, 2], minlength=109)[21:]
    assert len(counts) == 88 and counts.min() > 20
    # An even share would be 12 / 88 for either outer octave.
    assert 0.08 < counts[:12].sum() / counts.sum() < 0.2
    assert 0.08 < counts[-12:].sum() / counts.sum() < 0.2
    fast, together, held = 0, 0, 0
    for performance in played:
        press, release, pitch, velocity = performance.keys.T
        assert press[0] >= 500 and SECONDS - 15 < release.max() / 1000 < SECONDS + 15
        assert velocity.min() >= 1 and velocity.max() <= 127
        for key in np.unique(pitch):
            mine = pitch == key
            gaps = np.diff(press[mine])
            # A key is up before it goes down again.
            assert (release[mine][:-1] <= press[mine][1:]).all()
            fast += int((gaps <= 100).sum())
        begin = np.searchsorted(press, press - 20)
        together = max(together, int((np.arange(len(press)) - begin).max()) + 1)
        held += int((performance.notes.offset - performance.held.offset > 3).sum())
    assert fast > 200 and together >= 9 and held > 100


def test_the_same_seed_makes_the_same() -> None:
    np.testing.assert_array_equal(exercise(3).keys, exercise(3).keys)
    assert not np.array_equal(exercise(3).keys, exercise(4).keys)
    np.testing.assert_array_equal(sound_without_music(3), sound_without_music(3))


def test_sounds_are_of_many_kinds_and_never_clip() -> None:
    sounds = [sound_without_music(seed) for seed in range(6)]
    blocks = np.concatenate([sound[: 80 * 16_000].reshape(-1, 16_000) for sound in sounds])
    level = 20 * np.log10(np.maximum(np.abs(blocks).max(axis=1), 1e-9))
    assert level.max() < -2.9
    assert (level < -100).any() and (level > -20).any()
    spectrum = np.abs(np.fft.rfft(blocks)) + 1e-12
    flatness = np.exp(np.log(spectrum).mean(axis=1)) / spectrum.mean(axis=1)
    # White noise is at 0.85 (Rayleigh distributed magnitudes), tones near 0.
    assert (flatness > 0.8).any() and (flatness[level > -100] < 0.2).any()


def test_from_the_command_to_windows_without_notes(root: Path, tmp_path: Path) -> None:
    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command(f"pipelines.commands.{name}", *arguments, cwd=root)

    made = tmp_path / "made"
    done = run(
        *("exercises", f"--output={made}", "--pieces=1", "--sounds=1", "--seed=5"),
        "--no_music=examples/prelude.ogg",
    )
    assert done.returncode == 0, done.stderr
    notes, expected = read_midi(made / "midi" / "exercise0000.mid"), exercise(5).notes
    np.testing.assert_allclose(notes.onset, expected.onset, atol=1e-6)
    np.testing.assert_allclose(notes.offset, expected.offset, atol=1e-6)
    np.testing.assert_array_equal(notes.pitch, expected.pitch)

    source = f"--source={made / 'sounds'}"
    prepare = ("prepare", "--dataset=folder", source, "--workers=1")
    refused = run(*prepare, f"--output={tmp_path / 'refused'}")
    assert refused.returncode == 1 and "its labels hold no notes" in refused.stderr
    done = run(*prepare, f"--output={tmp_path / 'data'}", "--empty_labels")
    assert done.returncode == 0, done.stderr
    stored = {item.entry.recording: item for item in load_index(tmp_path / "data", "train")}
    assert sorted(stored) == ["train_other0000_prelude", "train_sound0000"]
    segments = list(read_segments(stored["train_sound0000"].shard, stored["train_sound0000"].entry))
    assert sum(len(segment.notes) for segment in segments) == 0
    audio = np.concatenate([segment.waveform for segment in segments])
    np.testing.assert_allclose(audio, sound_without_music(5), atol=1.01 / 32768)
