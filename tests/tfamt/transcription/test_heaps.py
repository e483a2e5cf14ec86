"""Threads share the heaps of the C library."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# Eight threads at a time, each with memory of its own, and what glibc then says of its heaps.
THREADS = """
import ctypes, sys, threading
from tfamt.transcription.resources import limit_arenas
if sys.argv[1] == "shared": limit_arenas()
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_threads_share_two_heaps(root: Path) -> None:
    heaps = {}
    for how in ("shared", "apart"):
        command = [sys.executable, "-c", THREADS, how]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        heaps[how] = done.stdout.count("<heap nr=")
    assert heaps["shared"] <= 2 < heaps["apart"]
