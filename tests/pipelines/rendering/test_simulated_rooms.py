"""Test simulated rooms against textbook formulas, and their command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.rendering.simulated_rooms import Room, draw, respond
from tests.support.processes import command

SHOEBOX = Room(
    size=np.array([6.0, 5.0, 3.0]),
    absorption=np.full((6, 6), 0.2),
    scattering=0.3,
    piano=np.array([1.5, 1.5, 1.0]),
    microphone=np.array([4.5, 3.5, 1.5]),
)


def _reverberation_time(response: np.ndarray) -> float:
    """Seconds to fall by 60 dB, from the fall between -5 and -25 dB (ISO 3382, T20)."""
    left = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    decibels = 10 * np.log10(left / left[0])
    begin, end = np.argmax(decibels < -5), np.argmax(decibels < -25)
    return 3 * float(end - begin) / 16_000


def _direct_share(response: np.ndarray) -> float:
    """Share of the energy within 2 ms of the direct sound."""
    return float(np.square(response[:32]).sum() / np.square(response).sum())


def test_reverberation_time_is_that_of_the_formula() -> None:
    # Eyring: 0.161 V / (-S ln(1 - a)), with V = 90 m3, S = 126 m2: 0.515 s. Air takes off next to nothing here.
    assert _reverberation_time(respond(SHOEBOX, 1)) == pytest.approx(0.515, rel=0.15)
    # With 0.4 instead of 0.2: 0.225 s.
    drier = replace(SHOEBOX, absorption=np.full((6, 6), 0.4))
    assert _reverberation_time(respond(drier, 1)) == pytest.approx(0.225, rel=0.2)


def test_responses_begin_with_the_direct_sound_and_have_unit_energy() -> None:
    near = replace(SHOEBOX, microphone=SHOEBOX.piano + np.array([0.3, 0.2, 0.2]))
    for room in (near, SHOEBOX):
        response = respond(room, 1)
        assert int(np.argmax(np.abs(response) > 0.2 * np.abs(response).max())) <= 2
        assert np.square(response).sum() == pytest.approx(1.0, abs=1e-4)
    # The direct sound falls by 6 dB with each doubling of the distance, the reverberation hardly: 0.41 m and 3.6 m are
    # 19 dB apart.
    shares = [_direct_share(respond(room, 1)) for room in (near, SHOEBOX)]
    odds = [share / (1 - share) for share in shares]
    assert 10 * np.log10(odds[0] / odds[1]) == pytest.approx(19.0, abs=4.0)


def test_drawn_rooms_hold_what_stands_in_them_and_differ() -> None:
    rooms = [draw(np.random.default_rng(number)) for number in range(300)]
    for room in rooms:
        assert (room.size >= 2.3).all() and (room.size <= 15.0).all()
        for place in (room.piano, room.microphone):
            assert (place[:2] >= 0.5).all() and (place[:2] <= room.size[:2] - 0.5).all()
            assert 0.6 <= place[2] <= room.size[2] - 0.5
        assert ((room.absorption >= 0.02) & (room.absorption <= 0.95)).all()
    distance = [np.linalg.norm(room.microphone - room.piano) for room in rooms]
    assert np.quantile(distance, 0.2) < 1.0 < 3.0 < np.quantile(distance, 0.8)
    lengths = [len(respond(room, 1)) / 16_000 for room in rooms[:10]]
    assert min(lengths) < 0.5 and max(lengths) > 0.8


def test_the_command_writes_the_same_rooms_again_and_leaves_what_is_there(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    done = command("pipelines.commands.rooms", f"--output={first}", "--rooms=2", "--first=7")
    assert done.returncode == 0, done.stderr
    assert "[2/2]" in done.stdout
    names = [path.name for path in sorted(first.iterdir())]
    assert names == ["room0007.flac", "room0008.flac"]
    second.mkdir()
    (second / names[0]).write_bytes(b"mine")
    assert (
        command(
            "pipelines.commands.rooms", f"--output={second}", "--rooms=2", "--first=7"
        ).returncode
        == 0
    )
    assert (second / names[0]).read_bytes() == b"mine"
    assert (second / names[1]).read_bytes() == (first / names[1]).read_bytes()
    sounds = [soundfile.read(first / name)[0] for name in names]
    assert len(sounds[0]) != len(sounds[1])


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    done = command("pipelines.commands.rooms")
    assert done.returncode == 1
    assert "--output is missing" in done.stderr
    done = command("pipelines.commands.rooms", f"--output={tmp_path}", "more")
    assert done.returncode == 1
    assert "no arguments but flags" in done.stderr
