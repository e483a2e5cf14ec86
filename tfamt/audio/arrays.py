"""Take recordings that are arrays of samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tfamt.audio.files import AudioInfo, Waveform, checked_rate, require_samples
from tfamt.errors import InputError

ARRAY_NAME = "<array>"
MAX_CHANNELS = 64
_VALUES_PER_CHUNK = 2**17


def array_info(array: npt.NDArray[Any], sample_rate: int | None) -> AudioInfo:
    """Return what is known of an array of samples.

    Raises:
      InputError: there is no sample rate, no sample, or the dtype or the shape is none of `array_chunks`.
    """
    if sample_rate is None:
        raise InputError("needs its sample rate", path=ARRAY_NAME, fix="Pass sample_rate=.")
    if array.dtype.kind not in "fiu":
        raise InputError(
            "must hold floats or integers", path=ARRAY_NAME, fix=f"Received: dtype {array.dtype}."
        )
    columns = _columns(array)
    rate = checked_rate(sample_rate, ARRAY_NAME)
    require_samples(len(columns), ARRAY_NAME)
    return AudioInfo(rate, columns.shape[1], len(columns), "array", array.dtype.name)


def array_chunks(array: npt.NDArray[Any]) -> Iterator[Waveform]:
    """Yield samples, float32 [samples, channels] each, piece by piece.

    Floats span -1..1, values beyond are taken as they are. Integers are divided by their full scale, unsigned ones
    after their middle is taken away. No recording has samples of 64 bits, so such integers hold smaller ones: 16 bits
    if all fit, else 32, else 64.

    Args:
      array: [samples], [samples, channels] or [channels, samples].
    """
    columns = _columns(array)
    bits = _bits(array)
    scale = np.float32(1.0 if array.dtype.kind == "f" else 2.0 ** (bits - 1))
    middle = np.float64(2.0 ** (bits - 1) if array.dtype.kind == "u" else 0)
    step = max(1, _VALUES_PER_CHUNK // columns.shape[1])
    for start in range(0, len(columns), step):
        chunk = columns[start : start + step]
        with np.errstate(over="ignore"):  # Beyond float32 becomes infinite and is reported as such.
            yield (chunk - middle if middle else chunk).astype(np.float32) / scale


def _bits(array: npt.NDArray[Any]) -> int:
    if array.dtype.itemsize < 8 or array.dtype.kind == "f" or not array.size:
        return 8 * array.dtype.itemsize
    lowest, highest = int(array.min()), int(array.max())
    for bits, kind in ((16, "16"), (32, "32")):
        bounds = np.iinfo(f"{'u' if array.dtype.kind == 'u' else ''}int{kind}")
        if bounds.min <= lowest and highest <= bounds.max:
            return bits
    return 64


def _columns(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the samples as [samples, channels].

    Raises:
      InputError: the shape is none of the three, or could be two of them.
    """
    if array.ndim == 1:
        return array[:, np.newaxis]
    readings = "[samples], [samples, channels] or [channels, samples]"
    if array.ndim != 2 or 0 in array.shape or min(array.shape) > MAX_CHANNELS:
        raise InputError(
            f"must be {readings} with 1 to {MAX_CHANNELS} channels",
            path=ARRAY_NAME,
            fix=f"Received: shape {array.shape}.",
        )
    rows, columns = array.shape
    if min(rows, columns) > 1 and max(rows, columns) <= MAX_CHANNELS:
        raise InputError(
            f"is ambiguous: its shape {array.shape} could be {rows} samples of {columns} channels, or {rows} channels "
            f"of {columns} samples",
            path=ARRAY_NAME,
            fix="Pass one channel, [samples], or more samples.",
        )
    return array if columns < rows or (rows > 1 and columns == 1) else array.T
