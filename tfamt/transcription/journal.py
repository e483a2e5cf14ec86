"""Record the progress of a batch in a file that survives any interruption.

One JSON object a line, only ever appended: "started" before the results of a recording are put in their places, "done"
after that, "failed" with the reason. The last line of a recording counts; a line that was cut short does not.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfamt.errors import InputError
from tfamt.utils.locks import lock_file
from tfamt.utils.unicode_names import composed

_BEGINNING = b'{"recording": "'


class Journal:
    """A manifest that this process alone may write to, from any of its threads.

    Args:
      path: the file; made if missing.
      settings: all that results depend on besides the recording; anything that JSON can hold.

    Raises:
      InputError: the file cannot be used, is something else, or is in use by another process.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any]):
        text = json.dumps(settings, sort_keys=True)
        self._settings = hashlib.sha256(text.encode()).hexdigest()
        self._lock = threading.Lock()
        self._path = path
        try:
            # Open as long as the manifest is: the lock goes with it.
            self._file = open(path, "a+b")  # noqa: SIM115
        except OSError as error:
            raise _unwritable(path, error) from error
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.close()
            raise InputError("is not a regular file", path=path, fix="Choose another --journal.")
        lock_file(self._file, path, "is in use by another process")
        self._file.seek(0)
        content = self._file.read()
        self._entries = _entries(content, path)
        if content and not content.endswith(b"\n"):
            self._append(b"\n")

    def is_done(self, recording: Path, outputs: Iterable[Path]) -> bool:
        """Return whether all results exist, of this very recording (by size and time of change) and these settings."""
        entry = self._entries.get(_name(recording))
        return (
            entry is not None
            and entry["state"] == "done"
            and entry["settings"] == self._settings
            and entry["file"] == _identity(recording)
            and all(_name(path) in entry["results"] and path.exists() for path in outputs)
        )

    def own(self) -> frozenset[str]:
        """Return all results (absolute paths in NFC) that earlier runs with this journal wrote, or were about to."""
        return frozenset(path for entry in self._entries.values() for path in entry["results"])

    def started(self, recording: Path, outputs: Iterable[Path]) -> None:
        """Record that the results of a recording are about to be put in place."""
        self._write(recording, "started", results=[_name(path) for path in outputs])

    def done(self, recording: Path, outputs: Iterable[Path], notes: int) -> None:
        """Record that all results of a recording are in place."""
        results = [_name(path) for path in outputs]
        self._write(recording, "done", results=results, notes=notes)

    def failed(self, recording: Path, problem: str) -> None:
        """Record that a recording could not be transcribed; another run tries again."""
        before = self._entries.get(_name(recording))
        results = before["results"] if before else []
        self._write(recording, "failed", results=results, problem=problem)

    def close(self) -> None:
        """Release the journal for other processes."""
        # What could not be written has been reported; closing would try again.
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, recording: Path, state: str, **more: Any) -> None:
        entry = {
            "recording": _name(recording),
            "state": state,
            "file": _identity(recording),
            "settings": self._settings,
            **more,
        }
        line = json.dumps(entry) + "\n"
        with self._lock:
            self._entries[entry["recording"]] = entry
            self._append(line.encode())

    def _append(self, line: bytes) -> None:
        """Append bytes, on the disk when this returns.

        Raises:
          InputError: the file cannot be written.
        """
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error


def _unwritable(path: str | os.PathLike[str], error: OSError) -> InputError:
    return InputError(
        f"cannot be written ({error.strerror})",
        path=path,
        fix="Make room, or choose another --journal.",
    )


def _entries(content: bytes, path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    entries = {}
    # What stands behind the last line break was cut short.
    lines = content.split(b"\n")
    for line in lines[:-1]:
        try:
            entry = json.loads(line)
            if not {"state", "file", "settings"} <= entry.keys() or not all(
                isinstance(name, str) for name in [entry["recording"], *entry["results"]]
            ):
                raise ValueError(entry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Cut short, and then followed by another run's.
            if line.startswith(_BEGINNING[: len(line)]):
                continue
            raise InputError(
                "is not a journal of bin/transcribe", path=path, fix="Choose another --journal."
            ) from error
        entry["results"] = [composed(path) for path in entry["results"]]
        entries[composed(entry["recording"])] = entry
    return entries


def _name(path: Path) -> str:
    """Return an absolute path, the same for both forms (NFC, NFD) of a name."""
    return composed(os.path.abspath(path))


def _identity(recording: Path) -> list[int]:
    """Return size and time of change; nothing if the file does not exist."""
    try:
        status = recording.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
      InputError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputError("does not exist", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error
