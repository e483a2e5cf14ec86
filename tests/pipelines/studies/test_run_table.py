"""Test bin/runs on run folders made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.studies.run_table import find_runs
from tests.support.processes import command
from tfamt.config import Config, replace
from tfamt.errors import InputError
from tfamt.presets import preset


def _make(folder: Path, config: Config, lines: list[dict[str, object]]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config.to_json())
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    tiny = replace(preset("tiny"), "training", steps=100)
    scores = [
        {"step": step, "group": "validation", "validation_note_f1": f1, "validation_average_precision": ap}
        for step, f1, ap in ((40, 0.5, 0.3), (80, 0.25, 0.625))
    ]  # fmt: skip
    losses = [{"step": step, "group": "train", "loss": 10 / step} for step in (40, 80)]
    _make(tmp_path / "runs" / "a", tiny, [losses[0], scores[0], losses[1], scores[1]])
    slow = replace(replace(tiny, "training", learning_rate=1e-5), "model", channels=(4, 16))
    _make(tmp_path / "runs" / "deep" / "b", slow, losses[:1])
    return tmp_path


def test_runs_stand_side_by_side(runs: Path) -> None:
    done = command("pipelines.commands.runs", "--csv=all.csv", cwd=runs)
    assert (done.returncode, done.stderr) == (0, "")
    progress, differences = (
        [line.split() for line in block.splitlines()] for block in done.stdout.split("\n\n")
    )
    heads = ["run", "step", "of", "loss", "note_f1", "note_offset_f1", "frame_f1"]
    assert progress[0] == [*heads, "average_precision"]
    assert progress[1:] == [
        ["a", "80", "100", "0.125", "0.5", "0.625"],
        ["deep/b", "40", "100", "0.25"],
    ]
    assert differences == [
        ["config", "a", "deep/b"],
        ["model.channels", "[4,", "8]", "[4,", "16]"],
        ["training.learning_rate", str(preset("tiny").training.learning_rate), "1e-05"],
    ]
    assert (runs / "all.csv").read_text() == (
        "run,step,group,metric,value\n"
        "a,40,train,loss,0.25\n"
        "a,40,validation,validation_note_f1,0.5\na,40,validation,validation_average_precision,0.3\n"
        "a,80,train,loss,0.125\n"
        "a,80,validation,validation_note_f1,0.25\na,80,validation,validation_average_precision,0.625\n"
        "deep/b,40,train,loss,0.25\n"
    )
    again = command("pipelines.commands.runs", "--csv=all.csv", "runs/a", cwd=runs)
    assert again.returncode == 1 and "all.csv: exists already" in again.stderr


def test_what_is_no_run_is_named(runs: Path) -> None:
    with pytest.raises(InputError, match=r"none: is no folder"):
        find_runs([runs / "none"])
    (runs / "empty").mkdir()
    with pytest.raises(InputError, match="there is no run in .*empty"):
        find_runs([runs / "empty"])
    assert [run.name for run in find_runs([runs / "runs" / "a", runs])] == ["a", "runs/deep/b"]
    (runs / "runs" / "a" / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"a/config\.json: the config is not JSON"):
        find_runs([runs])
