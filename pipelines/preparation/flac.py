"""Decode FLAC records inside tf.data graphs: with tensorflow-io where it runs, elsewhere with soundfile.

Prepared data sets hold audio as 16 kHz mono 16-bit FLAC. tensorflow-io has wheels for Python 3.11 and 3.12 only, and
with a TensorFlow that it does not fit its import succeeds and its operations fail: it is used if it decodes four known
samples. Both decoders give the same samples, and refuse damaged content with the same class of errors.
"""

from __future__ import annotations

import functools
import importlib
import io
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf
from numpy.typing import NDArray

_FULL_SCALE = 2.0**15


def decode_flac(content: tf.Tensor) -> tf.Tensor:
    """Decode mono 16-bit FLAC.

    Args:
      content: string [], the bytes of the file.

    Returns:
      float32 [samples] in -1..1.

    Raises:
      tf.errors.OpError: when run, if the content is anything else.
    """
    samples = _decode_in_graph(content) if tensorflow_io_runs() else _decode_in_python(content)
    return tf.ensure_shape(tf.cast(samples, tf.float32) / _FULL_SCALE, [None])


@functools.cache
def tensorflow_io_runs() -> bool:
    """Return whether tensorflow-io is installed and decodes four known samples; tried once per process."""
    samples = np.array([0, 1, -2, 32767], np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="FLAC", subtype="PCM_16")
    try:
        with tf.init_scope():
            decoded = _decode_in_graph(tf.constant(file.getvalue())).numpy()
    except (ImportError, NotImplementedError, tf.errors.OpError):
        return False
    return np.array_equal(decoded, samples)


def _decode_in_graph(content: tf.Tensor) -> tf.Tensor:
    """Decode with the operation of tensorflow-io: int16 [samples]."""
    samples = _tensorflow_io().audio.decode_flac(content, dtype=tf.int16)
    # Of a stereo file the operation returns both channels.
    return tf.ensure_shape(samples, [None, 1])[:, 0]


def _tensorflow_io() -> Any:
    # Late: it may be missing, its import takes seconds, and reading records without decoding audio does not need it.
    return importlib.import_module("tensorflow_io")


# As a graph it raises TensorFlow's errors outside of tf.data, too.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _decode_in_python(content: tf.Tensor) -> tf.Tensor:
    """Decode with soundfile: int16 [samples]. libFLAC runs without the interpreter's lock, so threads use all cores."""
    # Stateless: the result depends on the content alone, so tf.data may run calls in parallel and keep their order.
    return tf.numpy_function(_decode, [content], tf.int16, stateful=False)


def _decode(content: bytes | NDArray[np.object_]) -> NDArray[np.int16]:
    """Return the samples of a mono 16-bit FLAC file: bytes, or an array of no dimension that holds them.

    Raises:
      ValueError: the content is anything else; TensorFlow makes an InvalidArgumentError of it, as tensorflow-io does.
    """
    # Newer releases of TensorFlow pass the array.
    found = content if isinstance(content, bytes) else content.item()
    try:
        with soundfile.SoundFile(io.BytesIO(found)) as file:
            form = (file.format, file.subtype, file.channels)
            if form != ("FLAC", "PCM_16", 1):
                raise ValueError(f"FLAC of one channel of 16 bits expected. Received: {form}")
            samples: NDArray[np.int16] = file.read(dtype="int16")
            if len(samples) != file.frames:
                raise ValueError(f"FLAC ends after {len(samples)} of {file.frames} samples")
    except soundfile.LibsndfileError as error:
        raise ValueError(f"FLAC cannot be decoded ({error.error_string})") from error
    return samples
