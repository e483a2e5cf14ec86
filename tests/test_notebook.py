"""Execute examples/from_python.ipynb and compare with the outputs that it shows."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

pytest.importorskip("pandas")

from tests.support.notebooks import pictures_of, run_notebook, text_of

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def assert_agrees(found: str, shown: str) -> None:
    """Compare texts: words exactly, numbers to 1 %, since bfloat16 gives 182 notes and float32 181."""
    assert _NUMBER.sub("0", found).split() == _NUMBER.sub("0", shown).split()
    numbers, expected = (np.array(_NUMBER.findall(text), float) for text in (found, shown))
    np.testing.assert_allclose(numbers, expected, rtol=0.01, atol=0.011, err_msg=found)


@pytest.mark.parametrize(
    "found",
    [
        *("Notes(179 notes, pitch 60) True", "Notes(182 notes, pitch 61) True"),
        *("Notes(182 notes, pitch 60) False", "Notes(182 notes) True", ""),
    ],
)
def test_outputs_that_disagree(found: str) -> None:
    assert_agrees("Notes(181 notes, pitch 60)  True", "Notes(182 notes, pitch 60) True")
    with pytest.raises(AssertionError):
        assert_agrees(found, "Notes(182 notes, pitch 60) True")


def test_the_notebook_gives_what_it_shows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "examples" / "from_python.ipynb"
    before = {item.name for item in path.parent.iterdir()}
    monkeypatch.chdir(path.parent)
    shown, found = _code(json.loads(path.read_text("utf-8"))), _code(run_notebook(path))
    assert text_of(shown[0]) == "Notes(182 notes, 0.50 to 34.72 s, pitches 48 to 81)"
    assert len(found) == len(shown) == 8
    for ours, theirs in zip(found, shown, strict=True):
        assert_agrees(text_of(ours), text_of(theirs))
    pictures = [
        matplotlib.image.imread(io.BytesIO(content))
        for cells in (found, shown)
        for cell in cells
        for content in pictures_of(cell)
    ]
    assert len(pictures) == 2
    # Another release of matplotlib may set its text a little differently.
    assert pictures[0].shape == pictures[1].shape
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.01
    # Nothing is left beside the notebook.
    assert {item.name for item in path.parent.iterdir()} == before
