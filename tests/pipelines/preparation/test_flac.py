"""Test FLAC decoding in a graph, and a tensorflow-io that does not fit its TensorFlow."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipelines.preparation import flac
from tfamt.errors import InputError

SAMPLES = np.array([0, 1, -1, 32767, -32768, 12345] * 50, np.int16)


def _encoded() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, 16_000, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def test_samples_are_exact_inside_a_data_set() -> None:
    dataset = tf.data.Dataset.from_tensors(_encoded()).map(flac.decode_flac)
    assert dataset.element_spec == tf.TensorSpec([None], tf.float32)
    np.testing.assert_array_equal(next(dataset.as_numpy_iterator()), SAMPLES / np.float32(32768))


def test_other_content_fails_when_run() -> None:
    with pytest.raises(tf.errors.OpError):
        flac.decode_flac(tf.constant(b"This is not audio. " * 100))


def test_the_graph_holds_graph_operations_alone() -> None:
    graph = tf.function(flac.decode_flac).get_concrete_function(tf.TensorSpec([], tf.string))
    kinds = {operation.type for operation in graph.graph.get_operations()}
    assert "IO>AudioDecodeFlac" in kinds
    assert not kinds & {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


@pytest.mark.parametrize(
    ("decode", "problem"),
    [
        (None, "does not run .unable to open file: libtensorflow_io.so."),
        (lambda *_, **__: tf.zeros([4, 1], tf.int16), "decodes wrong samples"),
    ],
)
def test_a_tensorflow_io_that_does_not_fit_is_named(
    monkeypatch: pytest.MonkeyPatch, decode: object, problem: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise NotImplementedError("unable to open file: libtensorflow_io.so")

    monkeypatch.setattr(flac._tensorflow_io().audio, "decode_flac", decode or broken)
    flac.check_flac_decoder.cache_clear()
    expected = rf"tensorflow-io 0\.37\.1 {problem} .*0\.37\.1 with TensorFlow 2\.16 or 2\.17"
    with pytest.raises(InputError, match=expected):
        flac.check_flac_decoder()
    flac.check_flac_decoder.cache_clear()
