"""Test the preparation of data sets through the command line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from pipelines.preparation.index import load_index
from pipelines.preparation.plan import plan_shards
from pipelines.preparation.records import SEGMENT_SAMPLES
from pipelines.preparation.shards import polyphony_of
from pipelines.readers.recordings import DataSet, Recording, Source
from tests.conftest import ROOT
from tests.support.processes import command
from tests.support.small_data import every_window
from tfamt.frames import FrameGrid
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.notes.table import Notes

SECONDS = {"long": 45.0, "b": 3.0, "c": 2.5, "d": 1.0, "e": 4.0}


def _audio(name: str) -> np.ndarray:
    """Stereo noise below 5 kHz at 44.1 kHz, int16."""
    rng = np.random.default_rng(list(name.encode()))
    slow = 0.2 * rng.standard_normal((round(SECONDS[name] * 11_025), 2))
    return np.rint(soxr.resample(slow, 11_025, 44_100).clip(-1, 1) * 32_767).astype(np.int16)


def _notes(name: str) -> Notes:
    rng = np.random.default_rng(len(name))
    onset = np.round(rng.uniform(0, SECONDS[name], round(SECONDS[name] * 8)), 4)
    return Notes(onset, onset + 0.25, rng.integers(21, 109, len(onset)))


def _write(folder: Path, name: str) -> None:
    soundfile.write(folder / f"{name}.wav", _audio(name), 44_100, subtype="PCM_16")
    rows = "".join(f"{on:.4f},{off:.4f},{p},{v}\n" for on, off, p, v in _notes(name))
    (folder / f"{name}.csv").write_text("onset,offset,pitch,velocity\n" + rows)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("source")
    for split, names in {"train": ["long", "b", "c"], "validation": ["d"], "test": ["e"]}.items():
        (root / split).mkdir()
        for name in names:
            _write(root / split, name)
    return root


PYTHON = (sys.executable, "-m")


def _arguments(source: Path, output: Path, *flags: str) -> list[str]:
    options = [f"--source={source}", f"--output={output}", "--shards=2", "--dataset=folder"]
    return ["pipelines.commands.prepare", *options, "--workers=1", *flags]


def _run(
    source: Path, output: Path, *flags: str, **options: Any
) -> subprocess.CompletedProcess[str]:
    return command(*_arguments(source, output, *flags), **options)


def _content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def prepared(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("prepared") / "new" / "folder"
    done = _run(source, output)
    assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr
    return output


def test_windows_hold_the_samples_and_notes_of_the_recordings(prepared: Path) -> None:
    grid = FrameGrid(16_000, 512)
    stored = load_index(prepared, "train")
    assert sorted(item.entry.recording for item in stored) == ["train_b", "train_c", "train_long"]
    windows = {
        (stored[int(r)].entry.recording, int(s)): {key: batch[key][i].numpy() for key in batch}
        for batch in every_window(stored, 640, grid).batch(1)
        for i, (r, s) in enumerate(zip(batch["recording"], batch["start"], strict=True))
    }
    for name in ("long", "b", "c"):
        audio = soxr.resample(_audio(name) / 2**15, 44_100, 16_000).mean(axis=1)
        for start in range(0, len(audio), SEGMENT_SAMPLES):
            window = windows.pop((f"train_{name}", start))
            piece = audio[start : start + SEGMENT_SAMPLES]
            # Half a step of 16 bits, and what the resampler's own rounding may add.
            np.testing.assert_allclose(window["waveform"][: len(piece)], piece, atol=2.0**-15)
            rolls = notes_to_rolls(_notes(name), 640, grid, start)
            np.testing.assert_array_equal(window["onset"], rolls["onset"])
    assert not windows


def test_manifest_and_description_say_what_is_there(prepared: Path) -> None:
    manifest = json.loads((prepared / "manifest.json").read_text())
    train = manifest["splits"]["train"]
    assert train["recordings"] == 3
    assert train["hours"] == pytest.approx((45 + 3 + 2.5) / 3600, abs=1e-6)
    assert train["notes"] == 45 * 8 + 3 * 8 + 20
    assert train["groups"] == {"train": 3}
    assert len(manifest["shards"]) == 4
    content = _content(prepared)
    assert {name: shard["sha256"] for name, shard in manifest["shards"].items()} == {
        name: checksum for name, checksum in content.items() if name.endswith(".tfrecord")
    }
    assert (prepared / "report.txt").read_text() == "Nothing was left out.\n"
    printed = command("pipelines.commands.prepare", f"--describe={prepared}").stdout
    rows = [line.split() for line in printed.splitlines()]
    assert ["train", "3", "0.01", "404", "8.0"] in rows
    assert (prepared / "describe.png").read_bytes().startswith(b"\x89PNG")
    (prepared / "describe.png").unlink()


def test_killed_at_any_moment_it_ends_with_the_same_bytes(
    source: Path, prepared: Path, tmp_path: Path
) -> None:
    expected = _content(prepared)
    output = tmp_path / "output"
    kept: dict[str, int] = {}
    # Before anything is written, when the plan is there, and after the first and the third shard.
    for indices, files in ((0, 0), (0, 1), (1, 0), (3, 0)):
        process = subprocess.Popen(
            [*PYTHON, *_arguments(source, output)],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        while process.poll() is None and (
            len(list(output.glob("*.index.json"))) < indices
            or len(list(output.glob("[.a-z]*"))) < files
        ):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (output / "manifest.json").exists()
        for path in output.glob("*.index.json"):
            assert kept.setdefault(path.name, path.stat().st_ino) == path.stat().st_ino
    assert kept
    # What a kill leaves of a shard, and a shard that was damaged since, are made anew.
    (output / ".test-00000-of-00001.tfrecord.abc.tfrecord").write_bytes(b"half")
    damaged = output / sorted(kept)[0].replace(".index.json", ".tfrecord")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert _run(source, output, "--workers=2").returncode == 0
    assert {**_content(output), "plan.json": ""} == {**expected, "plan.json": ""}
    for name in sorted(kept)[1:]:
        assert (output / name).stat().st_ino == kept[name]


def test_a_changed_source_or_option_is_noticed(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "source"
    (root / "train").mkdir(parents=True)
    for name in ("b", "c"):
        _write(root / "train", name)
    output = tmp_path / "output"
    assert _run(root, output).returncode == 0
    before = _content(output)
    again = _run(root, output)
    assert (again.returncode, _content(output)) == (0, before)
    shards = _run(root, output, "--shards=1")
    assert shards.returncode == 1
    assert "shards was 2, now 1" in shards.stderr
    os.utime(root / "train" / "b.wav", (1, 1))
    changed = _run(root, output)
    assert changed.returncode == 1
    assert "train_b: changed in the source" in changed.stderr
    assert "--overwrite" in changed.stderr
    assert len(changed.stderr.splitlines()) == 1
    assert _content(output) == before
    (root / "train" / "c.wav").unlink()
    assert _run(root, output, "--overwrite").returncode == 0
    assert [item.entry.recording for item in load_index(output, "train")] == ["train_b"]
    assert sorted(path.name for path in output.glob("*.tfrecord")) == [
        "train-00000-of-00001.tfrecord"
    ]


def test_bad_recordings_are_left_out_and_named(tmp_path: Path) -> None:
    root = tmp_path / "source" / "train"
    root.mkdir(parents=True)
    for name in ("b", "c", "d", "e"):
        _write(root, name)
    (root / "nolabel.wav").write_bytes((root / "b.wav").read_bytes())
    nan = np.zeros(20_000, np.float32)
    nan[-1] = np.nan
    for name, audio in {"nan": nan, "silent": np.zeros(20_000, np.float32)}.items():
        soundfile.write(root / f"{name}.wav", audio, 16_000, subtype="FLOAT")
        (root / f"{name}.csv").write_text("onset,offset,pitch\n0.1,0.2,60\n")
    (root / "c.wav").write_bytes(b"no audio")
    (root / "d.csv").write_text("onset,offset,pitch\n0.1,0.2,abc\n")
    (root / "e.csv").write_text("onset,offset,pitch\n0.1,0.2,60\n9.0,9.5,60\n")
    output = tmp_path / "output"
    done = _run(root.parent, output)
    assert done.returncode == 1
    assert [item.entry.recording for item in load_index(output, "train")] == ["train_b"]
    report = json.loads((output / "report.json").read_text())
    reasons = {item["name"]: item["reason"] for item in report["failed"]}
    assert list(reasons) == ["train_c", "train_d", "train_e", "train_nan", "train_silent"]
    for name, text in {
        "train_c": "c.wav",
        "train_d": "line 2: a field is not a number",
        "train_e": "5.0 s after the end of its audio (4.0 s)",
        "train_nan": "nan.wav",
        "train_silent": "silent from beginning to end",
    }.items():
        assert text in reasons[name]
        assert reasons[name] in (output / "report.txt").read_text()
        assert f"error: {name}: " in done.stderr
    assert [Path(item["name"]).name for item in report["not used"]] == ["nolabel.wav"]
    # Started again it says the same, and does nothing.
    before = _content(output)
    again = _run(root.parent, output)
    assert (again.returncode, _content(output)) == (1, before)


def test_nothing_usable_is_an_error_and_makes_no_manifest(tmp_path: Path) -> None:
    root = tmp_path / "source" / "train"
    root.mkdir(parents=True)
    nothing = _run(root.parent, tmp_path / "output")
    assert nothing.returncode == 1
    assert "no usable recording of folder was found" in nothing.stderr
    assert not (tmp_path / "output").exists()
    (root / "a.wav").write_bytes(b"no audio")
    (root / "a.csv").write_text("onset,offset,pitch\n0.1,0.2,60\n")
    useless = _run(root.parent, tmp_path / "output")
    assert useless.returncode == 1
    assert "not one of the 1 recordings could be used; the first: train_a: " in useless.stderr
    assert not (tmp_path / "output" / "manifest.json").exists()


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_clear_line(source: Path, tmp_path: Path, workers: int) -> None:
    output = tmp_path / "output"
    full = _run(source, output, f"--workers={workers}", prepare=_limit_files)
    assert full.returncode == 1
    assert "File too large" in full.stderr
    errors = [line for line in full.stderr.splitlines() if not line[:1].isdigit()]
    assert len(errors) == 1
    # Nothing of Beam's or TensorFlow's own words around it.
    assert re.fullmatch(r"error: [^;\[]* \(File too large\)[^;\[]*", errors[0]), errors
    assert not (output / "manifest.json").exists()


def test_a_folder_that_cannot_be_written_is_said_at_once(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _run(source, tmp_path / "file" / "output")
    assert done.returncode == 1
    assert "output: cannot be created" in done.stderr
    missing = _run(tmp_path / "nowhere", tmp_path / "output")
    assert missing.returncode == 1
    assert "nowhere: there is no such folder" in missing.stderr


def test_a_shard_holds_the_same_whatever_else_there_is(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    file = Source(str(tmp_path / "x"))
    recordings = [Recording(f"r{i}", "train", "p", "g", file, file, "l") for i in range(11)]
    jobs = plan_shards(DataSet("folder", recordings), tmp_path, 4)
    assert [job.name for job in jobs] == [f"train-{i:05d}-of-00004" for i in range(4)]
    assert sorted(len(job.recordings) for job in jobs) == [2, 3, 3, 3]
    again = plan_shards(DataSet("folder", recordings[::-1]), tmp_path, 4)
    assert [job.fingerprint for job in again] == [job.fingerprint for job in jobs]
    os.utime(tmp_path / "x", (5, 5))
    changed = plan_shards(DataSet("folder", recordings), tmp_path, 4)
    assert not {job.fingerprint for job in changed} & {job.fingerprint for job in jobs}


def test_polyphony_worked_by_hand() -> None:
    notes = Notes([1.0, 1.5, 1.5, 3.0], [2.0, 1.75, 9.0, 3.5], [60, 62, 64, 65])
    # 0: 0-1; 1: 1-1.5, 2-3 and 3.5-4; 2: 1.75-2 and 3-3.5; 3: 1.5-1.75, in seconds of 16,000 samples.
    assert polyphony_of(notes, 64_000) == {0: 16_000, 1: 32_000, 2: 12_000, 3: 4_000}
    assert polyphony_of(Notes.empty(), 100) == {0: 100}


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(child) for task in tasks for child in task.read_text().split()]
    return found + [grandchild for child in found for grandchild in _children(child)]


def test_ctrl_c_says_what_is_kept(source: Path, tmp_path: Path) -> None:
    """It reaches the workers, too, as from a terminal."""
    output = tmp_path / "output"
    process = subprocess.Popen(
        [*PYTHON, *_arguments(source, output, "--workers=2")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not list(output.glob(".*.tfrecord")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, printed = process.communicate(timeout=30)
    assert process.returncode == 130
    kept, interrupted = printed.splitlines()[-2:]
    assert re.fullmatch(
        r"\d of 5 recordings are prepared and kept; the same command resumes from there", kept
    )
    assert interrupted == "interrupted"
    assert "Traceback" not in printed


def test_a_worker_that_dies_is_an_error_and_not_a_wait(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    process = subprocess.Popen(
        [*PYTHON, *_arguments(source, output, "--workers=2")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(output.glob(".*.tfrecord")):
        time.sleep(0.01)
    # Each is a shell with the worker below it.
    os.kill(_children(process.pid)[-1], signal.SIGKILL)
    _, printed = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "error: a worker process died" in printed
    assert "Traceback" not in printed
