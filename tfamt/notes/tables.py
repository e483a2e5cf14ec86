"""Write notes as CSV and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tfamt.notes.table import Notes
from tfamt.utils.output_paths import new_file


@dataclass(frozen=True)
class Provenance:
    """Where a transcription comes from.

    Attributes:
      audio: name of the recording.
      duration: its length in seconds.
      model: name of the weights.
      version: of tfamt.
      decoding: the settings that turned probabilities into notes.
    """

    audio: str
    duration: float
    model: str
    version: str
    decoding: Mapping[str, Any] = field(default_factory=dict)


def write_csv(notes: Notes, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a header and one line per note: onset, offset in seconds (to 1 us), pitch, velocity.

    `tfamt.notes.label_files.read_labels` reads it back.

    Raises:
      InputError: the file exists or cannot be written.
    """
    lines = ["onset,offset,pitch,velocity"]
    lines += [f"{on:.6f},{off:.6f},{pitch},{velocity}" for on, off, pitch, velocity in notes]
    with new_file(path, overwrite=overwrite) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(
    notes: Notes,
    path: str | os.PathLike[str],
    provenance: Provenance,
    *,
    overwrite: bool = False,
) -> None:
    """Write one object: the fields of `Provenance`, and "notes", a list of objects in order of onset.

    Raises:
      InputError: the file exists or cannot be written.
    """
    rows = [
        {"onset": round(on, 6), "offset": round(off, 6), "pitch": pitch, "velocity": velocity}
        for on, off, pitch, velocity in notes
    ]
    content = json.dumps(
        asdict(provenance) | {"notes": rows}, ensure_ascii=False, indent=1, allow_nan=False
    )
    with new_file(path, overwrite=overwrite) as temporary:
        # JSON has escapes for names that are not UTF-8; they are Python's.
        temporary.write_text(content + "\n", encoding="utf-8", errors="backslashreplace")
