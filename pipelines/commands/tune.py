"""Choose the thresholds of decoding on the validation split of prepared data sets.

Usage: bin/tune --run=FOLDER --data=FOLDER --output=decoding.json [flags]

The model of a run (or --weights) transcribes recordings of the validation split once; then thresholds, shortest note
and shortest gap are changed one after the other to the value with the best mean score, until nothing gets better.
--output takes the setting with the best score and all that was tried: bin/evaluate --decoding=decoding.json uses it.
--output_weights takes a copy of the weights that holds it: bin/transcribe --weights uses it.
With --average_with the mean of two stages of a training is what is tuned and written. With --decoding nothing is tuned:
the setting of an earlier tuning is written into the weights.

The test split is refused: figures of recordings that thresholds were chosen on are biased.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from absl import flags

from pipelines import preparation, scoring
from tfamt import network, transcription
from tfamt.commands.app import refuse_arguments, required, run
from tfamt.errors import InputError
from tfamt.utils.output_paths import check_output_path, new_file

if TYPE_CHECKING:
    from pipelines.scoring.threshold_search import Trial
    from tfamt.config import Config, DecodingConfig
    from tfamt.network.weights import Arrays

_RUN = flags.DEFINE_string("run", None, "Folder of a run of bin/train.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file, instead of --run.")
_AVERAGE_WITH = flags.DEFINE_string(
    "average_with", None, "Weights file of the same network: the mean of both is tuned."
)
_AVERAGE_SHARE = flags.DEFINE_float(
    "average_share", 0.5, "Share of --average_with in it.", lower_bound=0.0, upper_bound=1.0
)
_DECODING = flags.DEFINE_string(
    "decoding", None, "What --output had before: --output_weights takes it, nothing is tuned."
)
_DATA = flags.DEFINE_list("data", None, "Folders of prepared data sets, separated by commas.")
_SPLIT = flags.DEFINE_string("split", "validation", "Never test.")
_MINUTES = flags.DEFINE_float("minutes", 30.0, "Audio to tune on, of each group in turns.", 0.0)
_METRIC = flags.DEFINE_multi_enum(
    "metric",
    ["note_f1"],
    ["note_f1", "note_offset_f1", "frame_f1"],
    "Metric to maximise; given several times, the mean of all.",
)
_OUTPUT = flags.DEFINE_string("output", None, "File to write the decoding config to (JSON).")
_OUTPUT_WEIGHTS = flags.DEFINE_string("output_weights", None, "File to write weights with it to.")
_HALF = flags.DEFINE_bool("half", False, "Kernels of --output_weights in 16 bits: half the size.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether an existing file may be replaced.")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    refuse_arguments(argv)
    if _SPLIT.value != "validation":
        raise InputError(
            f"thresholds are tuned on the validation split only. Received: --split={_SPLIT.value}",
            fix="Keep recordings for validation when preparing the data, such as --validation_groups.",
        )
    if not (_OUTPUT.value or _OUTPUT_WEIGHTS.value):
        raise InputError("--output or --output_weights is missing")
    if flags.FLAGS["average_share"].present and not _AVERAGE_WITH.value:
        raise InputError("--average_share is that of --average_with, which is missing")
    if _DECODING.value and _OUTPUT.value:
        raise InputError("--decoding is written into --output_weights only, not into --output")
    for target in (_OUTPUT.value, _OUTPUT_WEIGHTS.value):
        if target:
            check_output_path(target, overwrite=_OVERWRITE.value)
    _write()
    return 0


def _write() -> None:

    weights = network.weights_path(_RUN.value, _WEIGHTS.value)
    if _AVERAGE_WITH.value:
        config, arrays = network.average_weights(weights, _AVERAGE_WITH.value, _AVERAGE_SHARE.value)
    else:
        config, arrays = network.load_weights(weights)
    given = _DECODING.value
    decoding = scoring.read_decoding(given) if given else _tune(config, arrays, weights)
    if _OUTPUT_WEIGHTS.value:
        config = dataclasses.replace(config, decoding=decoding)
        network.save_weights(_OUTPUT_WEIGHTS.value, config, arrays, half=_HALF.value)


def _tune(config: Config, arrays: Arrays, weights: str) -> DecodingConfig:

    stored = preparation.load_indexes(required(_DATA), "validation")
    transcription.share_cores()
    transcriber = transcription.Transcriber.from_model(
        config, network.build_trained_transcriber(config, arrays, weights)
    )
    predicted = [
        scoring.predict(transcriber, item) for item in scoring.first_minutes(stored, _MINUTES.value)
    ]
    figures = " + ".join(_METRIC.value)
    print(f"{config.name}: tuning {figures} on {len(predicted)} recordings", flush=True)
    trials = scoring.tune(config, predicted, _METRIC.value, _print_trial)
    best = scoring.best_of(trials)
    print(f"best: {best.score:.4f}, before: {trials[0].score:.4f}")
    if _OUTPUT.value:
        with new_file(_OUTPUT.value, overwrite=_OVERWRITE.value) as temporary:
            temporary.write_text(scoring.trials_as_json(trials, _METRIC.value, predicted), "utf-8")
    return best.decoding


def _print_trial(trial: Trial) -> None:
    values = dataclasses.asdict(trial.decoding)
    shown = "  ".join(f"{name} {value}" for name, value in values.items())
    print(f"{trial.score:.4f}  {shown}", flush=True)


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
