"""Make SoundFonts of synthetic pianos to train on, each with other random properties.

Usage: bin/pianos --output=FOLDER [flags]

Writes FOLDER/piano0000.sf2 and so on, for `bin/prepare --dataset=rendered --soundfonts=FOLDER`. A piano depends on its
number alone, and takes some 20 s and 30 MB. What is there already stays.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from pipelines import rendering
from tfamt.commands.app import refuse_arguments, required, run

_OUTPUT = flags.DEFINE_string("output", None, "Folder that is made.")
_PIANOS = flags.DEFINE_integer("pianos", 12, "How many.", 1)
_FIRST = flags.DEFINE_integer("first", 0, "Number, and random seed, of the first piano.", 0)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    refuse_arguments(argv)
    output = Path(required(_OUTPUT))
    numbers = range(_FIRST.value, _FIRST.value + _PIANOS.value)
    rendering.write_series(output, "piano{:04d}.sf2", numbers, rendering.write_piano)
    return 0


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
