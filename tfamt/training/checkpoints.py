"""Save and restore the state of a run; fall back to an earlier checkpoint where the newest is damaged."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfamt.errors import InputError, reason_of
from tfamt.utils.atomic_files import atomic_write

CHECKSUMS = ".sha256.json"
"""Ending of the file that holds the checksums of a checkpoint's other files, by name."""
_KEPT = 2
_STEP = re.compile(r"ckpt-(\d+)\.")
_LISTED_STEP = re.compile(rb'model_checkpoint_path: "(?:[^"]*/)?ckpt-(\d+)"')


class Checkpoints:
    """Keep the last two checkpoints of a run, each with the checksums of its files.

    Args:
      run_dir: the run folder, which restoring reads.
      own_folder: the folder that saving writes: the run folder, or a temporary one for workers beside the chief.
      state: everything that a step depends on, by name.
    """

    def __init__(self, run_dir: Path, own_folder: Path, **state: Any):
        self._run_dir = run_dir
        self._own = own_folder / "checkpoints"
        self._checkpoint = tf.train.Checkpoint(**state)
        self._kept: list[int] = []

    def restore(self, warn: Callable[[str], None]) -> bool:
        """Restore the newest whole checkpoint of the run folder; return False where there is no checkpoint.

        Args:
          warn: called with one line for each newer checkpoint that is damaged.

        Raises:
          InputError: there are checkpoints, and all are damaged.
        """
        folder = self._run_dir / "checkpoints"
        damaged: list[str] = []
        for step in sorted(_steps(folder), reverse=True):
            try:
                _verify(folder, step)
                status = self._checkpoint.read(str(_prefix(folder, step)))
                status.assert_existing_objects_matched()
            # A damaged file may fail in any part of what reads it.
            except Exception as error:
                damaged.append(
                    f"checkpoint {_prefix(folder, step)} is damaged ({reason_of(error)})"
                )
                continue
            for problem in damaged:
                warn(f"{problem}; the run resumes from step {step}")
            self._kept = [step]
            return True
        if damaged:
            raise InputError(
                f"holds no whole checkpoint: {'; '.join(damaged)}",
                path=self._run_dir,
                fix="Restore the folder from a copy, or begin anew with another --run_dir; --initial_weights takes "
                "its weights.npz.",
            )
        return False

    def save(self, step: int) -> None:
        """Write the checkpoint of a step, and delete all but the last two.

        Raises:
          InputError: the disk is full or the folder cannot be written; the checkpoint before is whole.
        """
        try:
            self._checkpoint.write(str(_prefix(self._own, step)))
            _write_checksums(self._own, step)
            self._kept = [*(kept for kept in self._kept if kept != step), step][-_KEPT:]
            self._write_list()
            self._delete_others()
        except (OSError, tf.errors.OpError, InputError) as error:
            raise unwritable(self._run_dir, step, error) from error

    def _write_list(self) -> None:
        """Write the list of checkpoints that TensorFlow's own tools read."""
        lines = [f'model_checkpoint_path: "ckpt-{self._kept[-1]}"']
        lines += [f'all_model_checkpoint_paths: "ckpt-{step}"' for step in self._kept]
        atomic_write(self._own / "checkpoint", "\n".join(lines) + "\n")

    def _delete_others(self) -> None:
        for path in self._own.glob("ckpt-*"):
            found = _STEP.match(path.name)
            if found and int(found[1]) not in self._kept and path.is_file():
                path.unlink(missing_ok=True)


def _prefix(folder: Path, step: int) -> Path:
    return folder / f"ckpt-{step}"


def _files(folder: Path, step: int) -> list[Path]:
    """Return the files of a checkpoint that TensorFlow has written."""
    prefix = f"ckpt-{step}."
    return sorted(
        path
        for path in folder.glob(f"{prefix}*")
        if path.name == f"{prefix}index"
        or re.fullmatch(r"data-\d+-of-\d+", path.name[len(prefix) :])
    )


def _steps(folder: Path) -> set[int]:
    """Return the steps of which there are, or should be, checkpoints.

    One without index and checksums that no list names was being written when the process died.
    """
    endings = (".index", CHECKSUMS)
    names = [path.name for path in folder.glob("ckpt-*") if path.name.endswith(endings)]
    steps = {int(found[1]) for name in names if (found := _STEP.match(name))}
    listed = folder / "checkpoint"
    if listed.is_file():
        steps |= {int(step) for step in _LISTED_STEP.findall(listed.read_bytes())}
    return steps


def _write_checksums(folder: Path, step: int) -> None:
    checksums = {path.name: _sha256(path) for path in _files(folder, step)}
    atomic_write(folder / f"ckpt-{step}{CHECKSUMS}", json.dumps(checksums, indent=1) + "\n")


def _verify(folder: Path, step: int) -> None:
    """Compare the files of a checkpoint with their checksums, where it has some: earlier versions wrote none.

    Raises:
      ValueError: a file is missing or differs; the message names it.
    """
    checksums = folder / f"ckpt-{step}{CHECKSUMS}"
    if not checksums.exists():
        if not (folder / f"ckpt-{step}.index").exists():
            raise ValueError(f"ckpt-{step}.index is missing")
        return
    try:
        stored = dict(json.loads(checksums.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{checksums.name} cannot be read") from error
    for name, checksum in stored.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise ValueError(f"{name} is missing")
        if _sha256(path) != checksum:
            raise ValueError(f"{name} differs from its checksum")
    if {path.name for path in _files(folder, step)} - stored.keys():
        raise ValueError(f"{checksums.name} lacks some of its files")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unwritable(run_dir: Path, step: int, error: Exception) -> InputError:
    """Return the error for a checkpoint that cannot be written."""
    return InputError(
        f"the checkpoint of step {step} cannot be written ({reason_of(error)}); the one before is whole",
        path=run_dir,
        fix="Make room and start the command again: the run resumes from there.",
    )
