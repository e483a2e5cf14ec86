"""Test bin/benchmark through the command line: printed figures, and that memory is bounded."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.arithmetic import multiply_adds
from benchmarks.made_recordings import make_recordings
from benchmarks.measuring import in_fresh_process, in_turns, peak_megabytes, run_measured
from tests.support.processes import command
from tfamt.audio import reading as audio_module
from tfamt.config import Config, ModelConfig
from tfamt.errors import InputError
from tfamt.network.model import build_model
from tfamt.notes.label_files import read_labels


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return command("benchmarks.command", *arguments, cwd=cwd)


def _figures(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.?\d*", text)]


def test_measured_commands_are_charged_with_their_children() -> None:
    busy = "sum(range(10**7)); x = bytearray(60 * 2**20)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{busy}; import time; time.sleep(.4)'])"
    usage = run_measured([sys.executable, "-c", child])
    alone = run_measured([sys.executable, "-c", "import time; time.sleep(.4)"])
    assert 55 < usage.peak_megabytes - alone.peak_megabytes < 75
    assert usage.seconds > 0.4
    assert usage.cpu_seconds > alone.cpu_seconds + 0.05
    with pytest.raises(InputError, match="failed: no such thing"):
        run_measured([sys.executable, "-c", "import sys; sys.exit('no such thing')"])


def test_calls_take_turns_and_are_charged_with_their_own_time() -> None:
    order: list[str] = []

    def idle() -> None:
        order.append("idle")
        time.sleep(0.02)

    def busy() -> None:
        order.append("busy")
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass

    times = in_turns({"idle": idle, "busy": busy}, repeats=3)
    assert order == ["idle", "busy"] * 5
    assert [len(turns) for turns in times.values()] == [3, 3]
    for wall, cpu in times["idle"]:
        assert wall >= 0.02 and cpu < 0.01
    for wall, cpu in times["busy"]:
        assert wall >= cpu * 0.9 and cpu >= 0.02


def _grow(megabytes: int) -> float:
    before = peak_megabytes()
    data = np.ones(megabytes * 2**17)
    return peak_megabytes() - before + 0 * data[0]


def test_peak_memory_is_that_of_the_process_itself() -> None:
    ballast = np.ones(2**24)
    assert in_fresh_process(_grow, 50) == pytest.approx(50, abs=5)
    assert ballast[0]


def test_made_recordings_are_what_is_asked_for(tmp_path: Path) -> None:
    make_recordings(tmp_path, 2, 30.0, 44_100, 2)
    names = sorted(path.name for path in (tmp_path / "train").iterdir())
    assert names == ["piece00000.csv", "piece00000.wav", "piece00001.csv", "piece00001.wav"]
    audio = audio_module.read(tmp_path / "train" / "piece00001.wav")
    assert len(audio) == 30 * 16_000
    notes = read_labels(tmp_path / "train" / "piece00001.csv")
    # 160 notes in the first 20 s, those of the next 10 s that end in time.
    assert 200 < len(notes) < 240
    assert notes.offset.max() <= 30.0
    # It sounds from its first note on, and is silent before.
    first = int(notes.onset.min() * 16_000)
    assert np.abs(audio[: first - 200]).max(initial=0) < 0.1 * np.abs(audio[first:][:3200]).max()


@pytest.mark.slow
def test_prepare_prints_its_speed(root: Path) -> None:
    done = run("prepare", "--recordings=1", "--minutes=0.2", "--repeats=1", cwd=root)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "recordings: 1 of 12 s, 44.1 kHz stereo 16-bit wav"
    start, everything, _ = _figures(lines[1])
    assert 0 < start < 60
    # 12 s of audio over the time that the line before says (which is rounded).
    assert _figures(lines[3])[0] == pytest.approx(12 / everything, abs=1.5)


@pytest.mark.slow
def test_input_prints_both_rates_and_their_ratio(root: Path) -> None:
    done = run(
        *("input", "--preset=tiny", "--batch_size=2", "--batches=20", "--steps=2", "--repeats=1"),
        *("--recordings=2", "--minutes=0.2"),
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "tiny, batches of 2 windows of 2.05 s"
    delivered, trained = (_figures(line) for line in lines[2:4])
    for ours, theirs, ratio in zip(delivered, trained, _figures(lines[4]), strict=False):
        assert ratio == pytest.approx(ours / theirs, rel=0.05)
    by_clock, _, audio_seconds, peak = delivered
    assert audio_seconds == pytest.approx(2.048 * by_clock, rel=0.05)
    assert 100 < peak < 2000


@pytest.mark.slow
def test_train_prints_times_that_add_up(root: Path) -> None:
    done = run("train", "--preset=tiny", "--batch_size=2", "--repeats=1", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "multiply-adds per CPU second" in done.stdout
    rows = re.findall(r"^(\w+) +(-?[\d.]+) +(-?[\d.]+)$", done.stdout, re.MULTILINE)
    wall = {part: float(seconds) for part, seconds, _ in rows}
    assert list(wall) == ["input", "forward", "backward", "update", "step"]
    assert wall["forward"] + wall["backward"] + wall["update"] == pytest.approx(
        wall["step"], abs=2e-3
    )
    assert wall["forward"] > 0 and wall["step"] > 0


@pytest.mark.slow
def test_train_prints_the_memory_of_a_run(root: Path) -> None:
    done = run("train", "--preset=tiny", "--batch_size=2", "--steps=20", cwd=root)
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"tiny, batch 2: (\d+) MB after 2 steps, (\d+) MB after 20\n", done.stdout)
    assert found is not None, done.stdout
    assert 200 < int(found[1]) < 2000 and 200 < int(found[2]) < 2000


def test_multiply_adds_by_hand() -> None:
    settings = ModelConfig(channels=(4,), context_units=3, reconstruction=False)
    config = Config(model=settings)
    pixels, half = 32 * 229, 16 * 114
    unet = (
        pixels * 9 * 1 * 4 + pixels * 9 * 4 * 4 + pixels * 1 * 4  # down: two convolutions, one around
        + half * 4 * 4 * 4  # 2x2 with stride 2
        + (half + 16) * 4 * 16  # and back, with one more column for the 229th bin
        + pixels * 9 * 4 * 2 + pixels * 9 * 2 * 1  # up
    )  # fmt: skip
    lstm = 2 * 32 * (229 + 3) * 12
    assert multiply_adds(build_model(config), 32, 229) == unet + lstm + 32 * 6 * 88


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            [],
            "name the part to measure: backends, conditions, deviations, input, prepare, train, transcribe",
        ),
        (["everything"], "Received: everything"),
        (["prepare", "now"], "no arguments but flags. Received: now"),
    ],
)
def test_wrong_use_is_said(arguments: list[str], said: str, root: Path) -> None:
    done = run(*arguments, cwd=root)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_memory_of_windows_does_not_depend_on_number_or_length(tmp_path: Path) -> None:
    peaks = [
        in_fresh_process(_peak_of_windows, str(tmp_path / f"{count}x{segments}"), count, segments)
        for count, segments in ((2, 2), (120, 2), (2, 120))
    ]
    assert max(peaks) - min(peaks) < 60, peaks


def _peak_of_windows(folder: str, count: int, segments: int) -> float:
    """Peak memory, in MB, of drawing windows from recordings whose samples are 19 MB or 1 GB as floats."""
    from pipelines.input.training_windows import training_batches
    from pipelines.preparation.index import load_index
    from pipelines.preparation.records import SEGMENT_SAMPLES
    from tests.pipelines.input.test_training_windows import GRID, write_repeated

    write_repeated(Path(folder), count, segments, SEGMENT_SAMPLES)
    batches = training_batches(
        load_index(folder, "train"), num_frames=320, batch_size=4, grid=GRID, seed=0
    )
    for _ in zip(range(30), batches, strict=False):
        pass
    return peak_megabytes()


@pytest.mark.slow
def test_memory_of_preparing_does_not_depend_on_number_or_length(tmp_path: Path) -> None:
    cases = {"few": (2, 5.0), "many": (150, 1.0), "long": (1, 3600.0)}
    peaks = [
        in_fresh_process(_peak_of_preparing, str(tmp_path / name), *case)
        for name, case in cases.items()
    ]
    # An hour is 230 MB as floats.
    assert max(peaks) - min(peaks) < 60, peaks


def _peak_of_preparing(folder: str, count: int, seconds: float) -> float:
    """Peak memory, in MB, of the process that writes all shards of so many recordings."""
    from pipelines.preparation.plan import plan_shards
    from pipelines.preparation.shards import write_shard
    from pipelines.readers.folder import read

    make_recordings(Path(folder), count, seconds, 16_000, 1)
    jobs = plan_shards(read(folder), Path(folder), 4)
    assert sum(len(job.recordings) for job in jobs) == count
    for job in jobs:
        write_shard(job)
        assert len(job.index.read_bytes()) > 0
    return peak_megabytes()
