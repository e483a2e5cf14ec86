"""Test that a damaged checkpoint is found, and the one before restored."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfamt.errors import InputError
from tfamt.training.checkpoint_files import CHECKSUMS, newest_whole_step
from tfamt.training.checkpoints import Checkpoints


class Run:
    """State of a run: a step, and numbers that depend on it."""

    def __init__(self, folder: Path):
        self.step = tf.Variable(0, dtype=tf.int64)
        self.numbers = tf.Variable(np.zeros(300, np.float32))
        self.checkpoints = Checkpoints(folder, folder, step=self.step, numbers=self.numbers)
        self.warnings: list[str] = []

    def save(self, step: int) -> None:
        self.step.assign(step)
        self.numbers.assign(np.sin(np.arange(300, dtype=np.float32) + step))
        self.checkpoints.save(step)

    def restore(self) -> int:
        """The step that is restored, 0 for none."""
        if not self.checkpoints.restore(self.warnings.append):
            return 0
        step = int(self.step.numpy())
        expected = np.sin(np.arange(300, dtype=np.float32) + step)
        np.testing.assert_array_equal(self.numbers.numpy(), expected)
        return step


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the checkpoints of steps 2 and 30."""
    folder = tmp_path_factory.mktemp("whole")
    run = Run(folder)
    for step in (1, 2, 30):
        run.save(step)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def newest(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob("ckpt-30.*"))


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << position % 8
    path.write_bytes(content)


def test_the_last_two_are_kept_with_their_checksums(folder: Path) -> None:
    endings = ["data-00000-of-00001", "index", CHECKSUMS[1:]]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == sorted(
        ["checkpoint", *(f"ckpt-{step}.{ending}" for step in (2, 30) for ending in endings)]
    )
    # As TensorFlow's own tools find it.
    latest = tf.train.latest_checkpoint(str(folder / "checkpoints"))
    assert latest == str(folder / "checkpoints" / "ckpt-30")
    run = Run(folder)
    assert (run.restore(), run.warnings) == (30, [])
    run.save(31)
    steps = {path.name.split(".")[0] for path in (folder / "checkpoints").iterdir()}
    assert steps == {"checkpoint", "ckpt-30", "ckpt-31"}


@pytest.mark.parametrize("has_checksums", [True, False])
def test_a_flipped_bit_anywhere_falls_back(folder: Path, has_checksums: bool) -> None:
    """Without checksums, as in earlier versions, TensorFlow finds it, or it makes no difference."""
    chance = random.Random(1)
    if not has_checksums:
        for path in (folder / "checkpoints").glob(f"*{CHECKSUMS}"):
            path.unlink()
    for path in newest(folder):
        content = path.read_bytes()
        for position in chance.sample(range(len(content)), 25):
            flip(path, position)
            run = Run(folder)
            found = run.restore()
            assert found == 2 or (not has_checksums and found == 30)
            if found == 2:
                assert len(run.warnings) == 1
                assert "ckpt-30 is damaged" in run.warnings[0]
                assert run.warnings[0].endswith("the run resumes from step 2")
        path.write_bytes(content)
    assert Run(folder).restore() == 30


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "differs from its checksum"),
        (lambda path: path.write_bytes(b""), "differs from its checksum"),
        (Path.unlink, "is missing"),
    ],
    ids=["cut", "empty", "missing"],
)
def test_a_file_cut_or_missing_falls_back(
    folder: Path, damage: Callable[[Path], None], reason: str
) -> None:
    for path in newest(folder):
        if path.name.endswith(CHECKSUMS):
            continue
        content = path.read_bytes()
        damage(path)
        run = Run(folder)
        assert run.restore() == 2
        assert f"({path.name} {reason})" in run.warnings[0]
        path.write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"\xff\x00\xfe", b'model_checkpoint_path: "ckpt-', None])
def test_the_list_of_checkpoints_may_be_damaged(folder: Path, content: bytes | None) -> None:
    listed = folder / "checkpoints" / "checkpoint"
    if content is None:
        listed.unlink()
    else:
        listed.write_bytes(content)
    run = Run(folder)
    assert (run.restore(), run.warnings) == (30, [])
    run.save(31)
    assert tf.train.latest_checkpoint(str(folder / "checkpoints")).endswith("ckpt-31")


def test_after_a_fall_back_the_damaged_one_is_replaced(folder: Path) -> None:
    assert newest_whole_step(folder / "checkpoints") == 30
    flip(folder / "checkpoints" / "ckpt-30.index", 5)
    assert newest_whole_step(folder / "checkpoints") == 2
    run = Run(folder)
    assert run.restore() == 2
    run.save(3)
    steps = {path.name.split(".")[0] for path in (folder / "checkpoints").iterdir()}
    assert steps == {"checkpoint", "ckpt-2", "ckpt-3"}
    again = Run(folder)
    assert (again.restore(), again.warnings) == (3, [])


def test_none_whole_is_refused_with_each_reason(folder: Path) -> None:
    (folder / "checkpoints" / "ckpt-30.index").unlink()
    flip(folder / "checkpoints" / "ckpt-2.data-00000-of-00001", 100)
    with pytest.raises(InputError, match="holds no whole checkpoint") as caught:
        Run(folder).restore()
    assert "ckpt-30.index is missing" in str(caught.value)
    assert "ckpt-2.data-00000-of-00001 differs from its checksum" in str(caught.value)
    assert "--run_dir" in str(caught.value)


def test_checkpoints_of_earlier_versions_are_restored(tmp_path: Path) -> None:
    """Those of TensorFlow's manager, without checksums and with its counter."""
    run = Run(tmp_path)
    checkpoint = tf.train.Checkpoint(step=run.step, numbers=run.numbers)
    manager = tf.train.CheckpointManager(checkpoint, str(tmp_path / "checkpoints"), 2)
    for step in (7, 8):
        run.step.assign(step)
        run.numbers.assign(np.sin(np.arange(300, dtype=np.float32) + step))
        manager.save(checkpoint_number=step)
    assert Run(tmp_path).restore() == 8
    (tmp_path / "checkpoints" / "ckpt-8.index").unlink()
    fallen_back = Run(tmp_path)
    assert fallen_back.restore() == 7
    assert "ckpt-8.index is missing" in fallen_back.warnings[0]


def test_one_that_was_being_written_is_none(folder: Path, tmp_path: Path) -> None:
    (folder / "checkpoints" / "ckpt-40.data-00000-of-00001").write_bytes(b"half")
    run = Run(folder)
    assert (run.restore(), run.warnings) == (30, [])
    assert Run(tmp_path / "nothing").restore() == 0
    assert newest_whole_step(tmp_path / "nothing" / "checkpoints") == 0
