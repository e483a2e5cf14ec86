"""Execute examples/from_python.ipynb and compare with the outputs that it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

pytest.importorskip("pandas")

from tests.support.notebooks import pictures_of, run_notebook, text_of


def _code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_gives_what_it_shows(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "examples" / "from_python.ipynb"
    before = {item.name for item in path.parent.iterdir()}
    monkeypatch.chdir(path.parent)
    shown, found = _code(json.loads(path.read_text("utf-8"))), _code(run_notebook(path))
    assert [text_of(cell) for cell in found] == [text_of(cell) for cell in shown]
    assert text_of(found[0]) == "Notes(182 notes, 0.50 to 34.72 s, pitches 48 to 81)"
    ours, theirs = (
        [each for cell in cells for each in pictures_of(cell)] for cells in (found, shown)
    )
    assert len(ours) == len(theirs) == 1
    for name, content in (("ours.png", ours[0]), ("theirs.png", theirs[0])):
        (tmp_path / name).write_bytes(content)
    pictures = [matplotlib.image.imread(tmp_path / name) for name in ("ours.png", "theirs.png")]
    # Another release of matplotlib may set its text a little differently.
    assert pictures[0].shape == pictures[1].shape
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.01
    # Nothing is left beside the notebook.
    assert {item.name for item in path.parent.iterdir()} == before
