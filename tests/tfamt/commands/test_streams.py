"""Test commands whose standard streams are closed, full or gone, and whose disk or home folder cannot be written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from tests.support.processes import ROOT, command
from tests.tfamt.commands.test_transcribe import noise, write
from tfamt.notes.label_files import read_labels

NOTES = "onset,offset,pitch,velocity\n0.5,1.0,60,80\n1.5,2.0,64,70\n"


def start(
    module: str,
    *arguments: object,
    cwd: Path,
    prepare: Callable[[], None] | None = None,
    output: int | IO[str] = subprocess.PIPE,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Not `command`, which replaces the streams."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
        check=False,
    )


def _close(*numbers: int) -> Callable[[], None]:
    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text(NOTES)
    return tmp_path


@pytest.mark.parametrize("arguments", [["--help"], ["--reference=a.csv", "--estimate=a.csv"]])
def test_standard_output_on_a_full_disk_is_one_line(labels: Path, arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = start("pipelines.commands.evaluate", *arguments, cwd=labels, output=full)
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written (No space left on device)\n"


def test_a_batch_goes_on_and_is_written_though_nobody_can_read_its_messages(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.wav", noise(0.3))
    with open("/dev/full", "w") as full:
        done = start("tfamt.commands.transcribe", "--csv", ".", cwd=tmp_path, output=full)
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written (No space left on device)\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.{kind}" for name in "ab" for kind in ("csv", "mid", "wav")
    ]


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_streams_read_as_nothing(labels: Path, closed: tuple[int, ...]) -> None:
    """No file may get their numbers: what is printed would go there."""
    done = start(
        *("pipelines.commands.evaluate", "--reference=a.csv", "--estimate=a.csv", "--csv=out.csv"),
        cwd=labels,
        prepare=_close(*closed),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rows = (labels / "out.csv").read_text().splitlines()
    assert rows[0].startswith("piece,") and len(rows) == 2


def test_a_reader_that_has_gone_ends_the_command(labels: Path) -> None:
    read, written = os.pipe()
    os.close(read)
    with open(written, "w") as gone:
        done = start("pipelines.commands.evaluate", "--help", cwd=labels, output=gone)
    assert (done.returncode, done.stderr) == (1, "")


def test_standard_input_that_is_closed(tmp_path: Path) -> None:
    done = start("tfamt.commands.transcribe", "-", cwd=tmp_path, prepare=_close(0))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard input is closed" in done.stderr


def _limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_no_room_for_a_result_names_it_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "tone.wav", noise(2.0))
    done = start(
        "tfamt.commands.transcribe", "--wav", "tone.wav", cwd=tmp_path, prepare=_limit(4000)
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "error: tone.wav: tone.notes.wav: cannot be written (File too large)" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tone.wav"]


def test_a_journal_without_room_or_that_is_no_file(tmp_path: Path) -> None:
    write(tmp_path / "tone.wav", noise(0.3))
    done = command("tfamt.commands.transcribe", "--journal=/dev/full", "tone.wav", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "/dev/full: is not a regular file" in done.stderr
    (tmp_path / "journal").write_bytes(b"")
    done = start(
        *("tfamt.commands.transcribe", "--journal=journal", "tone.wav"),
        cwd=tmp_path,
        prepare=_limit(300),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "journal: cannot be written (File too large)" in done.stderr
    # The results are put in place after they are announced, so they are whole or not there.
    if (tmp_path / "tone.mid").exists():
        assert len(read_labels(tmp_path / "tone.mid")) == 0


def test_a_home_folder_that_cannot_be_written_brings_no_warnings(tmp_path: Path) -> None:
    write(tmp_path / "tone.wav", noise(0.3))
    (tmp_path / "a.csv").write_text(NOTES)
    homeless = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    before = set(Path(tempfile.gettempdir()).glob("matplotlib-*"))
    done = start("tfamt.commands.transcribe", "--png", "tone.wav", cwd=tmp_path, **homeless)
    assert (done.returncode, done.stdout) == (0, "tone.wav: 0 notes -> tone.mid\n")
    assert done.stderr == ""
    assert (tmp_path / "tone.png").read_bytes().startswith(b"\x89PNG")
    files = ("--reference=a.csv", "--estimate=a.csv", "--png=scores.png")
    done = start("pipelines.commands.evaluate", *files, cwd=tmp_path, **homeless)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert set(Path(tempfile.gettempdir()).glob("matplotlib-*")) == before
