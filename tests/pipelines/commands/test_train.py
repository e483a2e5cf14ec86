"""Test bin/train through the command line, on synthesised data."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipelines.training.run import load_splits
from tests.pipelines.input.test_training_windows import _recording
from tests.support.processes import command
from tests.support.small_data import write_prepared
from tfamt.errors import InputError
from tfamt.network.weights import load_weights


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return command("pipelines.commands.train", *arguments, cwd=cwd)


def test_a_tiny_run_and_its_continuation(root: Path, tmp_path: Path) -> None:
    # The flagfile's paths are relative to the checkout; the run goes elsewhere.
    arguments = [
        f"--flagfile={root / 'configs' / 'tiny.flags'}", f"--run_dir={tmp_path}", "--training_batch_size=2",
        "--model_temporal_context=none", "--report_steps=2", "--validate_steps=4",
    ]  # fmt: skip
    first = run(*arguments, "--training_steps=4", cwd=root)
    assert (first.returncode, first.stderr) == (0, "")
    lines = first.stdout.strip().split("\n")
    assert lines[0] == "tiny: 8 recordings to train on, 1 to validate on"
    assert lines[1].startswith("step 2/4  loss ")
    assert lines[2].startswith("step 4/4  loss ")
    assert "note_f1" in lines[3] and "left" in lines[3]
    stored = json.loads((tmp_path / "config.json").read_text())
    assert (stored["training"]["steps"], stored["training"]["batch_size"]) == (4, 2)
    config, weights = load_weights(tmp_path / "weights.npz")
    assert config.model.temporal_context == "none"
    assert list((tmp_path / "logs").glob("events.*"))

    second = run(*arguments, "--training_steps=6", cwd=root)
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith(
        "tiny: 8 recordings to train on, 1 to validate on; going on from step 4\nstep 6/6 "
    )
    _, later = load_weights(tmp_path / "weights.npz")
    assert any((later[name] != weights[name]).any() for name in weights)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 1, "--run_dir is missing"),
        (["--run_dir=run"], 1, "either --data or --demo_midi"),
        (["--run_dir=run", "--data=none"], 1, "none: is not a prepared data set"),
        (["--run_dir=run", "--data=x", "--preset=big"], 1, "no preset 'big'"),
        (
            ["--run_dir=run", "--data=x", "--training_steps=0"],
            1,
            "training_steps must be greater than 0",
        ),
        (["--run_dir=run", "--data=x", "--training_steps=many"], 2, "training_steps"),
        (["--run_dir=run", "--data=x", "--model_channels=8,x"], 2, "whole numbers"),
        (["--run_dir=run", "--data=x", "--model_heads=onset"], 1, "must hold pianoroll"),
        (["--run_dir=run", "--demo_midi=none.mid"], 1, "none.mid"),
        (["--run_dir=a.txt/run", "--data=x"], 1, "a.txt/run: cannot be made"),
        (["--flagfile=a.txt"], 2, "no_such_flag"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "a.txt").write_text("--no_such_flag=1\n")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().split("\n")) == 1


def test_a_flagfile_may_ask_for_help(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("--preset=tiny\n-help\n")
    done = run("--flagfile=a.txt", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--training_steps" in done.stdout and done.stdout.startswith("Train ")


def test_data_sets_may_be_named_twice_or_hold_one_split(tmp_path: Path) -> None:
    both, other = tmp_path / "both", tmp_path / "other"
    for folder, shards in ((both, [[_recording(0)], [_recording(1)]]), (other, [[_recording(2)]])):
        folder.mkdir()
        write_prepared(folder, shards)
    for path in [*both.glob("train-00001*"), *other.glob("train-*")]:
        path.rename(path.with_name(path.name.replace("train", "validation")))
    a, b = str(both), str(other)
    to_train_on, validation = load_splits([a, a, b])
    assert [item.entry.recording for item in to_train_on] == ["r0", "r0"]
    assert [Path(item.shard).parent.name for item in validation] == ["both", "other"]
    with pytest.raises(InputError, match="no recording of the split 'train' in .*other"):
        load_splits([b])
    for path in other.glob("validation-*"):
        path.unlink()
    with pytest.raises(InputError, match="other: holds no recording of the split 'train'"):
        load_splits([a, b])


def test_a_finished_run_says_so_at_once(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "ckpt-7.index").write_bytes(b"index")
    (folder / "ckpt-7.data-00000-of-00001").write_bytes(b"data")
    arguments = ("--preset=tiny", f"--run_dir={tmp_path}", "--data=nowhere")
    done = run(*arguments, "--training_steps=7", cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == "the run has made its 7 steps; --training_steps takes it further"
    assert second.startswith(f"next: bin/evaluate --run={tmp_path} --data=nowhere ")
    assert "nowhere: is not a prepared" in run(*arguments, "--training_steps=8", cwd=root).stderr
