"""Choose the number format of a network at inference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from tfamt.errors import InputError

PRECISIONS = ("float32", "mixed_bfloat16")
AUTO = "auto"
"""For inference: the faster one on this machine."""

_CPU_INFO = Path("/proc/cpuinfo")


def inference_precision(name: str) -> str:
    """Return the precision that a name of `PRECISIONS`, or "auto", means for inference on this machine.

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
    return "float32" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"


def _processor_has_bfloat16() -> bool:
    """Return whether Linux reports the instruction."""
    try:
        return "avx512_bf16" in _CPU_INFO.read_text("utf-8", "replace").split()
    except OSError:
        return False


@contextmanager
def layers_in(name: str) -> Iterator[None]:
    """Make the layers of the block compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
