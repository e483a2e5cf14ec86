"""Test synthetic pianos: SoundFont format, physics of strings, FluidSynth's rendering."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from pipelines.rendering import synthetic_pianos as invented_pianos
from pipelines.rendering.fluidsynth import SAMPLE_RATE, synthesise
from pipelines.rendering.performances import performance_of
from pipelines.rendering.rendered import usable_soundfonts
from pipelines.rendering.soundfont import Zone, write_soundfont
from pipelines.rendering.synthetic_pianos import RATE, invent, strike, write_piano
from tests.support.processes import command
from tfamt.notes.table import Notes

needs_fluidsynth = pytest.mark.skipif(
    not shutil.which("fluidsynth"), reason="FluidSynth is not installed"
)


def chunks(data: bytes) -> dict[str, bytes]:
    """The chunks of a SoundFont by name, those inside lists too."""
    found = {}
    position = 0
    while position < len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        content = data[position + 8 : position + 8 + size]
        if name in (b"RIFF", b"LIST"):
            found |= chunks(content[4:])
        else:
            found[name.decode()] = content
        position += 8 + size + size % 2
    assert position == len(data)
    return found


def sine(hz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(RATE * seconds)) / RATE
    return np.round(2**14 * np.sin(2 * np.pi * hz * time)).astype(np.int16)


def test_every_sample_is_where_the_tables_say(tmp_path: Path) -> None:
    waves = [sine(220.0), sine(440.0)[:999]]
    zones = [Zone(waves[0], 57, (21, 60), (1, 127)), Zone(waves[1], 69, (61, 108), (1, 127))]
    write_soundfont(tmp_path / "a.sf2", "two sines", zones, rate=RATE, release=0.5)
    table = chunks((tmp_path / "a.sf2").read_bytes())
    sound = np.frombuffer(table["smpl"], "<i2")
    sizes = {"phdr": 38, "inst": 22, "shdr": 46, "igen": 4, "ibag": 4, "pbag": 4, "pgen": 4}
    assert all(len(table[name]) % size == 0 for name, size in sizes.items())
    for number, (wave, root) in enumerate(zip(waves, (57, 69), strict=True)):
        begin, end, _, _, rate, pitch = struct.unpack_from(
            "<20x5IB", table["shdr"], number * sizes["shdr"]
        )
        np.testing.assert_array_equal(sound[begin:end], wave)
        assert (rate, pitch) == (RATE, root)
        # Section 6.1: 46 zeros behind each.
        assert not sound[end : end + 46].any()
    # 0.5 s are -1200 timecents; keys come first in a zone and the sample last (section 8.1.2).
    assert [*struct.iter_unpack("<Hh", table["igen"])][:5] == [
        (43, 60 * 256 + 21), (44, 127 * 256 + 1), (38, -1200), (58, 57), (53, 0)
    ]  # fmt: skip


@needs_fluidsynth
def test_fluidsynth_plays_the_right_zone_in_tune(tmp_path: Path) -> None:
    zones = [
        Zone(sine(220.0, 2.0), 57, (21, 60), (1, 127)),
        Zone(sine(440.0, 2.0), 69, (61, 108), (1, 127)),
    ]
    write_soundfont(tmp_path / "a.sf2", "two sines", zones, rate=RATE, release=0.1)
    # C4 from the first, a tritone and an octave above it from the second.
    notes = Notes([0.5, 2.0, 3.5], [1.5, 3.0, 4.5], [60, 66, 72], [100, 100, 100])
    wave = np.concatenate(
        [*synthesise(performance_of(notes, np.zeros((0, 2))), tmp_path / "a.sf2")]
    )
    for onset, hz in ((0.5, 261.63), (2.0, 369.99), (3.5, 523.25)):
        part = wave[round((onset + 0.1) * SAMPLE_RATE) :][: round(0.8 * SAMPLE_RATE)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8 * len(part)))
        assert np.argmax(spectrum) * SAMPLE_RATE / (8 * len(part)) == pytest.approx(hz, abs=0.5)


def test_strings_are_stiff_and_die_away() -> None:
    piano = invent(np.random.default_rng(3))
    wave = strike(piano, 45, 1, np.random.default_rng(0))
    fundamental = 440 * 2 ** ((45 - 69 - piano.stretch * 15 / 12 / 100) / 12)
    stiffness = np.exp(piano.stiffness[0] - 15 * piano.stiffness[1])
    part = wave[2000 : 2000 + RATE]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8 * len(part)))
    hz = np.arange(len(spectrum)) * RATE / (8 * len(part))
    for number in (1, 2, 5, 8):
        expected = number * fundamental * np.sqrt(1 + stiffness * number**2)
        near = np.abs(hz - expected) < 0.3 * fundamental
        assert hz[near][np.argmax(spectrum[near])] == pytest.approx(expected, rel=2e-3)
    high = strike(piano, 96, 1, np.random.default_rng(0))
    levels = [np.sqrt(np.mean(w**2)) for w in np.split(high[: len(high) // 4 * 4], 4)]
    assert levels == sorted(levels, reverse=True) and levels[3] < 0.2 * levels[0]


def test_loud_notes_are_brighter_and_pianos_differ() -> None:
    def brightness(seed: int, layer: int) -> float:
        piano = invent(np.random.default_rng(seed))
        wave = strike(piano, 60, layer, np.random.default_rng(1))[: RATE // 2]
        power = np.abs(np.fft.rfft(wave)) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    soft = [brightness(seed, 0) for seed in range(6)]
    hard = [brightness(seed, 2) for seed in range(6)]
    assert all(low < high for low, high in zip(soft, hard, strict=True))
    assert max(soft) > 1.3 * min(soft)


@needs_fluidsynth
def test_the_command_makes_pianos_that_are_on_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two samples a piano, of a second: what takes 20 s otherwise.
    monkeypatch.setattr(invented_pianos, "KEYS_PER_SAMPLE", 44)
    monkeypatch.setattr(invented_pianos, "LONGEST", 1.0)
    paths = [tmp_path / f"{name}.sf2" for name in ("a", "b", "c")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        write_piano(path, seed)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    lags, useless = usable_soundfonts([str(paths[0]), str(paths[2])])
    assert not useless and all(abs(lag) < 0.005 for lag in lags.values())


def test_the_command_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "piano0004.sf2").write_bytes(b"mine")
    done = command("pipelines.commands.pianos", f"--output={tmp_path}", "--pianos=1", "--first=4")
    assert done.returncode == 0 and "[1/1]" in done.stdout
    assert (tmp_path / "piano0004.sf2").read_bytes() == b"mine"
    done = command("pipelines.commands.pianos")
    assert done.returncode == 1 and "--output is missing" in done.stderr
