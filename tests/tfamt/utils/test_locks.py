"""Test locks between real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tfamt.errors import InputError
from tfamt.utils.locks import LockedError, exclusive_lock, lock_file

HOLD = """
import sys, time
from tfamt.utils.locks import exclusive_lock
with exclusive_lock(sys.argv[1], "is in use"):
    print("locked", flush=True)
    sys.stdin.readline()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    return process


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = holder(path)
    with pytest.raises(LockedError, match=r"lock: is in use\."), exclusive_lock(path, "is in use"):
        pass
    process.communicate("\n")
    assert not path.exists()
    with exclusive_lock(path, "is in use"):
        assert path.exists()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = holder(path)
    process.kill()
    process.communicate()
    # Its file is left, its lock is not.
    assert path.exists()
    with exclusive_lock(path, "is in use"):
        pass
    assert not path.exists()


def test_a_lock_on_a_deleted_file_does_not_count(tmp_path: Path) -> None:
    """Between opening and locking its last holder may delete the file: two processes must not both go on."""
    path = tmp_path / "lock"
    with open(path, "w") as stale:
        lock_file(stale, path, "is in use")
        path.unlink()
        with exclusive_lock(path, "is in use"), open(path) as other, pytest.raises(LockedError):
            lock_file(other, path, "is in use")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="lock: cannot be written"),
        exclusive_lock(tmp_path / "missing" / "lock", "is in use"),
    ):
        pass
