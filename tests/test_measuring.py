"""What `bin/benchmark` measures with, and that memory depends on neither the number nor the length of recordings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.input_speed import deliver
from pipelines.made_recordings import make_recordings, phrase
from pipelines.measuring import in_fresh_process, run_measured
from tests.conftest import ROOT
from tfamt.errors import InputError
from tfamt.labels import read_labels


def test_a_command_is_measured_with_its_children() -> None:
    child = "import time; b = b'x' * (200 << 20); [0 for _ in iter(lambda: time.process_time() < 0.6, False)]"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    usage = run_measured([sys.executable, "-c", parent])
    assert 200 < usage.peak_megabytes < 230
    # The last tenth of a second may go unseen; starting two interpreters comes on top.
    assert 0.45 < usage.cpu_seconds < 1.2
    assert usage.seconds > 0.6


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(InputError, match="failed: out of luck"):
        run_measured([sys.executable, "-c", "import sys; sys.exit('lost\\nout of luck')"])


def test_made_recordings_hold_their_phrase_again_and_again(tmp_path: Path) -> None:
    make_recordings(tmp_path, 2, 50.0, 16_000, 2)
    first, second = sorted((tmp_path / "train").glob("*.wav"))
    assert first.read_bytes() == second.read_bytes()
    audio, rate = soundfile.read(first)
    assert (rate, audio.shape) == (16_000, (800_000, 2))
    np.testing.assert_array_equal(audio[:320_000], audio[320_000:640_000])
    assert np.abs(audio[:, 0]).max() > 0.1
    notes = read_labels(first.with_suffix(".csv"))
    once = phrase()
    expected = np.concatenate([once.onset, once.onset + 20, once.onset[once.offset <= 10] + 40])
    np.testing.assert_allclose(np.sort(notes.onset), np.sort(expected), atol=1e-3)


def _peaks(folder: Path, cases: list[tuple[int, float]]) -> tuple[float, float]:
    """Peak memory in MB of preparing recordings, and of making windows of them."""
    for number, (count, seconds) in enumerate(cases):
        made = folder / str(number)
        make_recordings(made, count, seconds, 16_000, 1)
        (folder / "source" / "train").mkdir(parents=True, exist_ok=True)
        for path in (made / "train").iterdir():
            path.rename(folder / "source" / "train" / f"{number}_{path.name}")
    output = folder / "prepared"
    command = [sys.executable, "-m", "pipelines.commands.prepare", "--dataset=folder"]
    command += [f"--source={folder / 'source'}", f"--output={output}", "--workers=1", "--shards=2"]
    prepared = run_measured(command)
    speed = in_fresh_process(deliver, str(output), "icpr2020_mel", 2, 6)
    return prepared.peak_megabytes, speed.peak_megabytes


def test_memory_depends_on_neither_number_nor_length(tmp_path: Path) -> None:
    few = _peaks(tmp_path / "few", [(4, 10.0)])
    # One hour is 115 MB as 16-bit samples and twice that as floats.
    many = _peaks(tmp_path / "many", [(200, 1.0), (1, 3600.0)])
    for what, before, after in zip(("bin/prepare", "windows"), few, many, strict=True):
        assert after - before < 60, (what, few, many)


def test_the_benchmark_of_the_input_pipeline_prints_its_table() -> None:
    command = [sys.executable, "-m", "pipelines.commands.benchmark", "input", "--preset=tiny"]
    command += ["--recordings=2", "--minutes=0.2", "--batch_size=2", "--batches=2", "--steps=1"]
    done = subprocess.run(
        [*command, "--repeats=1"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("tiny, batches of 2 windows of ")
    rates = [float(line.split()[-5]) for line in lines[2:4]]
    assert rates[0] > rates[1] > 0
    assert float(lines[4].split()[1]) == pytest.approx(rates[0] / rates[1], rel=0.1)
