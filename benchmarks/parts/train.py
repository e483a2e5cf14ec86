"""Measure a training step, its parts, and its distance to the peak of the machine.

Usage: bin/benchmark train [flags]

Times are per 20.48 s of audio, the paper's segment, as wall time and as CPU time of all threads; the latter means more
where other programs run. Input is the front-end alone (`bin/benchmark input` measures the whole pipeline); backward
and update are differences of measurements. With --steps the memory of a run of that many steps is measured instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from absl import flags

from benchmarks.arithmetic import multiply_adds, peak_multiply_adds
from benchmarks.measuring import in_turns, medians, megabytes_now
from tfamt import network
from tfamt import training as training_package
from tfamt.commands.app import refuse_arguments
from tfamt.config import replace
from tfamt.presets import PRESETS, preset

if TYPE_CHECKING:
    import tensorflow as tf

    from tfamt.config import Config
    from tfamt.training.gradients import Batch
    from tfamt.training.trainer import Trainer

SEGMENT_SECONDS = 20.48

_PRESETS = flags.DEFINE_list(
    "preset", "icpr2020_mel", "Presets, separated by commas; all for every preset."
)
_BATCH = flags.DEFINE_integer("batch_size", 8, "Windows per batch.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "How often; medians count.", 1)
_STEPS = flags.DEFINE_integer("steps", 0, "Measure the memory of a run of that many steps.", 0)

Parts = dict[str, tuple[float, float]]
"""Wall and CPU seconds by part of the step."""


def main(argv: list[str]) -> int:
    """Measure and print; return the exit code."""
    refuse_arguments(argv)

    names = list(PRESETS) if _PRESETS.value == ["all"] else _PRESETS.value
    configs = [replace(preset(name), "training", batch_size=_BATCH.value) for name in names]
    if _STEPS.value:
        for config in configs:
            print_memory(config, _STEPS.value)
        return 0
    peak = peak_multiply_adds() / 1e9
    print(
        f"convolution 3x3, 128 channels: {peak:.1f} G multiply-adds per CPU second, this machine's peak"
    )
    for config in configs:
        print_times(config, _REPEATS.value, peak)
    return 0


def print_times(config: Config, repeats: int, peak: float) -> None:
    """Print a table of one preset, and its distance to the peak."""
    training = config.training
    audio = training.window_frames * config.spectrogram.hop / config.spectrogram.sample_rate
    segments = training.batch_size * audio / SEGMENT_SECONDS
    times = step_times(config, repeats)
    print(f"\n{config.name}, batch {training.batch_size} x {audio:.2f} s: per 20.48 s of audio")
    print("part        wall s   CPU s")
    for part, (wall, cpu) in times.items():
        print(f"{part:10s}  {wall / segments:6.3f}  {cpu / segments:6.3f}")
    products = multiply_adds(
        network.build_model(config), training.window_frames, config.spectrogram.bins
    )
    multiplied = products / audio * SEGMENT_SECONDS / 1e9
    # Backward, each product is taken twice: for its input and for its weights.
    floor = 3 * multiplied / peak
    print(
        f"multiply-adds forward: {multiplied:.1f} G; at the peak a step would take {floor:.3f} CPU s,"
    )
    cpu = times["step"][1] / segments
    print(f"{floor / cpu:.0%} of what it takes", flush=True)


def step_times(config: Config, repeats: int) -> Parts:
    """Measure medians for a whole batch, in turns: input, forward, backward, update, and the step of the last three."""
    import tensorflow as tf

    frontend = network.build_frontend(config.spectrogram)
    samples = config.training.window_frames * config.spectrogram.hop
    waveform = tf.random.normal([config.training.batch_size, samples], stddev=0.1)
    loudness = tf.fill([config.training.batch_size], 0.1)
    batch = _batch(config)
    with tempfile.TemporaryDirectory() as folder:
        trainer = training_package.Trainer(config, folder, tf.distribute.get_strategy())

        def loss() -> tf.Tensor:
            outputs = trainer.model(batch["spectrogram"], training=True)
            terms = training_package.loss_terms(
                batch, outputs, batch["spectrogram"], tf.constant(1.0)
            )
            return training_package.total_loss(terms, config.loss)

        def gradients() -> Any:
            with tf.GradientTape() as tape:
                value = loss()
            return tape.gradient(value, [v.value for v in trainer.model.trainable_variables])

        timed = {
            "input": tf.function(lambda: frontend([waveform, loudness])),
            "forward": tf.function(loss),
            "gradients": tf.function(gradients),
            "step": lambda: trainer.train_step(batch),
        }
        found = medians(in_turns(timed, repeats))
    backward = _minus(found["gradients"], found["forward"])
    update = _minus(found["step"], found["gradients"])
    parts = {"input": found["input"], "forward": found["forward"]}
    return parts | {"backward": backward, "update": update, "step": found["step"]}


def _minus(whole: tuple[float, float], part: tuple[float, float]) -> tuple[float, float]:
    return whole[0] - part[0], whole[1] - part[1]


def print_memory(config: Config, steps: int) -> None:
    """Print resident memory by step: in use after a tenth of the run, and at its end."""
    import tensorflow as tf

    config = replace(config, "training", steps=steps)
    memory: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        trainer: Trainer = training_package.Trainer(config, folder, tf.distribute.get_strategy())

        def report(step: int, _: object) -> None:
            memory[step] = megabytes_now()

        trainer.train(_endless(_batch(config)), report=report, report_steps=max(steps // 10, 1))
    early, late = min(memory), max(memory)
    print(
        f"{config.name}, batch {config.training.batch_size}: {memory[early]:.0f} MB after {early} steps, "
        f"{memory[late]:.0f} MB after {late}",
        flush=True,
    )


def _endless(batch: Batch) -> Iterator[Batch]:
    while True:
        yield batch


def _batch(config: Config) -> Batch:
    """Return noise in the shapes of a training batch."""
    import tensorflow as tf

    training = config.training
    shape = [training.batch_size, training.window_frames]
    rolls = {
        name: tf.cast(tf.random.uniform([*shape, 88]) < 0.05, tf.float32)
        for name in {"pianoroll", "onset", *config.model.heads}
    }
    return {"spectrogram": tf.random.uniform([*shape, config.spectrogram.bins]), **rolls}
