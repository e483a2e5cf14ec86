"""Test the match of NFC and NFD names, on a file system that tells them apart."""

from __future__ import annotations

import os
from pathlib import Path

from tfamt.utils.unicode_names import composed, existing_form

NFC, NFD = "\u00c9tude", "E\u0301tude"


def test_both_forms_are_the_same_name() -> None:
    assert composed(NFC) == composed(NFD) == NFC
    assert composed(Path("a", NFD)) == f"a/{NFC}"
    assert composed("e\u0301\udcff") == "é\udcff"


def test_each_part_is_found_in_the_form_that_exists(tmp_path: Path) -> None:
    folder = tmp_path / NFD
    folder.mkdir()
    (folder / f"{NFC}.wav").touch()
    for first in (NFC, NFD):
        for second in (NFC, NFD):
            wanted = tmp_path / first / f"{second}.wav"
            assert os.fspath(existing_form(wanted)) == os.fspath(folder / f"{NFC}.wav")
    # Where both exist, each is itself; where none does, the name stays.
    (folder / f"{NFD}.wav").touch()
    assert os.fspath(existing_form(folder / f"{NFD}.wav")) == os.fspath(folder / f"{NFD}.wav")
    missing = tmp_path / f"{NFC}.mid"
    assert os.fspath(existing_form(missing)) == os.fspath(missing)
