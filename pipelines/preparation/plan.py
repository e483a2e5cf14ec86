"""Plan a preparation: which recordings go to which shard, and whether a folder holds the same already."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.preparation.shards import ShardJob
from pipelines.readers.recordings import SPLITS, DataSet, Recording, Source
from tfamt.errors import InputError
from tfamt.utils.atomic_files import atomic_write

FORMAT = 3
"""Of prepared data sets; to be raised when the same recordings come to give other bytes."""
# The manifest first: where all are deleted, a reader must never take the rest for whole.
_FILES = ("manifest.json", "report.*", "*-of-*.index.json", "*-of-*.tfrecord", "plan.json")

Options = Mapping[str, Any]


def plan_shards(data_set: DataSet, folder: Path, shards: int) -> list[ShardJob]:
    """Distribute the recordings of each split over shards, in the order of a hash of their ids."""
    jobs: list[ShardJob] = []
    for split in SPLITS:
        members = [item for item in data_set.recordings if item.split == split]
        members.sort(
            key=lambda item: hashlib.sha256(item.id.encode("utf-8", "surrogateescape")).digest()
        )
        count = min(shards, len(members))
        for number in range(count):
            share = members[number::count]
            fingerprint = _digest([FORMAT, *map(fingerprint_of, share)])
            jobs.append(
                ShardJob(str(folder), f"{split}-{number:05d}-of-{count:05d}", fingerprint, share)
            )
    return jobs


def fingerprint_of(recording: Recording) -> str:
    """Return a hash of everything that the recording's records depend on; of files, name, size and time of change."""
    fields = dataclasses.asdict(recording)
    for name in ("audio", "labels", "velocities"):
        source: Source | None = getattr(recording, name)
        fields[name] = source and _state(source)
    if recording.rendering is not None:
        room = json.loads(recording.rendering)["sound"]["room"]
        fields["room"] = room and _state(Source(room))
    return _digest(fields)


def _state(source: Source) -> list[Any]:
    try:
        state = Path(source.path).stat()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=source.path) from error
    return [str(source.name.name), source.member, state.st_size, state.st_mtime_ns]


def _digest(value: Any) -> str:
    # ASCII, since file names may hold what UTF-8 cannot.
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def make_plan(data_set: DataSet, options: Options, shards: int) -> dict[str, Any]:
    """Return the content of plan.json: all that the prepared data set depends on."""
    recordings = {item.id: fingerprint_of(item) for item in data_set.recordings}
    return {
        "format": FORMAT,
        "data_set": data_set.name,
        "options": {**options, "shards": shards},
        "recordings": recordings,
    }


def check_or_write_plan(folder: Path, plan: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write the plan, or check that the folder holds nothing but parts of this very data set.

    Raises:
      InputError: it holds something else and `overwrite` is false, or it cannot be written.
    """
    path = folder / "plan.json"
    known: dict[str, Any] | None = None
    if path.exists():
        try:
            known = json.loads(path.read_text("utf-8"))
        except ValueError:
            known = {}
    elif any(folder.glob("*.tfrecord")):
        known = {}
    if known is not None and known != plan:
        if not overwrite:
            raise InputError(
                f"holds a data set that was prepared differently: {_difference(known, plan)}",
                path=folder,
                fix="Choose another --output, or prepare it anew with --overwrite.",
            )
        _clear(folder)
    for pattern in _FILES:
        # What atomic_path leaves behind when it is killed.
        for leftover in folder.glob(f".{pattern}.*"):
            leftover.unlink(missing_ok=True)
    atomic_write(path, json.dumps(plan, ensure_ascii=True, indent=1) + "\n")


def _clear(folder: Path) -> None:
    """Delete a data set."""
    for pattern in _FILES:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _difference(known: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    for key in ("format", "data_set"):
        if known.get(key) != plan[key]:
            return f"{key} was {known.get(key)!r}, now {plan[key]!r}"
    old, new = known.get("options", {}), plan["options"]
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            return f"{key} was {old.get(key)!r}, now {new.get(key)!r}"
    old, new = known.get("recordings", {}), plan["recordings"]
    for text, names in (
        ("new", new.keys() - old.keys()),
        ("gone", old.keys() - new.keys()),
        ("changed", {name for name in old.keys() & new.keys() if old[name] != new[name]}),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            return f"{', '.join(sorted(names)[:3])}{more}: {text} in the source"
    return "plan.json is damaged"
