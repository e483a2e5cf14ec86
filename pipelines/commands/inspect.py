"""Show the inside of models: feature maps, piano roll and reconstruction of an excerpt.

Usage: bin/inspect --png=panels.png RECORDING WEIGHTS_OR_RUN [WEIGHTS_OR_RUN ...] [flags]

The picture has a column for each model, such as one with and one without reconstruction, and four panels each, as in
the paper's figures: input, feature map of U-net 1, piano roll, reconstruction. Beside each stand the figures of merit
for grid-like structure: periodicity along time, along frequency, and of both (pipelines/studies/periodicity.py defines
them).
--npz_dir takes all maps as arrays, the input of U-net 2 and the second-pass piano roll among them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from pipelines import studies
from tfamt import network
from tfamt.commands.app import run
from tfamt.errors import InputError
from tfamt.utils.output_paths import check_output_path, make_folder, new_file

if TYPE_CHECKING:
    from pipelines.studies.feature_maps import Inspection

_START = flags.DEFINE_float("start", 0.0, "Where the excerpt begins, in seconds.", 0.0)
_FRAMES = flags.DEFINE_integer("frames", None, "Its length; the model's window if not given.", 16)
_PNG = flags.DEFINE_string("png", None, "Picture of the panels.")
_NPZ_DIR = flags.DEFINE_string("npz_dir", None, "Folder for the maps, NAME.npz for each model.")
_JSON = flags.DEFINE_string("json", None, "File for the figures of merit.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether an existing file may be replaced.")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    if len(argv) < 3:
        raise InputError(
            f"name a recording and one model at least. Received: {' '.join(argv[1:]) or 'nothing'}"
        )
    recording, *models = argv[1:]
    names = [_name(model) for model in models]
    if len(set(names)) < len(names):
        raise InputError(f"two models have one name: {', '.join(names)}", fix="Write NAME=FILE.")
    maps = [Path(_NPZ_DIR.value, f"{name}.npz") for name in names] if _NPZ_DIR.value else []
    for target in (_PNG.value, _JSON.value, *maps):
        if target:
            check_output_path(target, overwrite=_OVERWRITE.value)
    if _NPZ_DIR.value:
        make_folder(_NPZ_DIR.value)

    inspections = [
        studies.inspect_model(name, _weights(model), recording, _START.value, _FRAMES.value)
        for name, model in zip(names, models, strict=True)
    ]
    print(format_table(inspections))
    for item, path in zip(inspections, maps, strict=False):
        studies.write_maps(item, path, overwrite=_OVERWRITE.value)
    if _PNG.value:
        studies.write_panels_png(
            inspections, _PNG.value, title=Path(recording).name, start=_START.value,
            overwrite=_OVERWRITE.value,
        )  # fmt: skip
    if _JSON.value:
        _write_json(recording, inspections)
    return 0


def format_table(inspections: Sequence[Inspection]) -> str:
    """Return figures of merit, a line for each map of each model."""
    rows = [("model", "map", "time", "period (s)", "frequency", "period (bins)", "grid")]
    for item in inspections:
        seconds = item.config.spectrogram.hop / item.config.spectrogram.sample_rate
        for name, found in item.periodicities.items():
            rows.append(
                (
                    item.name,
                    name,
                    f"{found.time:.3f}",
                    f"{found.time_period * seconds:.2f}",
                    f"{found.frequency:.3f}",
                    f"{found.frequency_period}",
                    f"{found.grid:.3f}",
                )
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _name(model: str) -> str:
    name, _, path = model.rpartition("=")
    place = Path(path)
    return name or (place.stem if place.suffix == ".npz" else place.name)


def _weights(model: str) -> Path:
    path = Path(network.resolve_weights(model.rpartition("=")[2]))
    return path / "weights.npz" if path.is_dir() else path


def _write_json(recording: str, inspections: Sequence[Inspection]) -> None:

    content = {
        "recording": recording,
        "start": _START.value,
        "models": {
            item.name: {
                name: {**dataclasses.asdict(found), "grid": found.grid}
                for name, found in item.periodicities.items()
            }
            for item in inspections
        },
    }
    assert _JSON.value is not None, "checked by the caller"
    with new_file(_JSON.value, overwrite=_OVERWRITE.value) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
