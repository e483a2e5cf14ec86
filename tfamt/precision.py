"""Mixed precision: whether this machine can compute in it."""

from __future__ import annotations

import signal
import subprocess
import sys

from tfamt.errors import InputError

PRECISIONS = ("float32", "mixed_bfloat16")

_PROBE = """
import os, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras, numpy as np
keras.config.set_dtype_policy(sys.argv[1])
model = keras.Sequential([
    keras.Input((16, 16, 1)),
    keras.layers.Conv2D(8, 3, padding="same"),
    keras.layers.BatchNormalization(),
    keras.layers.Conv2D(8, 2, strides=2),
    keras.layers.Dense(8),
])
model.compile("adam", "mse")
model.fit(np.ones((4, 16, 16, 1)), np.ones((4, 8, 8, 8)), verbose=0)
"""


def use_precision(name: str) -> None:
    """Lets all layers that are made from now on compute in this precision; variables stay float32.

    A small network is trained first, in a process of its own: where the processor lacks what the libraries believe it
    has, TensorFlow does not raise an error but dies.

    Raises:
      InputError: there is no such precision, or this machine cannot compute in it.
    """
    if name not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {name!r}")
    if name == "float32":
        return
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE, name], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        raise InputError(
            f"this machine cannot train in {name}: {_cause(probe.returncode, probe.stderr)}",
            fix="Use --precision=float32.",
        )
    import keras

    keras.config.set_dtype_policy(name)


def _cause(code: int, said: str) -> str:
    if code < 0:
        return f"a small network that tried was ended by {signal.Signals(-code).name}"
    return (said.strip().splitlines() or ["a small network that tried failed"])[-1]
