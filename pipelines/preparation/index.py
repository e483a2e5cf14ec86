"""Read the index of a prepared data set: which shard holds which recording, and where."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.preparation.records import IndexEntry, entry_of
from tfamt.errors import InputError


@dataclass(frozen=True)
class StoredRecording:
    """A recording of a prepared data set: the shard that holds it, the shard's size in bytes, and where in it."""

    shard: str
    size: int
    entry: IndexEntry


_PREPARE_AGAIN = "The same bin/prepare command makes anew what is damaged."


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a prepared data set, which exists only when all else does.

    Raises:
      InputError: there is none, or it cannot be read.
    """
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            "is not a prepared data set: manifest.json is missing",
            path=folder,
            fix="Make one with bin/prepare, or let an interrupted bin/prepare finish.",
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", path=path) from error
    return manifest


def manifest_checksum(folder: Path) -> str:
    """Return a checksum that changes when a prepared data set becomes another one."""
    read_manifest(folder)
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()[:16]


def load_index(folder: str | Path, split: str, *, required: bool = True) -> list[StoredRecording]:
    """Return the recordings of one split of a prepared data set.

    Raises:
      InputError: the folder is not a finished prepared data set, or holds nothing of this split although that is
        required, or a file of it is missing or damaged.
    """
    root = Path(folder)
    read_manifest(root)
    stored = []
    for index_file in sorted(root.glob(f"{split}-*.index.json")):
        shard = index_file.with_name(index_file.name.replace(".index.json", ".tfrecord"))
        try:
            size = shard.stat().st_size
            entries = map(entry_of, json.loads(index_file.read_text("utf-8"))["recordings"])
            stored += [StoredRecording(str(shard), size, entry) for entry in entries]
        except FileNotFoundError as error:
            raise InputError("is missing", path=shard, fix=_PREPARE_AGAIN) from error
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"cannot be used ({error})", path=index_file, fix=_PREPARE_AGAIN
            ) from error
    if required and not stored:
        raise InputError(f"holds no recording of the split {split!r}", path=root)
    return stored


def load_indexes(folders: Sequence[str], split: str) -> list[StoredRecording]:
    """Return the recordings of one split of several prepared data sets, each of which must have some (`load_index`)."""
    return [item for folder in folders for item in load_index(folder, split)]


def totals_of(stored: Sequence[StoredRecording]) -> list[int]:
    """Return the length of each recording in samples."""
    return [item.entry.total for item in stored]
