"""Check what a server returns before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tfamt.errors import InputError
from tfamt.transcription.backends import Array


class TemporaryError(Exception):
    """The server may answer if it is asked again."""


@dataclass(frozen=True)
class Answer:
    """What is expected of a tensor: its shape; float32 unless `text`."""

    shape: tuple[int, ...]
    text: bool = False


class Channel(Protocol):
    """One protocol of TensorFlow Serving."""

    def predict(
        self, signature: str, inputs: Mapping[str, Any], answers: Mapping[str, Answer]
    ) -> dict[str, Any]:
        """Call a signature: float32 arrays and lists of strings in, the outputs named by `answers` out.

        Raises:
          TemporaryError: the server cannot be reached or is overloaded.
          InputError: the server refuses, or answers something else.
        """


def checked_array(values: Any, name: str, answer: Answer) -> Array:
    """Return nested lists, or an array, as finite float32 of the expected shape.

    Raises:
      InputError: it is something else.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(values, np.float32)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise unusable(f"{name} is no array of numbers") from error
    if array.shape != answer.shape:
        raise unusable(f"{name} has shape {array.shape} instead of {answer.shape}")
    if not np.isfinite(array).all():
        raise unusable(f"{name} holds values that are not finite")
    return array


def unusable(what: str) -> InputError:
    """Return the error for answers that cannot be used."""
    return InputError(
        f"the server's answer cannot be used: {brief(what)}",
        fix="Serve a model that bin/export wrote.",
    )


def brief(text: object, length: int = 200) -> str:
    """Return the text of another machine, safe to print in one line."""
    shown = " ".join(
        "".join(c if c.isprintable() else " " for c in str(text)[: 4 * length]).split()
    )
    return shown if len(shown) <= length else f"{shown[:length]}..."
