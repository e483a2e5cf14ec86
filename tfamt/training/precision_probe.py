"""Try a training step in mixed precision before a run depends on it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile

import keras
import tensorflow as tf

from tfamt.config import Config, replace
from tfamt.errors import InputError
from tfamt.network.precision import PRECISIONS
from tfamt.notes.table import NUM_PITCHES
from tfamt.training.trainer import Trainer

_PROBE = "import sys; from tfamt.network.precision import make_a_step; make_a_step(*sys.argv[1:])"


def use_precision(name: str, config: Config) -> None:
    """Make all layers built from now on compute in this precision; variables stay float32.

    A step of the config's network is tried first, in a process of its own: where the processor lacks what the libraries
    believe it has, TensorFlow does not raise an error but dies.

    Raises:
      InputError: there is no such precision, or this machine cannot train in it.
    """
    if name not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {name!r}")
    if name == "float32":
        return
    probe = subprocess.run(
        [sys.executable, "-P", "-c", _PROBE, name, config.to_json()],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        raise InputError(
            f"this machine cannot train in {name}: {_cause(probe.returncode, probe.stderr)}",
            fix="Use --precision=float32.",
        )

    keras.config.set_dtype_policy(name)


def make_a_step(precision: str, config_json: str) -> None:
    """Make one training step of a config's network, on a short window of noise: the work of the probe.

    Raises:
      ValueError: the loss is no number.
    """
    keras.config.set_dtype_policy(precision)
    config = replace(Config.from_json(config_json), "training", batch_size=2, accumulation=1)
    roll = tf.cast(tf.random.uniform([2, 32, NUM_PITCHES]) < 0.1, tf.float32)
    batch = {"spectrogram": tf.random.uniform([2, 32, config.spectrogram.bins])}
    batch |= dict.fromkeys(config.model.heads, roll)
    with tempfile.TemporaryDirectory() as folder:
        scalars = Trainer(config, folder, tf.distribute.get_strategy()).train_step(batch)
    if not tf.math.is_finite(scalars["loss"]):
        raise ValueError("the loss is no number")


def _cause(code: int, output: str) -> str:
    if code < 0:
        return f"a step that was tried was ended by {signal.Signals(-code).name}"
    return (output.strip().splitlines() or ["a step that was tried failed"])[-1]
