"""Name, list and verify the files of checkpoints, without TensorFlow."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from tfamt.utils.atomic_files import atomic_write

CHECKSUMS = ".sha256.json"
"""Ending of the file that holds the checksums of a checkpoint's other files, by name."""
STEP = re.compile(r"ckpt-(\d+)\.")
_LISTED_STEP = re.compile(rb'model_checkpoint_path: "(?:[^"]*/)?ckpt-(\d+)"')


def prefix_of(folder: Path, step: int) -> Path:
    """Return the common beginning of the names of a checkpoint's files."""
    return folder / f"ckpt-{step}"


def _files(folder: Path, step: int) -> list[Path]:
    """Return the files of a checkpoint that TensorFlow has written."""
    prefix = f"ckpt-{step}."
    return sorted(
        path
        for path in folder.glob(f"{prefix}*")
        if path.name == f"{prefix}index"
        or re.fullmatch(r"data-\d+-of-\d+", path.name[len(prefix) :])
    )


def steps_in(folder: Path) -> set[int]:
    """Return the steps of which there are, or should be, checkpoints.

    One without index and checksums that no list names was being written when the process died.
    """
    endings = (".index", CHECKSUMS)
    names = [path.name for path in folder.glob("ckpt-*") if path.name.endswith(endings)]
    steps = {int(found[1]) for name in names if (found := STEP.match(name))}
    listed = folder / "checkpoint"
    if listed.is_file():
        steps |= {int(step) for step in _LISTED_STEP.findall(listed.read_bytes())}
    return steps


def write_checksums(folder: Path, step: int) -> None:
    """Write the checksums of a checkpoint that is complete."""
    checksums = {path.name: _sha256(path) for path in _files(folder, step)}
    atomic_write(folder / f"ckpt-{step}{CHECKSUMS}", json.dumps(checksums, indent=1) + "\n")


def verify(folder: Path, step: int) -> None:
    """Compare the files of a checkpoint with their checksums, where it has some: earlier versions wrote none.

    Raises:
      ValueError: a file is missing or differs; the message names it.
    """
    checksums = folder / f"ckpt-{step}{CHECKSUMS}"
    if not checksums.exists():
        if not (folder / f"ckpt-{step}.index").exists():
            raise ValueError(f"ckpt-{step}.index is missing")
        return
    try:
        stored = dict(json.loads(checksums.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{checksums.name} cannot be read") from error
    for name, checksum in stored.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise ValueError(f"{name} is missing")
        if _sha256(path) != checksum:
            raise ValueError(f"{name} differs from its checksum")
    if {path.name for path in _files(folder, step)} - stored.keys():
        raise ValueError(f"{checksums.name} lacks some of its files")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def newest_whole_step(folder: Path) -> int:
    """Return the step of the newest checkpoint whose files agree with their checksums; 0 if there is none."""
    for step in sorted(steps_in(folder), reverse=True):
        try:
            verify(folder, step)
        except (OSError, ValueError):
            continue
        return step
    return 0
