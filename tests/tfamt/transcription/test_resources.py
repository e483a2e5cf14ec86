"""How many cores a call of the network takes while others are under way."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os
import tensorflow as tf
from tfamt.transcription.backends import share_cores

os.cpu_count = lambda: 16
threads = tf.config.threading.get_intra_op_parallelism_threads
told = []
for recordings in (1, 2, 3, 16):
    share_cores(recordings)
    told.append(threads())
os.environ["TF_NUM_INTRAOP_THREADS"] = "2"
share_cores(1)
told.append(threads())
del os.environ["TF_NUM_INTRAOP_THREADS"]
tf.ones(3) + 1
share_cores(1)
print(*told, threads())
"""


def test_calls_share_sixteen_cores() -> None:
    """Its own process: the number is fixed once TensorFlow has computed anything."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_NUM_INTRAOP_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["4", "2", "1", "1", "1", "1"]
