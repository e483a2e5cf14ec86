"""Transcribe recordings on a cluster, with Apache Beam: the same notes as bin/transcribe.

Usage: bin/transcribe_cluster --recordings='FOLDER/**.wav' --output=FOLDER [flags] [-- BEAM_OPTIONS]

RECORDINGS and OUTPUT may lie in any file system that Beam knows, and workers must see them under the same name. Every
recording becomes OUTPUT/<its path within FOLDER>.mid, "a/b.wav" a/b.wav.mid. Those that are there already are not done
again, so an interrupted run resumes where it stopped: --overwrite does them all.

What became of each is in OUTPUT/report-*.jsonl. Exit code 1 if a recording could not be transcribed.

Pipeline options for other runners follow after two dashes: --runner=FlinkRunner -- --flink_master=host:8081
"""

from __future__ import annotations

import logging
from collections import Counter

from absl import flags

from pipelines import cluster, preparation
from tfamt.commands.app import refuse_arguments, report, run
from tfamt.errors import InputError

_RECORDINGS = flags.DEFINE_string("recordings", None, "Pattern that the recordings match.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the results.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file; default: the model in the package.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether to replace existing results.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Processes of the DirectRunner.", 1)
_RUNNER = flags.DEFINE_string(
    "runner", "DirectRunner", "Runner of Apache Beam. DirectRunner: this machine."
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    if _RUNNER.value == "DirectRunner":
        refuse_arguments(argv)
    if not _RECORDINGS.value or not _OUTPUT.value:
        raise InputError("--recordings and --output are needed")
    # On import Beam lists its clouds that are not installed.
    logging.disable(logging.WARNING)

    if not cluster.matching(_RECORDINGS.value):
        raise InputError("matches no file", path=_RECORDINGS.value)
    place = cluster.FileSystems.join(_OUTPUT.value, "report")
    old = cluster.matching(f"{place}-*.jsonl")
    if old:
        cluster.FileSystems.delete(old)
    pipeline = cluster.steps(
        _RECORDINGS.value,
        _OUTPUT.value,
        place,
        weights=_WEIGHTS.value,
        overwrite=_OVERWRITE.value,
    )
    preparation.run_steps(pipeline, _WORKERS.value, _RUNNER.value, argv[1:])
    results = cluster.read_report(place)
    for result in results:
        if result["state"] == "failed":
            report(f"{result['recording']}: {result['problem']}")
    count = Counter(result["state"] for result in results)
    print(", ".join(f"{number} {state}" for state, number in sorted(count.items())))
    return 1 if count["failed"] else 0


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
