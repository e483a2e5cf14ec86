"""Report why a run ended before its last step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfamt.errors import TfamtError


class NonFiniteLossError(TfamtError):
    """Loss or gradient is no longer a number.

    Attributes:
      step: the step.
      recordings: the batch's entry "recording", if it has one.
    """

    def __init__(self, step: int, recordings: Sequence[int]):
        super().__init__(f"the loss of step {step} is not a finite number")
        self.step = step
        self.recordings = tuple(recordings)

    def __reduce__(self) -> Any:
        # By default an error is made anew from its message alone.
        return type(self), (self.step, self.recordings)


class StoppedError(TfamtError):
    """The run stopped on request (`Trainer.stop`), with a checkpoint."""
