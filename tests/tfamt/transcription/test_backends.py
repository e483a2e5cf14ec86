"""Test the network in this process: constant weights, or those of a model in training."""

from __future__ import annotations

import numpy as np

from tfamt.network.model import build_model
from tfamt.presets import preset
from tfamt.transcription.backends import keras_backend

LOUDNESS = np.full(1, 0.1, np.float32)


def test_in_training_a_backend_follows_the_weights() -> None:
    config = preset("tiny")
    model = build_model(config).get_layer("transcriber")
    samples = config.inference.window_frames * config.spectrogram.hop
    window = np.random.default_rng(0).normal(size=(1, samples)).astype(np.float32)
    following = keras_backend(config, model, in_training=True)
    kept = keras_backend(config, model)
    before, at_first = following(window, LOUDNESS)["pianoroll"], kept(window, LOUDNESS)["pianoroll"]
    np.testing.assert_allclose(at_first, before, rtol=0, atol=1e-5)
    kernel, bias = model.get_layer("pianoroll").get_weights()
    model.get_layer("pianoroll").set_weights([0 * kernel, 0 * bias])
    assert (following(window, LOUDNESS)["pianoroll"] == 0.5).all()
    np.testing.assert_array_equal(kept(window, LOUDNESS)["pianoroll"], at_first)
