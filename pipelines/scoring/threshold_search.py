"""Search the thresholds of decoding on validation recordings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.scoring.model_scores import PredictedRecording, f1_decoded
from tfamt.config import Config, DecodingConfig
from tfamt.config_fields import from_dict
from tfamt.errors import InputError

_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
CANDIDATES: dict[str, tuple[Any, ...]] = {
    "pianoroll_threshold": _THRESHOLDS,
    "onset_threshold": _THRESHOLDS,
    "offsets": ("threshold", "expected_score"),
    "min_note_ms": (0.0, 20.0, 30.0, 40.0, 60.0, 80.0, 100.0),
    # Longer ones win a hair on common pieces, and lose keys that are struck ten times a second.
    "min_gap_ms": (30.0, 50.0, 70.0),
}
"""Values that are tried of each field."""
_ONSETS_ONLY = ("onset_threshold", "offsets", "min_gap_ms")
MOST_ROUNDS = 4


@dataclass(frozen=True)
class Trial:
    """One setting that was tried: mean score over the recordings."""

    decoding: DecodingConfig
    score: float


def tune(
    config: Config,
    predicted: Sequence[PredictedRecording],
    metrics: Sequence[str],
    progress: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Change one field after the other to its best value until none improves.

    Args:
      config: of the model; its decoding is where the search begins.
      predicted: the model's outputs for the recordings.
      metrics: figures (`tfamt.evaluation.metrics.f1`) whose mean, over them and over recordings, is to be large.
      progress: called with a line for every trial.

    Returns:
      All trials in order (`best_of`).
    """
    tried: dict[DecodingConfig, Trial] = {}

    def attempt(decoding: DecodingConfig) -> Trial:
        if decoding not in tried:
            scores = [f1_decoded(metrics, item, config, decoding) for item in predicted]
            tried[decoding] = Trial(decoding, float(np.mean(scores)))
            progress(tried[decoding])
        return tried[decoding]

    best = attempt(config.decoding)
    for _ in range(MOST_ROUNDS):
        before = best
        for field in fields_of(config):
            for value in CANDIDATES[field]:
                change: dict[str, Any] = {field: value}
                trial = attempt(dataclasses.replace(best.decoding, **change))
                best = trial if trial.score > best.score else best
        if best is before:
            break
    return list(tried.values())


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the first of those with the highest score."""
    return max(trials, key=lambda trial: trial.score)


def trials_as_json(
    trials: Sequence[Trial], metrics: Sequence[str], predicted: Sequence[PredictedRecording]
) -> str:
    """Return the best decoding under "decoding", the metrics and data that it was chosen by, and all trials."""
    best = best_of(trials)
    content = {
        "decoding": dataclasses.asdict(best.decoding),
        "metrics": [*metrics],
        "score": best.score,
        "recordings": [item.recording for item in predicted],
        "trials": [
            {"score": trial.score, **dataclasses.asdict(trial.decoding)} for trial in trials
        ],
    }
    return json.dumps(content, indent=1) + "\n"


def fields_of(config: Config) -> list[str]:
    """Return the fields that matter to the method of decoding, and that the model has the heads for."""
    left_out = set() if config.decoding.method == "onsets" else {*_ONSETS_ONLY}
    if "offset" not in config.model.heads:
        left_out.add("offsets")
    return [name for name in CANDIDATES if name not in left_out]


def read_decoding(path: str) -> DecodingConfig:
    """Read the decoding config that `trials_as_json` wrote.

    Raises:
      InputError: the file is missing or is something else.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", path=path) from error
    values = content.get("decoding") if isinstance(content, dict) else None
    decoding: DecodingConfig = from_dict(DecodingConfig, values, f"{path}: decoding")
    return decoding
