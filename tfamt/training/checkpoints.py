"""Save and restore the state of a run; fall back to an earlier checkpoint where the newest is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfamt.errors import InputError, reason_of
from tfamt.training.checkpoint_files import STEP, prefix_of, steps_in, verify, write_checksums
from tfamt.utils.atomic_files import atomic_write

_KEPT = 2


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
        for step in sorted(steps_in(folder), reverse=True):
            try:
                verify(folder, step)
                status = self._checkpoint.read(str(prefix_of(folder, step)))
                status.assert_existing_objects_matched()
            # A damaged file may fail in any part of what reads it.
            except Exception as error:
                damaged.append(
                    f"checkpoint {prefix_of(folder, step)} is damaged ({reason_of(error)})"
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
            self._checkpoint.write(str(prefix_of(self._own, step)))
            write_checksums(self._own, step)
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
            found = STEP.match(path.name)
            if found and int(found[1]) not in self._kept and path.is_file():
                path.unlink(missing_ok=True)


def unwritable(run_dir: Path, step: int, error: Exception) -> InputError:
    """Return the error for a checkpoint that cannot be written."""
    return InputError(
        f"the checkpoint of step {step} cannot be written ({reason_of(error)}); the one before is whole",
        path=run_dir,
        fix="Make room and start the command again: the run resumes from there.",
    )
