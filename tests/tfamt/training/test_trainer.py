"""Test the training step against arithmetic by hand, and resumed runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines.input.batches import training_input
from pipelines.preparation.index import load_index
from tests.pipelines.input.test_training_windows import _recording
from tests.support.small_data import write_prepared
from tfamt.config import Config, TrainingConfig, replace
from tfamt.errors import InputError
from tfamt.network.weights import load_weights, named_weights
from tfamt.presets import preset
from tfamt.training.optimizer import Schedule
from tfamt.training.trainer import Trainer

# As small as a model of both halves can be: what is tested does not depend on its size, the time to build it does.
SMALL = replace(
    preset("tiny"),
    "model",
    channels=(4,),
    reconstruction_channels=(4,),
    temporal_context="none",
    second_pass=False,
)
TINY = replace(SMALL, "training", steps=6, batch_size=2, learning_rate=1e-2)


def _batches(first: int = 0) -> Iterator[dict[str, tf.Tensor]]:
    for step in itertools.count(first):
        random = np.random.default_rng(step)
        roll = (random.random((2, 32, 88)) < 0.1).astype(np.float32)
        spectrogram = random.random((2, 32, 229), np.float32)
        yield {"spectrogram": tf.constant(spectrogram), "pianoroll": tf.constant(roll)}


def _trainer(config: Config, folder: Path) -> Trainer:
    return Trainer(config, folder, tf.distribute.get_strategy())


def _weights(trainer: Trainer) -> dict[str, np.ndarray]:
    return {name: np.asarray(weight) for name, weight in named_weights(trainer.model).items()}


def test_the_papers_schedule() -> None:
    rate = Schedule(TrainingConfig())
    assert [float(rate(step)) for step in (0, 9_999, 10_000, 25_000)] == pytest.approx(
        [6e-4, 6e-4, 6e-4 * 0.98, 6e-4 * 0.98**2]
    )


def test_cosine_with_warm_up() -> None:
    rate = Schedule(
        TrainingConfig(steps=100, learning_rate=1.0, schedule="cosine", warmup_steps=10)
    )
    # 0.5 (1 + cos(pi s / 100)), times (s + 1) / 10 at first.
    assert [float(rate(step)) for step in (0, 50, 100)] == pytest.approx([0.1, 0.5, 0.0], abs=1e-6)
    assert float(rate(4)) == pytest.approx(0.5 * 0.5 * (1 + np.cos(0.04 * np.pi)))


def test_a_cool_down_at_the_end() -> None:
    rate = Schedule(
        TrainingConfig(
            steps=100,
            learning_rate=2.0,
            schedule="trapezoid",
            cooldown_steps=16,
            warmup_steps=4,
        )
    )
    # 2 (1 - sqrt(k / 16)) from step 84 on.
    steps = (0, 4, 84, 85, 88, 93, 100)
    assert [float(rate(step)) for step in steps] == pytest.approx(
        [0.5, 2.0, 2.0, 1.5, 1.0, 0.5, 0.0]
    )


def test_adams_first_step_moves_every_weight_by_the_learning_rate(tmp_path: Path) -> None:
    config = replace(TINY, "training", schedule="exponential", learning_rate=1e-3)
    trainer = _trainer(config, tmp_path)
    before = [variable.numpy() for variable in trainer.model.trainable_variables]
    trainer.train_step(next(_batches()))
    after = [variable.numpy() for variable in trainer.model.trainable_variables]
    moves = np.concatenate([np.abs(a - b).ravel() for a, b in zip(after, before, strict=True)])
    # m / sqrt(v) is the gradient's sign; only gradients next to Adam's epsilon (1e-7) move it less.
    assert moves.max() == pytest.approx(1e-3, rel=1e-3)
    assert np.median(moves) == pytest.approx(1e-3, rel=5e-2)
    assert trainer.step == 1


def test_loss_is_the_weighted_sum_of_its_terms(tmp_path: Path) -> None:
    weighted = replace(TINY, "loss", pianoroll=2.0, reconstruction=10.0)
    trainer = _trainer(weighted, tmp_path)
    scalars = {name: float(value) for name, value in trainer.train_step(next(_batches())).items()}
    assert set(scalars) == {"loss", "gradient_norm", "pianoroll", "reconstruction"}
    assert scalars["loss"] == pytest.approx(
        2 * scalars["pianoroll"] + 10 * scalars["reconstruction"], rel=1e-5
    )


def test_windows_of_a_recording_share_the_level_of_velocity(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_prepared(tmp_path / "data", [[_recording(0)], [_recording(3)]])
    stored = load_index(tmp_path / "data", "train")
    terms = []
    for together in (1, 2):
        heads = replace(SMALL, "model", heads=("pianoroll", "onset", "velocity"))
        config = replace(
            heads, "training", batch_size=8, window_frames=32, recording_windows=together
        )
        batch = next(iter(training_input(config, stored)))
        # The same windows for both: only what the loss takes together differs.
        first = terms[0][0] if terms else batch
        assert (batch["recording"].numpy().reshape(-1, 2).std(axis=1) == 0).all() == (together == 2)
        scalars = _trainer(config, tmp_path / f"run{together}").train_step(first)
        terms.append((first, {name: float(value) for name, value in scalars.items()}))
    alone, shared = terms[0][1], terms[1][1]
    # Squares about a mean and of the mean add up to the same, over whatever windows the mean is taken.
    both = [one["velocity"] + one["velocity_level"] for one in (alone, shared)]
    assert both[0] == pytest.approx(both[1], rel=1e-4)
    assert shared["velocity"] > 1.001 * alone["velocity"]


def test_weights_begin_a_model_with_and_without_its_second_u_net(tmp_path: Path) -> None:
    both = _trainer(TINY, tmp_path / "both")
    baseline = replace(TINY, "model", reconstruction=False)
    alone = _trainer(replace(baseline, "training", seed=9), tmp_path / "alone")
    before = {name: weight.copy() for name, weight in _weights(both).items()}
    for trainer in (both, alone):
        trainer.save()
    both.begin_with(tmp_path / "alone" / "weights.npz")
    for name, weight in _weights(both).items():
        source = before if name.startswith("reconstructor/") else _weights(alone)
        np.testing.assert_array_equal(weight, source[name], err_msg=name)
    alone.begin_with(tmp_path / "both" / "weights.npz")
    assert any((before[name] != weight).any() for name, weight in _weights(both).items())
    # The file is that of the weights `both` had first.
    for name, weight in _weights(alone).items():
        np.testing.assert_array_equal(weight, before[name], err_msg=name)
    with pytest.raises(InputError, match="another config"):
        _trainer(replace(TINY, "model", channels=(8,)), tmp_path).begin_with(
            tmp_path / "both" / "weights.npz"
        )


def test_weights_begin_a_model_with_more_to_it_and_say_what_they_lack(tmp_path: Path) -> None:
    plain = _trainer(TINY, tmp_path / "plain")
    plain.save()
    refined = _trainer(replace(TINY, "model", refinement=4), tmp_path / "refined")
    before = {name: weight.copy() for name, weight in _weights(refined).items()}
    new = refined.begin_with(tmp_path / "plain" / "weights.npz")
    assert "transcriber/refine_correct/kernel" in new
    assert {name.split("/")[1].split("_")[0] for name in new} == {
        "refine", "refine1", "refine4", "refine16"
    }  # fmt: skip
    for name, weight in _weights(refined).items():
        source = before if name in new else _weights(plain)
        np.testing.assert_array_equal(weight, source[name], err_msg=name)
    refined.save()
    wider = _trainer(
        replace(TINY, "model", refinement=6, refinement_partials=1), tmp_path / "wider"
    )
    new = wider.begin_with(tmp_path / "refined" / "weights.npz")
    assert {name.split("/")[1] for name in new} == {"refine_partial1"}
    bias = "transcriber/refine_time/bias"
    np.testing.assert_array_equal(_weights(wider)[bias][:4], _weights(refined)[bias])


def test_clipping_comes_before_the_update(tmp_path: Path) -> None:
    # Adam's step hides the gradient's scale; its first moment, variable 1 behind the step count, shows it.
    steps = {}
    for norm in (1e-4, 1e4):
        trainer = _trainer(replace(TINY, "training", clip_norm=norm), tmp_path / str(norm))
        first = next(_batches())
        scalars = trainer.train_step(first)
        steps[norm] = np.asarray(trainer.optimizer.variables[1])
        assert float(scalars["gradient_norm"]) > 1e-3
    # The first moment is 0.1 x the clipped gradient.
    ratio = np.abs(steps[1e-4]).sum() / np.abs(steps[1e4]).sum()
    assert ratio == pytest.approx(1e-4 / float(scalars["gradient_norm"]), rel=1e-3)


def test_moving_average(tmp_path: Path) -> None:
    trainer = _trainer(replace(TINY, "training", ema=0.9), tmp_path)
    name = "transcriber/pianoroll/kernel"
    values = [_weights(trainer)[name]]
    batches = _batches()
    for _ in range(3):
        trainer.train_step(next(batches))
        values.append(_weights(trainer)[name])
    average = values[0]
    for step, value in enumerate(values[1:]):
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * value
    np.testing.assert_allclose(trainer.averaged_weights()[name], average, atol=1e-6)


def test_a_run_that_stops_and_goes_on_ends_like_one_that_does_not(tmp_path: Path) -> None:
    ignore = lambda step, scalars: None  # noqa: E731
    undisturbed = _trainer(replace(TINY, "training", ema=0.5), tmp_path / "a")
    undisturbed.train(_batches(), report=ignore)

    config = replace(TINY, "training", ema=0.5)
    stopped = _trainer(config, tmp_path / "b")

    def stop(step: int, scalars: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.train(_batches(), report=stop, report_steps=1, checkpoint_seconds=0.0)
    resumed = _trainer(config, tmp_path / "b")
    assert resumed.restore()
    assert resumed.step == 3
    resumed.train(_batches(3), report=ignore)

    for name, value in _weights(undisturbed).items():
        np.testing.assert_array_equal(_weights(resumed)[name], value, err_msg=name)
    _, ours = load_weights(tmp_path / "a" / "weights.npz")
    _, theirs = load_weights(tmp_path / "b" / "weights.npz")
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value, err_msg=name)


def test_speed_counts_the_steps_since_validation_only(tmp_path: Path) -> None:
    speeds = {}

    def slow_batches() -> Iterator[dict[str, tf.Tensor]]:
        for batch in _batches():
            time.sleep(0.3)
            yield batch

    def report(step: int, scalars: dict[str, float]) -> None:
        if "windows_per_second" in scalars:
            speeds[step] = scalars["windows_per_second"]

    _trainer(TINY, tmp_path).train(
        slow_batches(), report=report, validate=lambda _: {}, report_steps=4, validate_steps=3
    )
    # Two windows come every 0.3 s at the most; steps 1 to 3 lie before the clock's new start.
    assert list(speeds) == [4, 6]
    assert 0.5 < max(speeds.values()) <= 2 / 0.3


def test_reports_and_event_files(tmp_path: Path) -> None:
    reports: list[tuple[int, dict[str, float]]] = []
    trainer = _trainer(TINY, tmp_path)
    trainer.train(
        _batches(),
        report=lambda step, scalars: reports.append((step, scalars)),
        validate=lambda _: {"validation_note_f1": 0.25},
        report_steps=4,
        validate_steps=3,
    )
    assert [step for step, _ in reports] == [3, 4, 6, 6]
    assert reports[0][1] == {"validation_note_f1": 0.25}
    events = {}
    for file in (tmp_path / "logs").iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                events[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    assert events[3, "validation/validation_note_f1"] == 0.25
    assert events[4, "train/loss"] == pytest.approx(reports[1][1]["loss"])
    assert events[6, "train/learning_rate"] == pytest.approx(0.0, abs=1e-3)
