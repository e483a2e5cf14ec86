"""Hold the settings of a run that are not part of the model's config: data, augmentation, validation, devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of training windows; all are off by default.

    Attributes:
      gain_db: gain within +- this, dB.
      equalizer_db: gain of frequency bands within +- this, dB.
      noise_db: loudest added noise relative to the window, dB, of a colour from white to brown; 0 for none.
      reverb: share of windows that are convolved with a room response.
      tuning_cents: tuning within +- this, cents; time is scaled with it.
      transpose_semitones: transposition within +- this, semitones; labels follow.
      room_responses: folders of room responses; one that is named twice counts twice.
    """

    gain_db: float = 0.0
    equalizer_db: float = 0.0
    noise_db: float = 0.0
    reverb: float = 0.0
    tuning_cents: float = 0.0
    transpose_semitones: int = 0
    room_responses: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the settings under the names of their flags, as a run folder stores them."""
        names = ("gain_db", "equalizer_db", "noise_db", "reverb")
        stored: dict[str, Any] = {f"augment_{name}": getattr(self, name) for name in names}
        stored["room_responses"] = list(self.room_responses) or None
        for name in ("tuning_cents", "transpose_semitones"):
            stored[f"augment_{name}"] = getattr(self, name)
        return stored


@dataclass(frozen=True)
class RunSettings:
    """How a run is trained, validated and kept.

    Attributes:
      initial_weights: weights file to begin with; None for random weights.
      augmentation: of training windows.
      strategy: "single", "mirrored", "multiworker" or "auto" (`tfamt.training.distribution.choose_strategy`).
      logical_cpus: devices that the CPU is split into, to try strategies without GPUs.
      precision: number format of the layers, "float32" or "mixed_bfloat16".
      stop_metric: figure of validation that `stop_patience` and best.npz go by.
      stop_patience: validations without a better figure after which the run ends; 0 for never.
      report_steps: steps between reports.
      validate_steps: steps between validations.
      validation_minutes: audio to validate on, minutes.
      checkpoint_seconds: longest time between checkpoints, seconds.
      profile_steps: first and last step to profile for TensorBoard.
      max_bad_records: damaged records to tolerate; their recordings are left out.
    """

    initial_weights: str | None = None
    augmentation: AugmentationSettings = AugmentationSettings()
    strategy: str = "auto"
    logical_cpus: int = 1
    precision: str = "float32"
    stop_metric: str = "validation_note_f1"
    stop_patience: int = 0
    report_steps: int = 20
    validate_steps: int = 1000
    validation_minutes: float = 15.0
    checkpoint_seconds: float = 300.0
    profile_steps: tuple[int, int] | None = None
    max_bad_records: int = 0
