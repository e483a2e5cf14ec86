"""Test the search for a newer Python, and the comparison with the golden notes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import newer_python
from tests.support.processes import ROOT

GOLDEN = ROOT / "tests" / "data" / "prelude_notes.csv"


def _executable(path: Path, script: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only one on PATH, searched by Python 3.11."""
    monkeypatch.setenv("PATH", str(tmp_path / "search"))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    return tmp_path / "search"


def test_without_a_newer_python_the_check_is_skipped_aloud(
    search_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _executable(search_path / "python3.12", "echo 3 12")
    # What version managers leave behind for versions that are not active.
    _executable(search_path / "python3.13", "exit 127")
    assert newer_python.main() == 0
    assert capsys.readouterr().err.startswith("notice: no Python 3.13 or newer is at hand")


def test_final_releases_of_tensorflow_come_first(search_path: Path) -> None:
    newest = _executable(search_path / "python3.14", "echo 3 14")
    assert newer_python.find_python() == newest
    kept = search_path.parent / "kept"
    hidden = _executable(kept / "versions" / "3.13.7" / "bin" / "python3.13", "echo 3 13")
    _executable(search_path / "pyenv", f"echo {kept}")
    assert newer_python.find_python() == hidden
    active = _executable(search_path / "python3.13", "echo 3 13")
    assert newer_python.find_python() == active


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.504037,1.792000,60,94\n", ""),
        ("0.504037,1.792000,60,94", "0.504037,1.794000,60,94"),
        ("0.504037,1.792000,60,94", "0.504037,1.792000,61,94"),
        ("0.504037,1.792000,60,94", "0.504037,1.792000,60,92"),
    ],
)
def test_a_note_that_differs_is_named(tmp_path: Path, old: str, new: str) -> None:
    text = GOLDEN.read_text()
    assert text.count(old) == 1
    changed = tmp_path / "notes.csv"
    changed.write_text(text.replace(old, new))
    newer_python.compare_notes(GOLDEN, GOLDEN)
    with pytest.raises(ValueError, match=r"golden notes|instead of 181"):
        newer_python.compare_notes(changed, GOLDEN)
