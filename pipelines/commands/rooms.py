"""Simulate room responses to train with, each of another random room.

Usage: bin/rooms --output=FOLDER [flags]

Writes FOLDER/room0000.flac and so on, for `bin/train --room_responses=FOLDER`. A room depends on its number alone, and
takes about half a second and 20 kB. What is there already stays.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from pipelines import rendering
from tfamt.commands.app import refuse_arguments, required, run

_OUTPUT = flags.DEFINE_string("output", None, "Folder that is made.")
_ROOMS = flags.DEFINE_integer("rooms", 200, "How many.", 1)
_FIRST = flags.DEFINE_integer("first", 0, "Number, and random seed, of the first room.", 0)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    refuse_arguments(argv)
    output = Path(required(_OUTPUT))
    numbers = range(_FIRST.value, _FIRST.value + _ROOMS.value)
    rendering.write_series(output, "room{:04d}.flac", numbers, rendering.write_room)
    return 0


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
