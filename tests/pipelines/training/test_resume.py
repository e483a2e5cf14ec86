"""Test bin/train after kills, signals and full disks: files left, and the resumed run."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.processes import start
from tests.support.small_data import prepare_noise

STEPS = 40
FLAGS = [
    *("--preset=tiny", "--model_channels=4", "--nomodel_reconstruction"),
    *("--model_temporal_context=none", "--nomodel_second_pass", "--training_batch_size=2"),
    *("--training_window_frames=32", f"--training_steps={STEPS}", "--training_ema=0.9"),
    *("--augment_gain_db=6", "--report_steps=3", "--checkpoint_seconds=0"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_noise(tmp_path_factory.mktemp("data"))


def _small_files() -> None:
    # Lines of text fit, a checkpoint does not.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def _start(
    data: Path, run_dir: Path, *flags: str, prepare: Callable[[], None] | None = None
) -> ForkServerProcess:
    return start(
        *("pipelines.commands.train", *FLAGS, f"--data={data}", f"--run_dir={run_dir}", *flags),
        output=_output(run_dir),
        prepare=prepare,
    )


def _output(run_dir: Path) -> Path:
    return run_dir.with_suffix(".txt")


def _finish(process: ForkServerProcess, run_dir: Path) -> tuple[int | None, str]:
    process.join(120)
    return process.exitcode, _output(run_dir).read_text()


def _has_printed(text: str, run_dir: Path) -> bool:
    return _output(run_dir).exists() and text in _output(run_dir).read_text()


def _latest(run_dir: Path) -> int:
    """Step of the latest whole checkpoint; 0 without any."""
    latest = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
    return int(latest.rpartition("-")[2]) if latest else 0


def _wait(condition: Callable[[], bool], process: ForkServerProcess) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.is_alive() and time.monotonic() < deadline
        # Short beside the writing of a checkpoint; without it the waiting takes a core from who is waited for.
        time.sleep(0.002)


def _being_written(run_dir: Path) -> bool:
    """Whether there are files of a checkpoint that the list of checkpoints does not name yet."""
    folder = run_dir / "checkpoints"
    try:
        listed = (folder / "checkpoint").read_text()
        return any(
            name.startswith("ckpt-") and f'"{name.split(".")[0].split("_")[0]}"' not in listed
            for name in os.listdir(folder)
        )
    except FileNotFoundError:
        return False


def _tensors(run_dir: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints"))
    names = reader.get_variable_to_shape_map()
    return {
        name: reader.get_tensor(name) for name in names if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    code, said = _finish(_start(data, run_dir), run_dir)
    assert code == 0, said
    return run_dir


def _same_run(run_dir: Path, undisturbed: Path) -> None:
    ours, theirs = _tensors(run_dir), _tensors(undisturbed)
    assert ours.keys() == theirs.keys()
    assert any("optimizer" in name for name in ours)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
    # The losses of every step, in the order of the data.
    assert (run_dir / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_change_nothing(data: Path, undisturbed: Path, tmp_path: Path, kills: int) -> None:
    run_dir, chance, in_writing = tmp_path / "run", random.Random(4), 0
    for kill in range(kills):
        begun = _latest(run_dir)
        process = _start(data, run_dir)
        ahead = begun + chance.randint(1, 2)
        _wait(lambda ahead=ahead: _latest(run_dir) >= ahead, process)  # type: ignore[misc]
        if kill % 2:
            _wait(lambda: _being_written(run_dir), process)
        else:
            time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        in_writing += _being_written(run_dir)
        assert begun < _latest(run_dir) < STEPS
    # By chance: a checkpoint may be complete before the process is killed.
    assert in_writing >= 1 or kills < 10
    code, said = _finish(_start(data, run_dir), run_dir)
    assert code == 0, said
    assert "going on from step" in said
    _same_run(run_dir, undisturbed)


def test_signals_end_with_a_checkpoint_and_a_code_of_their_own(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        begun = _latest(run_dir)
        _output(run_dir).unlink(missing_ok=True)
        process = _start(data, run_dir, "--checkpoint_seconds=1000")
        _wait(lambda: _has_printed("  loss ", run_dir), process)
        os.kill(process.pid or 0, number)
        begin = time.monotonic()
        code, said = _finish(process, run_dir)
        assert time.monotonic() - begin < 20
        assert code == 75
        assert begun < _latest(run_dir) < STEPS
        stopped = f"stopped after step {_latest(run_dir)}, with a checkpoint; the same command"
        assert stopped in said
        assert ("Ctrl-C again stops at once" in said) == (number == signal.SIGINT)

    code, said = _finish(_start(data, run_dir, "--model_channels=5"), run_dir)
    assert code == 1
    assert "begun with another network: model.channels was [4], is [5]" in said

    code, said = _finish(_start(data, run_dir), run_dir)
    assert code == 0, said
    _same_run(run_dir, undisturbed)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(data: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    # A step takes long beside the time between the two.
    slow = ("--training_batch_size=256", "--checkpoint_seconds=1000", "--report_steps=1")
    process = _start(data, run_dir, *slow)
    _wait(lambda: _has_printed("step 1/", run_dir), process)
    for _ in range(2):
        os.kill(process.pid or 0, signal.SIGINT)
        _wait(lambda: _has_printed("stopping after this step", run_dir), process)
    code, said = _finish(process, run_dir)
    assert code == 130, said
    assert said.endswith("\ninterrupted\n") and "Traceback" not in said
    assert _latest(run_dir) == 0


def test_a_full_disk_leaves_the_checkpoint_before(data: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    code, said = _finish(_start(data, run_dir, "--training_steps=3"), run_dir)
    assert code == 0, said
    before = _tensors(run_dir)
    process = _start(data, run_dir, "--training_steps=6", prepare=_small_files)
    code, said = _finish(process, run_dir)
    assert code == 1, said
    assert "checkpoint of step 4 cannot be written" in said
    assert "training.steps was 3, is 6" in said
    assert "Traceback" not in said
    assert _latest(run_dir) == 3
    for name, value in _tensors(run_dir).items():
        np.testing.assert_array_equal(before[name], value, err_msg=name)
    code, said = _finish(_start(data, run_dir, "--training_steps=6"), run_dir)
    assert code == 0, said
    assert "going on from step 3" in said
    assert _latest(run_dir) == 6


def test_a_loss_that_is_no_number_names_its_recordings(data: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    process = _start(data, run_dir, "--training_learning_rate=1e30")
    code, said = _finish(process, run_dir)
    assert code == 1
    found = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(found) == 1
    assert "is not a finite number; its windows are of: " in found[0]
    step = int(found[0].split("loss of step ")[1].split()[0])
    assert _latest(run_dir) == step - 1


def _with_validation(data: Path, folder: Path) -> Path:
    """A data set whose validation recordings are those it is trained on."""
    shutil.copytree(data, folder)
    for path in data.glob("train-*"):
        shutil.copy(path, folder / path.name.replace("train", "validation"))
    return folder


def test_a_run_ends_when_validation_no_longer_improves(data: Path, tmp_path: Path) -> None:
    run_dir, both = tmp_path / "run", _with_validation(data, tmp_path / "data")
    # Nothing is learned, and what is not learned does not improve.
    flags = ("--training_learning_rate=1e-30", "--validate_steps=2", "--validation_minutes=0.1")
    code, said = _finish(_start(both, run_dir, *flags, "--stop_patience=3"), run_dir)
    assert code == 0, said
    assert "validation_note_f1 has not passed 0 in 3 validations" in said
    # The first validation is the best; three more, two steps apart, are not better.
    assert _latest(run_dir) == 8
    assert (run_dir / "best.npz").exists()


def test_a_metric_that_there_is_not_is_an_error_at_the_start(data: Path, tmp_path: Path) -> None:
    run_dir, both = tmp_path / "run", _with_validation(data, tmp_path / "data")
    code, said = _finish(
        _start(both, run_dir, "--stop_metric=note_f2", "--stop_patience=1"), run_dir
    )
    assert code == 1
    assert "--stop_metric must be one of validation_" in said
    assert "Received: note_f2" in said
    assert _latest(run_dir) == 0
    code, said = _finish(_start(data, run_dir, "--stop_patience=1"), run_dir)
    assert code == 1
    assert "needs recordings to validate on" in said


def test_a_damaged_checkpoint_is_replaced_by_the_one_before(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run_dir = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    newest = run_dir / "checkpoints" / f"ckpt-{STEPS}.data-00000-of-00001"
    newest.write_bytes(newest.read_bytes()[:-100])
    code, said = _finish(_start(data, run_dir), run_dir)
    assert code == 0, said
    assert f"{newest.name} differs from its checksum" in said
    assert f"going on from step {STEPS - 1}" in said
    _same_run(run_dir, undisturbed)

    for path in (run_dir / "checkpoints").glob("*.index"):
        path.write_bytes(b"")
    code, said = _finish(_start(data, run_dir), run_dir)
    assert code == 1
    assert said.count("\n") == 1 and "holds no whole checkpoint" in said
