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


def holder(path: Path, code: str = HOLD) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, path],
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


# msvcrt.locking of Windows, made of POSIX record locks: it locks from the position of the file on.
ON_WINDOWS = """
import fcntl, os, sys, types
import tfamt.errors

def locking(descriptor, mode, size):
    assert (mode, size) == (2, 1)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, size, 0, os.SEEK_CUR)
    except OSError as error:
        raise PermissionError(13, "Permission denied") from error

sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
platform, sys.platform = sys.platform, "win32"
import tfamt.utils.locks
sys.platform = platform
"""
JOURNAL = """
with open(sys.argv[1] + ".journal", "a+") as journal:
    journal.write("line")
    journal.flush()
    tfamt.utils.locks.lock_file(journal, "journal", "is in use")
    assert journal.tell() == 4
"""


def test_windows_locks_are_refused_and_end_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = holder(path, ON_WINDOWS + HOLD)
    second = subprocess.run(
        [sys.executable, "-c", ON_WINDOWS + HOLD, path], cwd=ROOT, capture_output=True, text=True
    )
    assert "LockedError" in second.stderr and "lock: is in use." in second.stderr
    process.kill()
    process.communicate()
    assert path.exists()
    holder(path, ON_WINDOWS + HOLD).communicate("\n")
    assert not path.exists()
    subprocess.run([sys.executable, "-c", ON_WINDOWS + JOURNAL, path], cwd=ROOT, check=True)
