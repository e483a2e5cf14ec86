"""Test that both decoders of FLAC records give the same samples and errors, and which of them is used."""

from __future__ import annotations

import io
import sys
import types
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipelines.preparation import flac

SAMPLES = np.array([0, 1, -1, 32767, -32768, 12345] * 50, np.int16)
Decoder = Callable[[tf.Tensor], tf.Tensor]


def _encoded(samples: np.ndarray = SAMPLES, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="FLAC", subtype=subtype)
    return file.getvalue()


@pytest.fixture(params=["tensorflow-io", "soundfile"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    """Each implementation: content -> int16 [samples]."""
    if request.param == "soundfile":
        return flac._decode_in_python
    if not flac.tensorflow_io_runs():
        pytest.skip("needs tensorflow-io, which has no wheel for this Python or does not run")
    return flac._decode_in_graph


def test_samples_are_exact_inside_a_data_set(decoder: Decoder) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, 50_000).astype(np.int16)
    quiet = (np.arange(327_680) % 7 - 3).astype(np.int16)
    recordings = [SAMPLES, noise, quiet, SAMPLES[:1]]
    contents = [_encoded(samples) for samples in recordings]
    dataset = tf.data.Dataset.from_tensor_slices(contents).map(decoder, num_parallel_calls=4)
    for decoded, samples in zip(dataset.as_numpy_iterator(), recordings, strict=True):
        assert decoded.dtype == np.int16
        np.testing.assert_array_equal(decoded, samples)


def test_decoded_samples_have_full_scale_1() -> None:
    dataset = tf.data.Dataset.from_tensors(_encoded()).map(flac.decode_flac)
    assert dataset.element_spec == tf.TensorSpec([None], tf.float32)
    np.testing.assert_array_equal(next(dataset.as_numpy_iterator()), SAMPLES / np.float32(32768))


NOISE = np.random.default_rng(2).integers(-9000, 9000, 40_000).astype(np.int16)


@pytest.mark.parametrize(
    "content",
    [
        b"This is not audio. " * 100,
        _encoded(NOISE)[:60],
        _encoded(NOISE)[:-30_000],
        _encoded(np.stack([SAMPLES, SAMPLES], axis=1)),
        _encoded(SAMPLES, "PCM_24"),
    ],
    ids=["text", "header", "cut", "stereo", "24 bits"],
)
def test_other_content_fails_when_run(decoder: Decoder, content: bytes) -> None:
    dataset = tf.data.Dataset.from_tensors(content).map(decoder)
    with pytest.raises(tf.errors.InvalidArgumentError):
        next(dataset.as_numpy_iterator())
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoder(tf.constant(content))


def test_damage_within_the_audio_fails_when_run() -> None:
    damaged = bytearray(_encoded(NOISE))
    damaged[len(damaged) // 2] ^= 4
    # tensorflow-io does not return from some damage, hence soundfile alone.
    with pytest.raises(tf.errors.InvalidArgumentError, match="FLAC cannot be decoded"):
        flac._decode_in_python(tf.constant(bytes(damaged)))


def test_tensorflow_io_decodes_in_the_graph_where_it_runs() -> None:
    graph = tf.function(flac.decode_flac).get_concrete_function(tf.TensorSpec([], tf.string))
    kinds = {operation.type for operation in graph.graph.get_operations()}
    assert ("IO>AudioDecodeFlac" in kinds) == flac.tensorflow_io_runs()


def _broken(*_: object, **__: object) -> None:
    raise NotImplementedError("unable to open file: libtensorflow_io.so")


def _wrong(*_: object, **__: object) -> tf.Tensor:
    return tf.zeros([4, 1], tf.int16)


@pytest.mark.parametrize("decode", [None, _broken, _wrong])
def test_soundfile_decodes_where_tensorflow_io_does_not(
    monkeypatch: pytest.MonkeyPatch, decode: Callable[..., object] | None
) -> None:
    audio = types.SimpleNamespace(decode_flac=decode)
    module = types.SimpleNamespace(audio=audio) if decode else None
    # None makes the import fail, as where the package is missing.
    monkeypatch.setitem(sys.modules, "tensorflow_io", module)
    flac.tensorflow_io_runs.cache_clear()
    try:
        decoded = flac.decode_flac(tf.constant(_encoded()))
        assert not flac.tensorflow_io_runs()
    finally:
        flac.tensorflow_io_runs.cache_clear()
    np.testing.assert_array_equal(decoded.numpy(), SAMPLES / np.float32(32768))
