"""Test temporary files and folders, with processes that are really killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tfamt.errors import InputError
from tfamt.utils.atomic_files import atomic_path, atomic_write
from tfamt.utils.output_paths import check_output_path
from tfamt.utils.temporary import remove_leftovers, temporary_file, temporary_folder

HOLD = """
import sys
from pathlib import Path
from tfamt.utils.temporary import temporary_file, temporary_folder
place = Path(sys.argv[1])
with temporary_file(place, ".mid"), temporary_folder(place) as folder:
    (folder / "notes.mid").write_text("half")
    print("made", flush=True)
    sys.stdin.readline()
"""
DAY = 86_400


def worker(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "made\n"
    return process


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path: Path) -> None:
    killed = worker(tmp_path)
    left = listing(tmp_path)
    running = worker(tmp_path)
    in_use = listing(tmp_path) - left
    assert len(left) == len(in_use) == 2
    # What looks alike is the user's.
    others = {
        ".tfamt-mine",
        ".tfamt-0123abcd",
        ".tfamt-0123abcd-0123456g",
        "tfamt-0123abcd-01234567",
    }
    for name in others:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    killed.kill()
    killed.communicate()
    remove_leftovers(tmp_path)
    assert listing(tmp_path) == in_use | others
    # Also within the process that has them.
    with temporary_file(tmp_path) as mine, temporary_folder(tmp_path) as my_folder:
        remove_leftovers(tmp_path)
        assert mine.exists() and my_folder.exists()
    running.communicate("\n")
    assert listing(tmp_path) == others


def test_what_another_machine_left_goes_after_a_day(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        machine = folder.name.removeprefix(".tfamt-")[:8]
    # A machine has the name of this one or its last start, or neither.
    elsewhere = "".join(f"{int(digit, 16) ^ 1:x}" for digit in machine)
    container, restarted = elsewhere[:4] + machine[4:], machine[:4] + elsewhere[4:]
    for place in (container, restarted):
        (tmp_path / f".tfamt-{place}-00000001").mkdir()
    young, old = (tmp_path / f".tfamt-{elsewhere}-0000000{n}.wav" for n in (2, 3))
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 1.01 * DAY,) * 2)
    link = tmp_path / f".tfamt-{machine}-00000004"
    (tmp_path / "mine").mkdir()
    link.symlink_to(tmp_path / "mine")
    remove_leftovers(tmp_path)
    assert listing(tmp_path) == {young.name, link.name, "mine"}
    remove_leftovers(tmp_path / "missing")


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    for name in ("n" * 251 + ".mid", "." + "s" * 254, "é" * 127):
        atomic_write(tmp_path / name, "whole")
        check_output_path(tmp_path / name, overwrite=True)
        assert (tmp_path / name).read_text() == "whole"
    with pytest.raises(InputError, match="is a name of 256 bytes, where 255 are allowed"):
        check_output_path(tmp_path / ("é" * 126 + ".mid"))
    # In a folder that does not exist yet.
    with pytest.raises(InputError, match="is a name of 256 bytes"):
        check_output_path(tmp_path / "new" / ("n" * 252 + ".mid"))
    with atomic_path(tmp_path / "sonata.no.1.mid") as temporary:
        assert temporary.suffix == ".mid"


def test_files_have_the_permissions_of_the_user(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a.mid", b"")
        with temporary_folder(tmp_path) as folder:
            folder.rename(tmp_path / "1")
    finally:
        os.umask(before)
    assert (tmp_path / "a.mid").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "1").stat().st_mode & 0o777 == 0o750
    assert listing(tmp_path) == {"a.mid", "1"}


def test_the_next_write_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    process = worker(tmp_path)
    process.kill()
    process.communicate()
    assert len(listing(tmp_path)) == 2
    atomic_write(tmp_path / "scores.json", "{}")
    assert listing(tmp_path) == {"scores.json"}
