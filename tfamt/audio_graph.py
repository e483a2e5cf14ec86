"""Decoding of recordings inside tf.data graphs, with tensorflow-io where it is exact.

tensorflow-io takes the header of a file literally and needs to be told the sample format, so `decode_plan`
reads and checks the header first, outside the graph:

    plans = stack_plans([decode_plan(path) for path in paths])
    dataset = tf.data.Dataset.from_tensor_slices((paths, plans))
    waveforms = dataset.map(lambda path, plan: decode_16k(tf.io.read_file(path), plan))

Where tensorflow-io is known to be wrong (`Codec.SOUNDFILE`), `tfamt.audio` decodes through tf.numpy_function.
Both give what `tfamt.audio.read` gives, to 1e-4 and better.
"""

from __future__ import annotations

import enum
import functools
import struct
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfamt import audio
from tfamt.errors import InputError


class Codec(enum.IntEnum):
    """Which decoder reads a file, with the sample format that it must be told."""

    SOUNDFILE = 0
    WAV_U8 = 1
    WAV_16 = 2
    WAV_24 = 3
    WAV_FLOAT = 4
    FLAC_16 = 5
    FLAC_24 = 6
    VORBIS = 7
    MP3 = 8


class DecodePlan(NamedTuple):
    """How to decode one file, or with stacked fields, several; a structure that tf.data understands.

    Attributes:
      codec: a `Codec`.
      sample_rate: samples per second of the file.
      num_frames: samples per channel that the decoder must deliver.
    """

    codec: Any
    sample_rate: Any
    num_frames: Any


# tensorflow-io reads 32-bit integer wav as floats, refuses 64-bit floats, and nobody has 8-bit flac.
_CODECS = {
    ("WAV", "PCM_U8"): Codec.WAV_U8,
    ("WAV", "PCM_16"): Codec.WAV_16,
    ("WAV", "PCM_24"): Codec.WAV_24,
    ("WAV", "FLOAT"): Codec.WAV_FLOAT,
    ("FLAC", "PCM_16"): Codec.FLAC_16,
    ("FLAC", "PCM_24"): Codec.FLAC_24,
    ("OGG", "VORBIS"): Codec.VORBIS,
    ("MP3", "MPEG_LAYER_III"): Codec.MP3,
}


def decode_plan(recording: audio.File) -> DecodePlan:
    """Reads the header of a recording and picks the decoder that reads it exactly.

    Args:
      recording: a file name or the content of a file.

    Raises:
      InputError: there is no readable audio, see `tfamt.audio.read_blocks`; or tensorflow-io does not
        run here.
    """
    info = audio.probe(recording)
    kind = "WAV" if info.format == "WAVEX" else info.format
    codec = _CODECS.get((kind, info.subtype), Codec.SOUNDFILE)
    if not info.literal_header:
        codec = Codec.SOUNDFILE
    # Here and not in the graph, where AutoGraph would bury the message in its own.
    check_tensorflow_io()
    return DecodePlan(int(codec), info.sample_rate, info.num_frames)


def stack_plans(plans: Sequence[DecodePlan]) -> DecodePlan:
    """Joins plans to one whose fields are int64 [len(plans)], for `tf.data.Dataset.from_tensor_slices`.

    Raises:
      ValueError: there are no plans.
    """
    if not plans:
        raise ValueError(f"There must be at least one plan. Received: {plans}")
    return DecodePlan(*(np.asarray(field, np.int64) for field in zip(*plans, strict=True)))


def decode_native(content: tf.Tensor, plan: DecodePlan) -> tf.Tensor:
    """Decodes a file to mono at its own sample rate; for use in graphs.

    Args:
      content: string [], the bytes of the file.
      plan: the `decode_plan` of the same file, of numbers or scalar tensors.

    Returns:
      float32 [num_frames].

    Raises:
      tf.errors.OpError: when run, if the content is damaged, or not of as many frames as its header
        announces (truncated), or holds samples that are not finite.
    """
    branches = {int(codec): functools.partial(_DECODERS[codec], content) for codec in Codec}
    waveform = tf.switch_case(tf.cast(plan.codec, tf.int32), branches)
    found = tf.shape(waveform, tf.int64)[0]
    complete = tf.debugging.assert_equal(
        found,
        tf.cast(plan.num_frames, tf.int64),
        message="the recording is truncated or damaged: decoded samples, announced samples",
    )
    finite = tf.debugging.assert_all_finite(waveform, "the recording holds NaN or infinite samples")
    with tf.control_dependencies([op for op in (complete, finite) if op is not None]):
        waveform = tf.identity(waveform)
    return tf.ensure_shape(waveform, [None])


def decode_16k(content: tf.Tensor, plan: DecodePlan) -> tf.Tensor:
    """Decodes a file to mono at 16 kHz; for use in graphs. Other rates pass through soxr in Python.

    Args and errors are those of `decode_native`.

    Returns:
      float32 [samples].
    """
    waveform = decode_native(content, plan)
    sample_rate = tf.cast(plan.sample_rate, tf.int64)

    def resampled() -> tf.Tensor:
        return tf.numpy_function(_resample, [waveform, sample_rate], tf.float32, stateful=False)

    result = tf.cond(tf.equal(sample_rate, audio.SAMPLE_RATE), lambda: waveform, resampled)
    return tf.ensure_shape(result, [None])


def decode_flac(content: tf.Tensor) -> tf.Tensor:
    """Decodes 16 kHz mono 16-bit FLAC, the form in which prepared data sets hold audio.

    Pipelines call `check_tensorflow_io` once before they build their graph.

    Args:
      content: string [], the bytes of the file.

    Returns:
      float32 [samples] in -1..1.

    Raises:
      tf.errors.OpError: when run, if the content is something else.
    """
    samples = _tfio().audio.decode_flac(content, dtype=tf.int16)
    return tf.ensure_shape(_scaled(samples)[:, 0], [None])


@functools.cache
def check_tensorflow_io() -> None:
    """Runs an op of tensorflow-io, since with a TensorFlow that it does not fit only that fails.

    Raises:
      InputError: the op does not run or gives wrong samples.
    """
    samples = np.array([0, 1, -2, 32767], np.int16)
    header = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 44, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16
    )
    content = header + struct.pack("<4sI", b"data", samples.nbytes) + samples.tobytes()
    try:
        with tf.init_scope():
            decoded = _tfio().audio.decode_wav(tf.constant(content), dtype=tf.int16).numpy()[:, 0]
    except (ImportError, NotImplementedError, tf.errors.OpError) as error:
        raise _unusable(f"does not run ({str(error).splitlines()[0]})") from error
    if not np.array_equal(decoded, samples):
        raise _unusable("decodes wrongly")


def _tfio() -> Any:
    # Late, because the import takes seconds and export and inference never need it.
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


# --- one decoder per codec: string [] -> float32 [frames] ---


def _scaled(samples: tf.Tensor) -> tf.Tensor:
    """PCM of any dtype, as tensorflow-io gives it, as floats in -1..1."""
    if samples.dtype.is_floating:
        return samples
    values = tf.cast(samples, tf.float32)
    if samples.dtype == tf.uint8:
        return values / 128.0 - 1.0
    return values / float(2 ** (8 * samples.dtype.size - 1))


def _tfio_decoder(name: str, **options: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    def decode(content: tf.Tensor) -> tf.Tensor:
        samples = getattr(_tfio().audio, name)(content, **options)
        return tf.reduce_mean(_scaled(samples), axis=1)

    return decode


def _soundfile_decoder(content: tf.Tensor) -> tf.Tensor:
    return tf.numpy_function(_read_native, [content], tf.float32, stateful=False)


def _read_native(content: Any) -> audio.Waveform:
    # Bytes in a graph, but an array of one object in eager execution.
    return audio.read_native(bytes(np.asarray(content, object).item()))


def _resample(waveform: audio.Waveform, sample_rate: np.int64) -> audio.Waveform:
    return audio.resample(waveform, int(sample_rate))


_DECODERS: dict[Codec, Callable[[tf.Tensor], tf.Tensor]] = {
    Codec.SOUNDFILE: _soundfile_decoder,
    Codec.WAV_U8: _tfio_decoder("decode_wav", dtype=tf.uint8),
    Codec.WAV_16: _tfio_decoder("decode_wav", dtype=tf.int16),
    Codec.WAV_24: _tfio_decoder("decode_wav", dtype=tf.int32),
    Codec.WAV_FLOAT: _tfio_decoder("decode_wav", dtype=tf.float32),
    Codec.FLAC_16: _tfio_decoder("decode_flac", dtype=tf.int16),
    Codec.FLAC_24: _tfio_decoder("decode_flac", dtype=tf.int32),
    Codec.VORBIS: _tfio_decoder("decode_vorbis"),
    Codec.MP3: _tfio_decoder("decode_mp3"),
}
