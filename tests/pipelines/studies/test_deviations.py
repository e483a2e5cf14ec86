"""Test the measured effects of deviations on a few notes worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.rendering.performances import performance_of
from pipelines.studies.deviations import (
    held_through_strokes,
    measure,
    measure_sustain,
    notes_of_roll,
    onset_bias_ms,
)
from tfamt.notes.midi import write_midi
from tfamt.notes.table import Notes

FRAME = 0.032


def test_restrikes_without_a_gap_are_one_note_in_the_roll() -> None:
    labels = Notes(
        [0.0, 10 * FRAME, 30 * FRAME], [10 * FRAME, 20 * FRAME, 40 * FRAME], [60, 60, 60]
    )
    assert list(notes_of_roll(labels)) == [
        (0.0, pytest.approx(20 * FRAME), 60, 64), (30 * FRAME, pytest.approx(40 * FRAME), 60, 64),
    ]  # fmt: skip
    figures = measure(labels)
    assert figures["merged_share"] == pytest.approx(1 / 3)
    # Two of three notes are found; the first is twice as long as labelled.
    assert (
        figures["roll_decoded_note_f1"] == figures["roll_reference_note_f1"] == pytest.approx(0.8)
    )
    assert figures["roll_decoded_note_offset_f1"] == pytest.approx(0.4)
    assert figures["roll_decoded_frame_f1"] == 1.0


def test_flooring_is_early_by_half_a_frame_on_average() -> None:
    # Eight onsets at 1/16, 3/16, ... of a frame behind a frame: floored they lose just that, 16 ms on average;
    # rounded, half of them lose and half of them gain.
    onset = [(20 * n + (2 * n + 1) / 16) * FRAME for n in range(8)]
    labels = Notes(onset, [time + 0.3 for time in onset], [60] * 8)
    figures = measure(labels)
    assert figures["rounded_bias_ms"] == pytest.approx(0, abs=1e-6)
    assert figures["floored_bias_ms"] == pytest.approx(-16, abs=1e-6)
    assert onset_bias_ms(labels, Notes.empty()) == 0.0


def test_the_pedal_holds_a_note_through_a_restrike() -> None:
    held = Notes([0.0, 1.0, 1.5, 5.0], [0.5, 1.2, 1.8, 5.5], [60, 60, 64, 64])
    # Down from 0.4 to 2.0, and for good from 5.2 on.
    performance = performance_of(held, np.array([[0.4, 127], [2.0, 0], [5.2, 100]]))
    through = held_through_strokes(performance)
    assert through.offset.tolist() == [2.0, 2.0, 2.0, 5.5]
    assert performance.notes.offset.tolist() == [1.0, 2.0, 2.0, 5.5]
    figures = measure_sustain(performance)
    assert figures["held_through_share"] == 0.25 and figures["held_through_note_f1"] == 1.0
    assert figures["held_through_note_offset_f1"] == 0.75
    dry = performance_of(held, np.zeros((0, 2)))
    assert held_through_strokes(dry) == dry.held


def test_command(root: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "benchmarks.command", "deviations", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)

    (tmp_path / "a.txt").write_text(
        "OnsetTime\tOffsetTime\tMidiPitch\n0.0\t0.32\t60\n0.32\t0.64\t60\n"
    )
    done = run(f"--labels={tmp_path}")
    assert done.returncode == 0 and done.stdout.startswith("1 files, means over files\n")
    assert ["merged_share", "0.500"] in [line.split() for line in done.stdout.splitlines()]
    assert "--labels is missing" in run().stderr
    write_midi(Notes([0.0], [1.0], [60]), tmp_path / "b.mid")
    done = run(f"--performances={tmp_path}", f"--json={tmp_path}/d.json")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "1 files, means over files")
    assert json.loads((tmp_path / "d.json").read_text())["performances"]["files"] == 1
    assert "holds no label file" in run(f"--labels={root / 'bin'}").stderr
