"""Check the columns of a table of notes, which come from anywhere: lists, arrays of any type, data frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfamt.errors import InputError

REAL_KINDS = "biuf"
"""Kinds of NumPy's types that hold real numbers."""


def real_numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return values as float64 of the same shape, the array itself if it is one of float64.

    Args:
      values: real numbers, also as Python objects (Decimal, the columns of some data frames).
      name: what they are, for messages.

    Raises:
      InputError: they are no real numbers, such as text or complex ones, or rows of unequal length.
    """
    try:
        array = np.asarray(values)
        # Of other types NumPy would take text for numbers, and drop the imaginary part or the unit.
        if array.dtype.kind in REAL_KINDS:
            return array.astype(np.float64, copy=False)
        if array.dtype.kind == "O":
            return np.array([float(item) for item in array.flat]).reshape(array.shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must hold numbers ({error})") from error
    first = f"{array.flat[0]!s}, " if array.size else ""
    raise InputError(f"{name} must hold numbers. Received: {first}type {array.dtype}")


def whole_numbers(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return values as int64 [n], refusing fractions, which a conversion would cut off in silence.

    Args:
      values: a number, or n of them.
      name: one of them, for messages.

    Raises:
      InputError: they are no real numbers, or one is a fraction, not finite, or 2^31 or more (but in int64).
    """
    # Integers need no copy as float64.
    if isinstance(values, np.ndarray) and np.can_cast(values.dtype, np.int64):
        return np.atleast_1d(values).astype(np.int64, copy=False)
    array = np.atleast_1d(real_numbers(values, f"the column {name}"))
    # Comparisons with what is not a number are false.
    wrong = ~((np.abs(array) < 2**31) & (array == np.trunc(array)))
    if wrong.any():
        raise InputError(f"a {name} is no whole number. Received: {array[wrong][0]}")
    return array.astype(np.int64)
