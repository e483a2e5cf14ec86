"""Write series of files that depend on their numbers alone: synthetic pianos, simulated rooms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfamt.utils.output_paths import make_folder


def write_series(
    folder: Path, name: str, numbers: range, write: Callable[[Path, int], None]
) -> None:
    """Write the files that do not exist yet, and print each.

    Args:
      folder: is made.
      name: of a file, with a place for its number, such as "room{:04d}.flac".
      numbers: which to write.
      write: writes the file of a number.

    Raises:
      InputError: the folder or a file cannot be written.
    """
    make_folder(folder)
    for done, number in enumerate(numbers, 1):
        path = folder / name.format(number)
        if not path.exists():
            write(path, number)
        print(f"[{done}/{len(numbers)}] {path}", flush=True)
