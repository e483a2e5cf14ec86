"""Save and restore the state of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfamt.errors import InputError


class Checkpoints:
    """Keep the last two checkpoints of a run.

    Args:
      run_dir: the run folder, which restoring reads.
      own_folder: the folder that saving writes: the run folder, or a temporary one for workers beside the chief.
      state: everything that a step depends on, by name.
    """

    def __init__(self, run_dir: Path, own_folder: Path, **state: Any):
        self._run_dir = run_dir
        self._checkpoint = tf.train.Checkpoint(**state)
        self.manager = tf.train.CheckpointManager(
            self._checkpoint, str(own_folder / "checkpoints"), 2
        )

    def restore(self) -> bool:
        """Restore the latest checkpoint of the run folder; return False where there is none."""
        latest = tf.train.latest_checkpoint(str(self._run_dir / "checkpoints"))
        if latest is None:
            return False
        self._checkpoint.restore(latest).assert_existing_objects_matched()
        return True

    def adopt(self) -> None:
        """Let the manager count the restored checkpoint, or it would never delete it."""
        self.manager.restore_or_initialize()

    def save(self, step: int) -> None:
        """Write the checkpoint of a step.

        Raises:
          InputError: the disk is full or the folder cannot be written; the checkpoint before is whole.
        """
        try:
            self.manager.save(checkpoint_number=step)
        except (OSError, tf.errors.OpError) as error:
            raise unwritable(self._run_dir, step, error) from error


def unwritable(run_dir: Path, step: int, error: Exception) -> InputError:
    """Return the error for a checkpoint that cannot be written."""
    return InputError(
        f"the checkpoint of step {step} cannot be written ({_first_line(error)}); the one before is whole",
        path=run_dir,
        fix="Make room and start the command again: the run resumes from there.",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
