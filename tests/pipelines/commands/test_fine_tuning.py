"""Test that training goes on from weights with their config, and the commands of docs/guide/fine_tuning.md."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import command
from tfamt.config import Config, replace
from tfamt.network.weights import load_weights
from tfamt.notes.midi import write_midi
from tfamt.notes.sonify import write_wav
from tfamt.notes.table import Notes
from tfamt.presets import PRESETS, preset
from tfamt.version import __version__

PIANO = "--initial_weights=tfamt:piano"


def train(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return command("pipelines.commands.train", *arguments, cwd=cwd)


def printed(*arguments: object, cwd: Path) -> Config:
    done = train("--print_config", *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return Config.from_json(done.stdout)


def test_weights_bring_their_config_and_flags_change_it(tmp_path: Path) -> None:
    stored, _ = load_weights("tfamt:piano")
    assert printed(PIANO, cwd=tmp_path) == stored
    changed = printed(PIANO, "--training_steps=300", "--model_feature_maps=2", cwd=tmp_path)
    expected = replace(stored, "training", steps=300)
    assert changed == replace(expected, "model", feature_maps=2)
    assert printed(PIANO, "--name=mine", cwd=tmp_path).name == "mine"
    assert printed(PIANO, "--preset=tiny", cwd=tmp_path) == preset("tiny")
    assert printed(cwd=tmp_path) == preset("icpr2020_mel")


def test_a_run_goes_on_with_its_own_config(tmp_path: Path) -> None:
    config = replace(preset("tiny"), "training", seed=5)
    (tmp_path / "config.json").write_text(config.to_json())
    assert printed("--run_dir=.", cwd=tmp_path) == config
    assert printed("--run_dir=.", "--preset=piano", cwd=tmp_path) == preset("piano")
    assert printed("--run_dir=none", cwd=tmp_path) == preset("icpr2020_mel")
    (tmp_path / "config.json").write_bytes(b"\xff{")
    done = train("--run_dir=.", "--print_config", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "config.json" in done.stderr and "Delete it if it is damaged" in done.stderr


def test_presets_and_version_are_listed(tmp_path: Path) -> None:
    done = train("--list_presets", cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*PRESETS]
    assert train("--version", cwd=tmp_path).stdout == f"tfamt {__version__}\n"
    done = train("--initial_weights=tfamt:organ", "--print_config", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr
        == "error: there is no model 'tfamt:organ' in the package. Models: tfamt:piano.\n"
    )


def _take(place: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    onset = np.arange(0.5, 9.0, 0.5)
    notes = Notes(onset, onset + 0.4, rng.integers(40, 90, len(onset)))
    place.parent.mkdir(parents=True, exist_ok=True)
    write_wav(notes, place.with_suffix(".wav"))
    write_midi(notes, place.with_suffix(".mid"))


@pytest.mark.slow
def test_the_commands_of_the_page(root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "guide" / "fine_tuning.md").read_text("utf-8")
    block = re.search(r"## Four commands\n\n```sh\n(.+?)```", page, re.DOTALL)
    assert block is not None
    for number, name in enumerate(("train/a", "train/b", "test/c")):
        _take(tmp_path / "takes" / name, number)
    small = ("--training_steps=300", "--training_steps=2"), ("--training_warmup_steps=30", "")
    outputs = {}
    for line in block[1].splitlines():
        for before, after in small:
            line = line.replace(before, after)
        program, *arguments = shlex.split(line)
        name = program.removeprefix("bin/")
        package = "tfamt" if name == "compare" else "pipelines"
        done = command(f"{package}.commands.{name}", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        outputs[line] = done.stdout
    *_, compared = outputs.values()
    assert compared.startswith("after against before, 1 pieces:")
    before, after = (
        json.loads((tmp_path / f"{name}.json").read_text())["pieces"]
        for name in ("before", "after")
    )
    assert before.keys() == after.keys() and len(before) == 1
    (old, ours), (new, theirs) = (
        load_weights(path) for path in ("tfamt:piano", tmp_path / "runs/my_piano/weights.npz")
    )
    assert new.name == "my_piano" and new.model == old.model and new.decoding == old.decoding
    # Two small steps from where the model in the package is.
    moved = {name: np.abs(theirs[name] - ours[name]).max() for name in ours}
    kernels = [name for name in ours if name.endswith("kernel")]
    assert 0 < max(moved[name] for name in kernels) < 1e-3
