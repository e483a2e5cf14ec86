"""Test the division of cores and memory between the threads of a transcription."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os
import tensorflow as tf
from tfamt.transcription.resources import share_cores

os.cpu_count = lambda: 16
threads = tf.config.threading.get_intra_op_parallelism_threads
printed = []
for recordings in (1, 2, 3, 16):
    share_cores(recordings)
    printed.append(threads())
os.environ["TF_NUM_INTRAOP_THREADS"] = "2"
share_cores(1)
printed.append(threads())
del os.environ["TF_NUM_INTRAOP_THREADS"]
tf.ones(3) + 1
share_cores(1)
print(*printed, threads())
"""


def test_calls_share_sixteen_cores() -> None:
    """Its own process: the number is fixed once TensorFlow has computed anything."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_NUM_INTRAOP_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["4", "2", "1", "1", "1", "1"]


# Eight threads at a time, each with memory of its own, and what glibc then says of its heaps.
THREADS = """
import ctypes, sys, threading
from tfamt.transcription.resources import limit_arenas
if sys.argv[1] == "limited": limit_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.fdopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
together = threading.Barrier(8)
def take():
    together.wait()
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, libc.fdopen(1, b"w"))
libc.fflush(None)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_threads_allocate_from_two_arenas(root: Path) -> None:
    heaps = {}
    for how in ("limited", "default"):
        command = [sys.executable, "-c", THREADS, how]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        heaps[how] = done.stdout.count("<heap nr=")
    assert heaps["limited"] <= 2 < heaps["default"]
