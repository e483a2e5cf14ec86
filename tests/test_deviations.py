"""What the deviations are worth: a few notes worked out by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.deviations import measure, notes_of_roll, onset_bias_ms
from tfamt.notes import Notes

FRAME = 0.032


def test_strokes_without_a_gap_are_one_note_in_the_roll() -> None:
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


def test_command(root: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipelines.commands.benchmark", "deviations", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)

    (tmp_path / "a.txt").write_text(
        "OnsetTime\tOffsetTime\tMidiPitch\n0.0\t0.32\t60\n0.32\t0.64\t60\n"
    )
    done = run(f"--labels={tmp_path}")
    assert done.returncode == 0 and done.stdout.startswith("1 files, means over files\n")
    assert ["merged_share", "0.500"] in [line.split() for line in done.stdout.splitlines()]
    assert "--labels is missing" in run().stderr
    assert "holds no label file" in run(f"--labels={root / 'bin'}").stderr
