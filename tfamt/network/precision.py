"""Mixed precision: whether this machine can train in it, and whether it transcribes faster in it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfamt.config import Config, replace
from tfamt.errors import InputError

PRECISIONS = ("float32", "mixed_bfloat16")
AUTO = "auto"
"""For inference: the faster one on this machine."""

_CPU_INFO = Path("/proc/cpuinfo")

_PROBE = "import sys; from tfamt.precision import make_a_step; make_a_step(*sys.argv[1:])"


def use_precision(name: str, config: Config) -> None:
    """Lets all layers that are made from now on compute in this precision; variables stay float32.

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
    import keras

    keras.config.set_dtype_policy(name)


def inference_precision(name: str) -> str:
    """The precision that a name of `PRECISIONS`, or "auto", means for inference on this machine.

    Where the processor itself multiplies bfloat16, convolutions take half of the time. Elsewhere that would have to be
    imitated, at a multiple of the time; GPUs are left at what they have.

    Raises:
      InputError: there is no such precision.
    """
    if name not in (AUTO, *PRECISIONS):
        raise InputError(
            f"precision must be one of {', '.join((AUTO, *PRECISIONS))}. Received: {name!r}"
        )
    if name != AUTO:
        return name
    if not _processor_has_bfloat16():
        return "float32"
    # TensorFlow takes seconds to load.
    import tensorflow as tf

    return "float32" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"


def _processor_has_bfloat16() -> bool:
    """As far as Linux tells."""
    try:
        return "avx512_bf16" in _CPU_INFO.read_text("utf-8", "replace").split()
    except OSError:
        return False


@contextmanager
def layers_in(name: str) -> Iterator[None]:
    """Layers that are made inside compute in this precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_a_step(precision: str, config_json: str) -> None:
    """What the probe does: one training step of a config's network, on a short window of noise.

    Raises:
      ValueError: the loss is no number.
    """
    import tempfile

    import keras
    import tensorflow as tf

    from tfamt.notes import NUM_PITCHES
    from tfamt.training import Trainer

    keras.config.set_dtype_policy(precision)
    config = replace(Config.from_json(config_json), "training", batch_size=2, accumulation=1)
    roll = tf.cast(tf.random.uniform([2, 32, NUM_PITCHES]) < 0.1, tf.float32)
    batch = {"spectrogram": tf.random.uniform([2, 32, config.spectrogram.bins])}
    batch |= dict.fromkeys(config.model.heads, roll)
    with tempfile.TemporaryDirectory() as folder:
        scalars = Trainer(config, folder, tf.distribute.get_strategy()).train_step(batch)
    if not tf.math.is_finite(scalars["loss"]):
        raise ValueError("the loss is no number")


def _cause(code: int, said: str) -> str:
    if code < 0:
        return f"a step that was tried was ended by {signal.Signals(-code).name}"
    return (said.strip().splitlines() or ["a step that was tried failed"])[-1]
