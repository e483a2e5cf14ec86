"""Test the flagfiles that come with tfamt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import command
from tfamt.commands.flagfiles import expand_flagfiles
from tfamt.config import Config
from tfamt.errors import InputError


def test_flags_stand_in_the_place_of_their_file() -> None:
    expected = [
        *("train", "--a=1", "--preset=icpr2020_mel", "--training_batch_size=32"),
        *("--training_window_frames=640", "--training_learning_rate=6e-4"),
        *("--training_schedule=exponential", "--training_decay_rate=0.98"),
        *("--training_decay_steps=10000", "--training_clip_norm=3", "--b"),
    ]
    for given in (["--flagfile=tfamt:icpr2020"], ["-flagfile", "tfamt:icpr2020.flags"]):
        assert expand_flagfiles(["train", "--a=1", *given, "--b"]) == expected
    others = ["train", "--flagfile=mine.flags", "x", "--", "--flagfile=tfamt:icpr2020"]
    assert expand_flagfiles(others) == others
    with pytest.raises(InputError, match="'tfamt:big' in tfamt.*tfamt:icpr2020_maps") as caught:
        expand_flagfiles(["train", "--flagfile=tfamt:big"])
    assert "tfamt:tiny" in str(caught.value)


def test_a_file_that_includes_another_is_read_in_any_folder(root: Path, tmp_path: Path) -> None:
    """The same config as in the checkout by the file's path."""
    configs = []
    for flagfile, cwd in (("tfamt:icpr2020_maps", tmp_path), ("configs/icpr2020_maps.flags", root)):
        done = command(
            *("pipelines.commands.train", f"--flagfile={flagfile}", "--print_config"), cwd=cwd
        )
        assert (done.returncode, done.stderr) == (0, "")
        configs.append(Config.from_json(done.stdout))
    assert configs[0] == configs[1]
    assert configs[0].training.steps == 8688
