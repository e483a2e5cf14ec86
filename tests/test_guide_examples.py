"""Execute the Python examples of the guide for engineers, in order, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("pandas")


@pytest.mark.slow
def test_examples_run_and_print_what_they_state(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (root / "docs" / "guide" / "engineer.md").read_text("utf-8")
    examples = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    # tests/tfamt/transcription/test_loading.py has spawned workers.
    examples = [example for example in examples if "ProcessPoolExecutor" not in example]
    assert len(examples) == 4
    samples, rate = soundfile.read(root / "examples" / "prelude.ogg", stop=2 * 44100)
    monkeypatch.chdir(tmp_path)
    Path("takes").mkdir()
    for path in ("recording.wav", "takes/one.wav"):
        soundfile.write(path, samples, rate)
    chunks = np.array_split(samples.mean(axis=1).astype(np.float32), 7)
    names: dict[str, Any] = {"__name__": "__main__", "chunks": chunks}
    printed = []
    for example in examples:
        exec(example, names)
        printed.append(capsys.readouterr().out.splitlines())
    # C4, E4 and G4 begin within the first 0.9 s (score: a sixteenth is 0.179 s).
    first = [line.split() for line in printed[0][:3]]
    assert [row[2] for row in first] == ["60", "64", "67"]
    assert [float(row[0]) for row in first] == pytest.approx([0.5, 0.68, 0.86], abs=0.05)
    notes = names["notes"]
    assert list(names["loud"]) == [row for row in notes if row[3] > 80]
    assert len(printed[0]) == len(notes) == len(names["tfamt"].Notes.from_midi("recording.mid"))
    assert printed[2] == [f"takes/one.wav {len(notes)}"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["journal", "one.csv", "one.mid"]
    # All chunks are shorter than a window, so that every note comes at the end.
    assert len(names["final"]) == 0 and names["last"].pitch[0] == 60
