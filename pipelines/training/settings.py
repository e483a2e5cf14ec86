"""Hold the settings of a run that are not part of the model's config: data, augmentation, validation, devices."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.input.augmentation_settings import AugmentationSettings


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
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
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
