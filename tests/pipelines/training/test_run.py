"""Test training from Python: the same run as bin/train, and one process at a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import pipelines
from pipelines.training.run import run_lock
from tests.support.processes import command
from tests.support.small_data import prepare_small
from tfamt.config import replace
from tfamt.errors import InputError
from tfamt.network.weights import load_weights
from tfamt.presets import preset
from tfamt.utils.locks import exclusive_lock

FLAGS = [
    *("--preset=tiny", "--model_channels=4", "--model_temporal_context=none"),
    *("--nomodel_reconstruction", "--nomodel_second_pass", "--training_batch_size=2"),
    *("--training_window_frames=32", "--training_steps=3", "--augment_gain_db=6"),
    "--report_steps=1",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_small(tmp_path_factory.mktemp("data"))


def test_python_trains_what_the_command_trains(data: Path, tmp_path: Path) -> None:
    by_command, by_python = tmp_path / "command", tmp_path / "python"
    done = command("pipelines.commands.train", *FLAGS, f"--data={data}", f"--run_dir={by_command}")
    assert done.returncode == 0, done.stderr

    config = replace(
        preset("tiny"), "model", channels=(4,), temporal_context="none",
        reconstruction=False, second_pass=False,
    )  # fmt: skip
    config = replace(config, "training", batch_size=2, window_frames=32, steps=3)
    result = pipelines.train(
        config,
        by_python,
        str(data),
        pipelines.RunSettings(
            augmentation=pipelines.AugmentationSettings(gain_db=6), report_steps=1
        ),
    )
    assert (result.step, result.finished) == (3, True)
    assert result.weights == by_python / "weights.npz"
    assert json.loads((by_python / "config.json").read_text()) == json.loads(
        (by_command / "config.json").read_text()
    )
    stored, ours = load_weights(result.weights)
    other, theirs = load_weights(by_command / "weights.npz")
    assert stored == other and set(ours) == set(theirs)
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)


def test_a_run_folder_is_trained_in_by_one_process(data: Path, tmp_path: Path) -> None:
    arguments = ["pipelines.commands.train", *FLAGS, f"--data={data}", f"--run_dir={tmp_path}"]
    with exclusive_lock(run_lock(tmp_path), "is in use"):
        refused = command(*arguments)
        with pytest.raises(InputError, match="another process trains in this run folder"):
            pipelines.train(preset("tiny"), tmp_path, str(data))
    assert refused.returncode == 1
    assert "another process trains in this run folder" in refused.stderr
    assert not (tmp_path / "config.json").exists()
