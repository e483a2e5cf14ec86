"""Compare evaluations, and show which differences are significant.

Usage: bin/compare [NAME=]BASE.json [NAME=]OTHER.json [...] [flags]

Arguments are what bin/evaluate --json wrote. The first is the base; each of the others is compared with it, piece by
piece. A system that was trained several times is given as its files separated by commas, in the same order of seeds in
every argument: bin/compare with=a0.json,a1.json without=b0.json,b1.json

For every figure: both means, the mean difference over pieces, its 95 % bootstrap interval, how many pieces are better
and worse, and the sign test. A difference holds if the interval leaves out 0 and the sign test gives p below 0.05.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from tfamt import evaluation, plots
from tfamt.commands.app import run, warn
from tfamt.errors import InputError
from tfamt.utils.output_paths import check_output_path, new_file

if TYPE_CHECKING:
    from tfamt.evaluation.comparison import Difference, System

_METRICS = flags.DEFINE_list("metrics", None, "Figures to compare; the usual ones if not given.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the bootstrap.")
_JSON = flags.DEFINE_string("json", None, "File to write all differences to.")
_PNG = flags.DEFINE_string("png", None, "Picture of the differences by piece; two systems only.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether an existing file may be replaced.")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    for target in (_JSON.value, _PNG.value):
        if target:
            check_output_path(target, overwrite=_OVERWRITE.value)
    systems = read_systems(argv[1:])
    if _PNG.value and len(systems) != 2:
        raise InputError(f"--png shows two systems. Received: {len(systems)}")
    pieces = evaluation.common_pieces(systems)
    metrics = _METRICS.value or evaluation.common_metrics(systems, pieces)
    base, *others = systems
    tables = {
        other.name: [
            evaluation.compare(base, other, name, pieces, seed=_SEED.value) for name in metrics
        ]
        for other in others
    }
    print(
        "\n\n".join(
            evaluation.format_differences(base.name, n, table) for n, table in tables.items()
        )
    )
    _say_who_is_missing(systems, pieces)
    for system in systems:
        for warning in dict.fromkeys(text for item in system.runs for text in item.warnings):
            warn(f"{system.name}: {warning}")
    if _JSON.value:
        _write_json(base.name, tables)
    if _PNG.value:
        ((name, table),) = tables.items()
        title = f"{name} against {base.name}"
        plots.write_differences_png(table, _PNG.value, title=title, overwrite=_OVERWRITE.value)
    return 0


def read_systems(arguments: Sequence[str]) -> list[System]:
    """Read the command's arguments.

    Raises:
      InputError: fewer than two, two of one name, or a file that is no evaluation.
    """
    if len(arguments) < 2:
        raise InputError(
            f"name two evaluations at least. Received: {' '.join(arguments) or 'nothing'}"
        )
    systems = []
    for argument in arguments:
        name, _, files = argument.rpartition("=")
        runs = [evaluation.read_evaluation(file) for file in files.split(",")]
        systems.append(evaluation.System(name or Path(files.split(",")[0]).stem, runs))
    names = [system.name for system in systems]
    if len(set(names)) < len(names):
        raise InputError(
            f"two evaluations have one name: {', '.join(names)}", fix="Write NAME=FILE."
        )
    return systems


def _say_who_is_missing(systems: Sequence[System], pieces: Sequence[str]) -> None:
    for system in systems:
        left_out = sorted({n for run in system.runs for n in run.pieces} - set(pieces))
        if left_out:
            print(
                f"\n{system.name} has {len(left_out)} pieces that not all have: {', '.join(left_out)}"
            )


def _write_json(base: str, tables: dict[str, list[Difference]]) -> None:

    content = {
        "base": base,
        "seed": _SEED.value,
        "systems": {
            name: [
                dataclasses.asdict(item)
                | {"mean": item.mean, "holds": item.holds, "verdict": item.verdict}
                for item in table
            ]
            for name, table in tables.items()
        },
    }
    assert _JSON.value is not None, "checked by the caller"
    with new_file(_JSON.value, overwrite=_OVERWRITE.value) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
