"""Run the paper's experiment: train with and without reconstruction, compare, and write a report.

Usage: bin/ablation --data=FOLDER [flags] [-- flags of config fields]

For every seed icpr2020_mel and icpr2020_mel_baseline are trained on the same data in the same order, in the end
icpr2020_cqt with the first seed. Each run is evaluated on the validation and the test split, tuned on the validation
split, and evaluated on the test split once more. After every run the report is written anew. The command goes on
where it was stopped; runs in training lose two minutes at the most. Started several times, each takes runs that no
other is at work on; --results, kept under version control, lets a study resume elsewhere.

Flags after -- are fields of the config (bin/train --help lists them), for all runs alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from pipelines import studies
from tfamt.commands.app import required, run
from tfamt.commands.config_flags import define_config_flags, override_by_flags
from tfamt.errors import InputError

if TYPE_CHECKING:
    from tfamt.config import Config

_DATA = flags.DEFINE_string("data", None, "Prepared data set with a validation and a test split.")
_OUTPUT = flags.DEFINE_string("output", "runs/ablation", "Folder of trainings and logs.")
_RESULTS = flags.DEFINE_string(
    "results", None, "Folder of what comes out of the runs; results in --output if not given."
)
_REPORT = flags.DEFINE_string("report", None, "The report; ablation.md in --output if not given.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each arm.", 1)
_STEPS = flags.DEFINE_integer("steps", 4700, "Optimizer steps of every run.", 1)
_BATCH = flags.DEFINE_integer("batch_size", 2, "Windows per step.", 1)
_FRAMES = flags.DEFINE_integer("window_frames", 160, "Frames per window: 160 are 5.12 s.", 1)
_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Highest learning rate, falling by a cosine.")
_WARMUP = flags.DEFINE_integer("warmup_steps", 100, "Steps in which the learning rate rises.", 0)
_VALIDATE = flags.DEFINE_integer("validate_steps", 1175, "Steps between validations.", 1)
_VALIDATION = flags.DEFINE_float("validation_minutes", 6.0, "Audio of these validations.", 0.0)
_TUNING = flags.DEFINE_float("tuning_minutes", 20.0, "Audio to tune thresholds on.", 0.0)
_REPORT_ONLY = flags.DEFINE_bool("report_only", False, "Write the report of existing results only.")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    data = required(_DATA, fix="Make it with bin/prepare, see BUILD.md.")
    overrides = _config_overrides(argv)
    settings = studies.AblationSettings(
        data=data,
        seeds=_SEEDS.value,
        steps=_STEPS.value,
        batch_size=_BATCH.value,
        window_frames=_FRAMES.value,
        learning_rate=_RATE.value,
        warmup_steps=_WARMUP.value,
        validate_steps=_VALIDATE.value,
        validation_minutes=_VALIDATION.value,
        tuning_minutes=_TUNING.value,
        train_flags=tuple(argv[1:]),
    )
    work = Path(_OUTPUT.value)
    path = Path(_REPORT.value) if _REPORT.value else work / "ablation.md"

    def customize(config: Config) -> Config:
        return override_by_flags(config, overrides)

    if _REPORT_ONLY.value:
        study = studies.open_study(settings, work, _RESULTS.value, customize)
    else:
        study = studies.run_ablation(
            settings,
            work,
            _RESULTS.value,
            customize=customize,
            progress=lambda line: print(line, flush=True),
            after_run=lambda study: studies.write_report(study, path),
        )
    studies.write_report(study, path)
    print(f"report: {path}")
    return 0


def _config_overrides(argv: list[str]) -> flags.FlagValues:
    """Parse the flags after --, which change the config of every run.

    Raises:
      InputError: there is anything but flags of config fields.
    """
    strange = [argument for argument in argv[1:] if not argument.startswith("--")]
    if strange:
        raise InputError(f"only flags may follow --. Received: {' '.join(strange)}")
    values = flags.FlagValues()  # type: ignore[no-untyped-call]
    define_config_flags(values)
    try:
        values(argv)
    except flags.Error as error:
        raise InputError(f"flags after -- must be fields of the config ({error})") from error
    return values


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
