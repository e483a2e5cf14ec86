"""Write to the event file of TensorBoard, whose disk may be full."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import tensorflow as tf

from tfamt.errors import InputError, reason_of


@contextlib.contextmanager
def writing(writer: tf.summary.SummaryWriter) -> Iterator[None]:
    """Let tf.summary write to an event file, which has everything when the block ends.

    Raises:
      InputError: the file cannot be written.
    """
    try:
        with writer.as_default():
            yield
        writer.flush()
    except tf.errors.OpError as error:
        raise InputError(
            f"the event file of TensorBoard cannot be written ({reason_of(error)})",
            fix="Make room and start the command again: the run resumes from its last checkpoint.",
        ) from error


def write_scalars(
    writer: tf.summary.SummaryWriter, step: int, scalars: Mapping[str, float], group: str
) -> None:
    """Write scalars of a step as "group/name".

    Raises:
      InputError: the file cannot be written.
    """
    with writing(writer):
        for name, value in scalars.items():
            tf.summary.scalar(f"{group}/{name}", value, step)
