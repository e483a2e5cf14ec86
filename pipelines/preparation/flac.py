"""Decode FLAC records inside tf.data graphs, with tensorflow-io.

Prepared data sets hold audio as 16 kHz mono 16-bit FLAC. With a TensorFlow that tensorflow-io does not fit, importing
tensorflow-io succeeds and its operations fail, so `check_flac_decoder` runs one before a pipeline is built.
"""

from __future__ import annotations

import functools
import io
from importlib import metadata
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf

from tfamt.errors import InputError


def decode_flac(content: tf.Tensor) -> tf.Tensor:
    """Decode 16 kHz mono 16-bit FLAC.

    Args:
      content: string [], the bytes of the file.

    Returns:
      float32 [samples] in -1..1.

    Raises:
      tf.errors.OpError: when run, if the content is anything else.
    """
    samples = _tensorflow_io().audio.decode_flac(content, dtype=tf.int16)
    return tf.ensure_shape(tf.cast(samples[:, 0], tf.float32) / 2.0**15, [None])


@functools.cache
def check_flac_decoder() -> None:
    """Decode four known samples once per process.

    Raises:
      InputError: the operation of tensorflow-io does not run, or returns wrong samples.
    """
    samples = np.array([0, 1, -2, 32767], np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="FLAC", subtype="PCM_16")
    try:
        with tf.init_scope():
            decoded = decode_flac(tf.constant(file.getvalue())).numpy()
    except (ImportError, NotImplementedError, tf.errors.OpError) as error:
        raise _unusable(f"does not run ({str(error).splitlines()[0]})") from error
    if not np.array_equal(decoded, samples / np.float32(2**15)):
        raise _unusable("decodes wrong samples")


def _tensorflow_io() -> Any:
    # Late: the import takes seconds, and reading records without decoding audio does not need it.
    import tensorflow_io

    return tensorflow_io


def _unusable(problem: str) -> InputError:
    try:
        version = metadata.version("tensorflow-io")
    except metadata.PackageNotFoundError:
        version = "(none)"
    return InputError(
        f"tensorflow-io {version} {problem} with TensorFlow {tf.__version__}",
        fix="Versions that fit each other: tensorflow-io 0.37.1 with TensorFlow 2.16 or 2.17.",
    )
