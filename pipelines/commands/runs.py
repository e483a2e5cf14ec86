"""Show trainings side by side: progress, figures, and in what their configs differ.

Usage: bin/runs [FOLDER ...] [--csv=FILE]

A FOLDER is a run folder of bin/train or lies above some; default: runs. Loss and average precision are the newest, the
other figures the best of the run so far, on its validation data.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from pipelines.studies import run_table
from tfamt.commands.app import run
from tfamt.utils.output_paths import check_output_path, new_file

_CSV = flags.DEFINE_string(
    "csv", None, "File for all metrics of all steps: run, step, group, metric, value."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether an existing file may be replaced.")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    if _CSV.value:
        check_output_path(_CSV.value, overwrite=_OVERWRITE.value)
    runs = run_table.find_runs(argv[1:] or ["runs"])
    print(_aligned(run_table.progress_rows(runs)))
    differences = run_table.config_rows(runs)
    if len(differences) > 1:
        print(f"\n{_aligned(differences)}")
    if _CSV.value:
        with new_file(_CSV.value, overwrite=_OVERWRITE.value) as temporary:
            temporary.write_text(run_table.metrics_csv(runs), "utf-8")
    return 0


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text with columns of one width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
