"""Prepare a data set for training: 16 kHz mono FLAC with notes, in TFRecord shards.

Usage:
  bin/prepare --dataset maps|maestro|musicnet|folder --source FOLDER_OR_ARCHIVE --output FOLDER
  bin/prepare --dataset rendered --midi FOLDER --soundfonts FILE_OR_FOLDER,... --output FOLDER
  bin/prepare --describe FOLDER

Interrupted at any moment and started again, it resumes; a data set that is ready is left as it is. If the
source or an option has changed since, the command stops with a message: --overwrite starts anew.

What is left out is listed with its reason in report.txt and report.json. Exit code 1 if a recording was left out
because it is damaged or its labels are wrong; the rest is prepared all the same. What was repaired or ignored in the
labels of a recording that is taken is a warning.

Pipeline options of Apache Beam for other runners follow after two dashes:
  bin/prepare ... --runner FlinkRunner -- --flink_master=host:8081 --environment_type=LOOPBACK
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from pipelines import preparation, readers, rendering
from tfamt.commands.app import refuse_arguments, report, required, run, warn

if TYPE_CHECKING:
    from pipelines.preparation.beam_pipeline import Summary
    from pipelines.readers.recordings import DataSet

_DATASETS = ("maps", "maestro", "musicnet", "folder", "rendered")

_DATASET = flags.DEFINE_enum("dataset", None, _DATASETS, "What is to be prepared.")
_SOURCE = flags.DEFINE_string("source", None, "Folder or archive of the data set.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the prepared data set.")
_SHARDS = flags.DEFINE_integer("shards", 32, "Files per split, at the most.", lower_bound=1)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "Processes. Default: one for each core.", lower_bound=1
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Whether a data set prepared differently may be replaced."
)
_RUNNER = flags.DEFINE_string(
    "runner", "DirectRunner", "Runner of Apache Beam. DirectRunner: this machine."
)
_DESCRIBE = flags.DEFINE_string(
    "describe", None, "Describe a prepared data set, and draw describe.png in it."
)

_VALIDATION_GROUPS = flags.DEFINE_list("validation_groups", [], "maps: pianos to validate on.")
_MUSICNET_TEST = flags.DEFINE_enum(
    "musicnet_test", "paper", ("paper", "official"), "musicnet: 3 or 10 recordings."
)
_VALIDATION_IDS = flags.DEFINE_list("validation_ids", [], "musicnet: recordings to validate on.")
_VALIDATION_FRACTION = flags.DEFINE_float(
    "validation_fraction", 0.1, "folder: share of pieces to validate on."
)
_TEST_FRACTION = flags.DEFINE_float("test_fraction", 0.1, "folder: share of pieces to test on.")
_FOLLOW_LINKS = flags.DEFINE_bool(
    "follow_links", False, "Whether symbolic links that lead out of a folder are followed."
)
_LICENCE = flags.DEFINE_string("licence", "unknown", "folder: licence for the manifest.")
_EMPTY_LABELS = flags.DEFINE_bool(
    "empty_labels", False, "folder: also takes recordings without notes."
)

_MIDI = flags.DEFINE_string(
    "midi", None, "rendered: folder of MIDI files, or of MAESTRO with its table."
)
_SOUNDFONTS = flags.DEFINE_list("soundfonts", [], "rendered: SoundFonts, or folders of them.")
_VALIDATION_SOUNDFONTS = flags.DEFINE_list(
    "validation_soundfonts", [], "rendered: SoundFonts for validation and test only."
)
_SPLIT = flags.DEFINE_enum(
    "split",
    None,
    ("train", "validation", "test"),
    "rendered: the only split to take of MAESTRO; the split of MIDI without a table. Default: all; train.",
)
_PIECES = flags.DEFINE_integer(
    "pieces", None, "rendered: how many MIDI files of each split. Default: all."
)
_ROOMS = flags.DEFINE_string("room_responses", None, "rendered: folder of room responses.")
_SEED = flags.DEFINE_integer("seed", 0, "rendered: seed of all that is random.")
_TRANSPOSITION = flags.DEFINE_integer("transposition", 3, "rendered: semitones, at the most.")
_TEMPO = flags.DEFINE_float("tempo", 0.15, "rendered: faster or slower by this part, at the most.")
_TOUCH = flags.DEFINE_float("touch", 0.3, "rendered: change of the velocity curve, at the most.")
_TUNING = flags.DEFINE_float("tuning", 20.0, "rendered: cents, at the most.")
_ROOM = flags.DEFINE_float("room", 0.7, "rendered: probability of a room.")
_NOISE = flags.DEFINE_float("noise", 0.7, "rendered: probability of noise.")
_LEVEL = flags.DEFINE_float("level", -18.0, "rendered: peak in dB of full scale, at the least.")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    if _DESCRIBE.value:
        return _describe(Path(_DESCRIBE.value))
    if _RUNNER.value == "DirectRunner":
        refuse_arguments(argv)
    dataset, output = required(_DATASET), required(_OUTPUT)
    # On import Beam lists its clouds that are not installed.
    logging.disable(logging.WARNING)

    options = _options(dataset)
    data_set = _read(dataset, options)
    for remark in data_set.remarks:
        print(remark)
    summary = preparation.prepare(
        data_set,
        output,
        options,
        shards=_SHARDS.value,
        workers=_WORKERS.value or os.cpu_count() or 1,
        overwrite=_OVERWRITE.value,
        runner=_RUNNER.value,
        beam_arguments=argv[1:],
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    _tell(summary, output)
    for warning in summary.warnings:
        warn(f"{warning.name}: {warning.text}")
    for item in summary.left_out:
        report(f"{item.name}: {item.reason}")
    return 1 if summary.left_out else 0


def _options(dataset: str) -> dict[str, Any]:
    """Return the flags that define the data set, without those of other data sets."""
    of_data_set: dict[str, list[flags.FlagHolder[Any]]] = {
        "maps": [_SOURCE, _VALIDATION_GROUPS],
        "maestro": [_SOURCE],
        "musicnet": [_SOURCE, _MUSICNET_TEST, _VALIDATION_IDS],
        "folder": [_SOURCE, _VALIDATION_FRACTION, _TEST_FRACTION, _LICENCE, _EMPTY_LABELS],
        "rendered": [
            *(_MIDI, _SOUNDFONTS, _VALIDATION_SOUNDFONTS, _SPLIT, _PIECES, _ROOMS, _SEED),
            *(_TRANSPOSITION, _TEMPO, _TOUCH, _TUNING, _ROOM, _NOISE, _LEVEL),
        ],
    }
    return {flag.name: flag.value for flag in [_DATASET, *of_data_set[dataset], _FOLLOW_LINKS]}


def _read(dataset: str, options: dict[str, Any]) -> DataSet:

    if dataset == "rendered":
        return _read_rendered(options)
    source, follow = required(_SOURCE), _FOLLOW_LINKS.value
    match dataset:
        case "maps":
            return readers.maps.read(source, _VALIDATION_GROUPS.value, follow_links=follow)
        case "maestro":
            return readers.maestro.read(source, follow_links=follow)
        case "musicnet":
            return readers.musicnet.read(
                source, _MUSICNET_TEST.value, _VALIDATION_IDS.value, follow_links=follow
            )
        case _:
            fractions = _VALIDATION_FRACTION.value, _TEST_FRACTION.value
            return readers.folder.read(
                source,
                *fractions,
                _LICENCE.value,
                empty_labels=_EMPTY_LABELS.value,
                follow_links=follow,
            )


def _read_rendered(options: dict[str, Any]) -> DataSet:

    names = ("transposition", "tempo", "touch", "tuning", "room", "noise", "level")
    return rendering.rendered.read(
        required(_MIDI),
        _SOUNDFONTS.value,
        seed=_SEED.value,
        split=_SPLIT.value,
        validation_soundfonts=_VALIDATION_SOUNDFONTS.value,
        rooms=_ROOMS.value,
        variations=rendering.rendered.Variations(**{name: options[name] for name in names}),
        pieces=_PIECES.value,
        follow_links=_FOLLOW_LINKS.value,
    )


def _tell(summary: Summary, output: str) -> None:
    for split, item in summary.manifest["splits"].items():
        if item["recordings"]:
            print(
                f"{split}: {item['recordings']} recordings, {item['hours']:.2f} hours, {item['notes']} notes"
            )
    if summary.manifest["left_out"]:
        print(f"{summary.manifest['left_out']} left out: see {Path(output, 'report.txt')}")


def _describe(folder: Path) -> int:

    description = preparation.read_description(folder)
    print(preparation.format_text(description))
    preparation.draw(description, folder / "describe.png")
    print(f"\nAs a picture: {folder / 'describe.png'}")
    return 0


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
