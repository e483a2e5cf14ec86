"""Read a stream ahead, so that its writer need not wait."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator
from typing import cast

from tfamt.errors import InputError

# Up to 128 MB wait: twelve minutes of CD sound. Ctrl-C is for the command, which then ends this process.
_PUMP = """
import os, queue, signal, sys, threading

signal.signal(signal.SIGINT, signal.SIG_IGN)
chunks = queue.Queue(2048)

def write():
    while True:
        rest = chunks.get()
        if not rest:
            os._exit(0)
        try:
            while rest:
                rest = rest[os.write(1, rest):]
        except OSError:
            os._exit(0)

threading.Thread(target=write).start()
try:
    while True:
        chunk = os.read(0, 2**16)
        chunks.put(chunk)
        if not chunk:
            break
except OSError as error:
    print(error.strerror, file=sys.stderr, flush=True)
    os._exit(1)
"""


@contextlib.contextmanager
def read_ahead(stream: io.BufferedReader) -> Iterator[io.BufferedReader]:
    """Read a stream from now on, whatever this process does meanwhile; yield what was read, to be read.

    A program that plays into a pipe, such as a recorder, loses sound when the pipe is full for longer than its own
    buffer lasts. A process of its own reads, since loading TensorFlow stops all threads of this one for seconds.

    Args:
      stream: what to read; one without a file descriptor is yielded itself.

    Raises:
      InputError: the stream could not be read to its end.
    """
    try:
        stream.fileno()
    except OSError:
        yield stream
        return
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PUMP],
        stdin=stream,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            yield cast("io.BufferedReader", process.stdout)
            if not process.stdout.read(1) and process.wait():
                reason = process.stderr.read().decode(errors="replace").strip()
                raise InputError(f"cannot be read ({reason})", path="<standard input>")
        finally:
            process.kill()
