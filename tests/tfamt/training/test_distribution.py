"""Test that any number of devices, machines and accumulated parts makes the same steps."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.measuring import in_fresh_process
from pipelines.input.training_windows import training_batches
from pipelines.input.window_plan import training_plan
from pipelines.preparation.index import load_index, totals_of
from tests.pipelines.input.test_training_windows import GRID
from tests.support.processes import ROOT, command, start
from tests.support.small_data import prepare_noise, write_prepared
from tests.tfamt.training.test_trainer import TINY, _trainer
from tfamt.config import Config, TrainingConfig, replace
from tfamt.errors import InputError
from tfamt.network.weights import load_weights, named_weights
from tfamt.notes.table import Notes
from tfamt.training.distribution import Share, check_batch_size, choose_strategy, share_of
from tfamt.training.trainer import Trainer

STEPS = 10
HEADS = ("pianoroll", "onset", "velocity")
# Adam moves weights whose gradient is rounding noise (biases in front of a normalisation) by whole steps, unless
# the gradient is far below its epsilon (1e-7): hence a small loss.
SMALL_LOSS = dict.fromkeys(("pianoroll", "onset", "velocity", "reconstruction"), 1e-3)
CONFIG = replace(
    replace(replace(TINY, "loss", **SMALL_LOSS), "model", heads=HEADS),
    "training",
    batch_size=4,
    ema=0.9,
    learning_rate=3e-4,
    schedule="exponential",
)


def _batch(step: int, windows: int) -> dict[str, tf.Tensor]:
    random = np.random.default_rng(step)
    roll = (random.random((windows, 32, 88)) < 0.1).astype(np.float32)
    # Notes are spread unevenly over the batch: a mean over parts is not the mean over notes.
    onset = roll * np.linspace(0.1, 1.0, windows, dtype=np.float32)[:, None, None]
    return {
        "spectrogram": tf.constant(random.random((windows, 32, 229), np.float32)),
        "pianoroll": tf.constant(roll),
        "onset": tf.constant(onset),
        "velocity": tf.constant(random.random(roll.shape, np.float32)),
        "recording": tf.range(windows, dtype=tf.int64),
    }


def _five_steps(trainer: Trainer, windows: int = 4) -> dict[str, np.ndarray]:
    """All weights, their averages and the last step's scalars."""
    for step in range(5):
        scalars = trainer.train_step(_batch(step, windows))
    state = {name: np.array(weight) for name, weight in named_weights(trainer.model).items()}
    state |= {f"average/{name}": value for name, value in trainer.averaged_weights().items()}
    return state | {f"scalar/{name}": value.numpy() for name, value in scalars.items()}


def _one_and_two_devices(folder: str) -> list[dict[str, np.ndarray]]:
    mirrored = choose_strategy("mirrored", logical_cpus=2)
    assert mirrored.num_replicas_in_sync == 2
    strategies = (tf.distribute.get_strategy(), mirrored)
    return [_five_steps(Trainer(CONFIG, folder, strategy)) for strategy in strategies]


def test_two_devices_make_the_steps_of_one(tmp_path: Path) -> None:
    one, two = in_fresh_process(_one_and_two_devices, str(tmp_path))
    begin = {
        name: np.array(weight)
        for name, weight in named_weights(_trainer(CONFIG, tmp_path).model).items()
    }
    moves = np.concatenate([np.abs(one[name] - begin[name]).ravel() for name in begin])
    assert np.median(moves) > 5e-5
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-5, err_msg=name)


def _without_normalisation(config: Config, folder: Path) -> Trainer:
    """A trainer whose normalisation layers neither learn nor look at the batch."""
    trainer = _trainer(config, folder)
    for layer in trainer.model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return trainer


def test_two_parts_of_four_make_the_step_of_eight(tmp_path: Path) -> None:
    whole = replace(CONFIG, "training", batch_size=8)
    in_parts = replace(whole, "training", accumulation=2)
    expected = _five_steps(_without_normalisation(whole, tmp_path), 8)
    for name, value in _five_steps(_without_normalisation(in_parts, tmp_path), 8).items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-5, err_msg=name)


def test_a_batch_that_cannot_be_divided_is_refused(tmp_path: Path) -> None:
    message = r"multiple of 3: 1 devices, 3 part\(s\) each, 1 window\(s\) of a recording together. Received: 4"
    with pytest.raises(InputError, match=message):
        _trainer(replace(CONFIG, "training", accumulation=3), tmp_path)
    check_batch_size(TrainingConfig(batch_size=6, accumulation=3), tf.distribute.get_strategy())
    together = TrainingConfig(batch_size=6, accumulation=3, recording_windows=2)
    check_batch_size(together, tf.distribute.get_strategy())
    four = TrainingConfig(batch_size=6, accumulation=3, recording_windows=4)
    with pytest.raises(InputError, match="multiple of 12"):
        check_batch_size(four, tf.distribute.get_strategy())


def test_workers_share_each_batch(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    recording = random.integers(-999, 999, 400_000).astype(np.int16), Notes([1.0], [2.0], [60])
    write_prepared(tmp_path, [[recording, recording]])
    stored = load_index(tmp_path, "train")
    settings: dict[str, Any] = {"num_frames": 32, "batch_size": 6, "grid": GRID, "seed": 3}
    plan = training_plan(totals_of(stored), 32 * GRID.hop, 3, first=6)
    expected = [next(plan).start for _ in range(18)]
    read = []
    for index in range(3):
        batches = training_batches(stored, first_step=1, share=Share(index, 3), **settings)
        read.append([batch["start"].numpy().tolist() for batch in batches.take(3)])
    in_turn = [start for step in range(3) for worker in range(3) for start in read[worker][step]]
    assert in_turn == expected


def test_wrong_strategies_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"must be one of auto.*Received: 'all'"):
        choose_strategy("all")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match="needs the environment variable TF_CONFIG"):
        choose_strategy("multiworker")
    assert share_of(choose_strategy("single")) == Share(0, 1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def _cluster(ports: list[int], index: int) -> dict[str, str]:
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    task = {"type": "worker", "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_noise(tmp_path_factory.mktemp("data"))


def _join(cluster: dict[str, str]) -> None:
    os.environ.update(cluster)


def _call(data: Path, run: Path, *flags: str) -> list[str]:
    return [
        *("pipelines.commands.train", "--preset=tiny"),
        *(
            "--model_channels=4",
            "--model_reconstruction_channels=4",
            "--model_temporal_context=none",
        ),
        *("--training_batch_size=4", "--training_window_frames=32", f"--training_steps={STEPS}"),
        # A schedule that does not depend on the number of steps, which some tests go on from.
        "--training_schedule=exponential",
        "--training_learning_rate=1e-3",
        *(f"--data={data}", f"--run_dir={run}", "--report_steps=1", "--checkpoint_seconds=0"),
        *(f"--loss_{term}=0.001" for term in ("pianoroll", "second_pass", "reconstruction")),
        *flags,
    ]


def _train(data: Path, run: Path, *flags: str) -> str:
    done = command(*_call(data, run, *flags))
    assert done.returncode == 0, done.stderr
    return done.stdout


def _start_worker(
    data: Path, run: Path, ports: list[int], index: int, output: Path
) -> subprocess.Popen[str]:
    """A worker that can start itself again, with the command line that it was given."""
    with output.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", *_call(data, run)],
            cwd=ROOT,
            env={**os.environ, **_cluster(ports, index)},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _lines(run: Path) -> list[dict[str, float]]:
    path = run / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


@pytest.fixture(scope="module")
def two_workers(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of two workers on this machine."""
    folder = tmp_path_factory.mktemp("two")
    ports, outputs = _free_ports(2), [folder / "0.txt", folder / "1.txt"]
    workers = [
        start(
            *_call(data, folder / "run"),
            output=output,
            prepare=functools.partial(_join, _cluster(ports, index)),
        )
        for index, output in enumerate(outputs)
    ]
    for worker in workers:
        worker.join(300)
    assert [worker.exitcode for worker in workers] == [0, 0], [path.read_text() for path in outputs]
    _same_weights(outputs)
    return folder / "run"


def _same_weights(outputs: list[Path]) -> None:
    """Every worker says a checksum of all its weights at the end."""
    found = [re.search(r"worker \d of 2: weights (\w{16})", path.read_text()) for path in outputs]
    assert found[0] and found[1]
    assert found[0][1] == found[1][1]


@pytest.fixture(scope="module")
def one_process(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a single process on one device."""
    run = tmp_path_factory.mktemp("one")
    _train(data, run)
    return run


def _nearly_the_same_run(run: Path, other: Path) -> None:
    _, ours = load_weights(run / "weights.npz")
    _, theirs = load_weights(other / "weights.npz")
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-4, err_msg=name)
    for one, two in zip(_lines(run), _lines(other), strict=True):
        assert one["step"] == two["step"]
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)


def test_two_workers_make_the_steps_of_one(two_workers: Path, one_process: Path) -> None:
    _nearly_the_same_run(two_workers, one_process)


@pytest.mark.slow
def test_a_run_can_be_moved_and_go_on_with_more_devices(
    data: Path, one_process: Path, tmp_path: Path
) -> None:
    _train(data, tmp_path / "here", f"--training_steps={STEPS // 2}")
    (tmp_path / "here").rename(tmp_path / "there")
    said = _train(data, tmp_path / "there", "--strategy=mirrored", "--logical_cpus=2")
    assert f"going on from step {STEPS // 2}" in said
    _nearly_the_same_run(tmp_path / "there", one_process)


@pytest.mark.slow
def test_a_worker_that_is_killed_and_started_again(
    data: Path, two_workers: Path, tmp_path: Path
) -> None:
    run, ports = tmp_path / "run", _free_ports(2)
    outputs = [tmp_path / "0.txt", tmp_path / "1.txt", tmp_path / "again.txt"]
    first = _start_worker(data, run, ports, 0, outputs[0])
    second = _start_worker(data, run, ports, 1, outputs[1])
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "checkpoint").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second.kill()
    assert second.wait() == -signal.SIGKILL
    again = _start_worker(data, run, ports, 1, outputs[2])
    assert (first.wait(timeout=200), again.wait(timeout=200)) == (0, 0)
    assert "warning: another worker is lost" in outputs[0].read_text()
    for path in (outputs[0], outputs[2]):
        assert "going on from step" in path.read_text()
    _same_weights([outputs[0], outputs[2]])
    assert _lines(run) == _lines(two_workers)
