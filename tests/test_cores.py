"""How many cores a call of the network takes while several recordings are under way."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os
import tensorflow as tf
from tfamt.backends import give_each_a_core

cores = os.cpu_count()
threads = tf.config.threading.get_intra_op_parallelism_threads
told = []
give_each_a_core(cores - 1)
told.append(threads())
os.environ["TF_NUM_INTRAOP_THREADS"] = "2"
give_each_a_core(cores)
told.append(threads())
del os.environ["TF_NUM_INTRAOP_THREADS"]
give_each_a_core(cores)
told.append(threads())
tf.ones(3) + 1
give_each_a_core(cores + 1)
print(*told, threads())
"""


def test_each_of_enough_recordings_gets_a_core() -> None:
    """Its own process: the number is fixed once TensorFlow has computed anything. 0 is TensorFlow's own choice."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_NUM_INTRAOP_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["0", "0", "1", "1"]
