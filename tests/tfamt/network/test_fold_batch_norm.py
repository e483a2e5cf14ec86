"""Test that folded batch normalisation gives the same outputs from fewer layers."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfamt.config import HEADS, Config, replace
from tfamt.network.fold_batch_norm import fold_batch_norm
from tfamt.network.layers.batch_normalization import BatchNormalization
from tfamt.network.model import build_model
from tfamt.presets import preset


def transcriber(config: Config) -> keras.Model:
    """With statistics and slopes as unlike those of a new network as a long training makes them."""
    keras.utils.set_random_seed(0)
    model = build_model(config).get_layer("transcriber")
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name in config.model.heads and layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(0.0, 0.3, kernel.shape), np.zeros_like(bias)])
        if isinstance(layer, BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            scale = rng.normal(1.0, 0.5, gamma.shape), rng.normal(0.0, 0.5, beta.shape)
            layer.set_weights(
                [*scale, rng.normal(0.0, 0.5, mean.shape), rng.uniform(0.1, 4.0, variance.shape)]
            )
    return model


PLAIN = replace(preset("tiny"), "model", feature_maps=2, top_skip=True, reconstruction=False)
REFINED = replace(PLAIN, "model", heads=HEADS, refinement=6, refinement_partials=2)


@pytest.mark.parametrize("config", [PLAIN, REFINED], ids=["plain", "refined"])
def test_outputs_stay_and_norms_go(config: Config) -> None:
    model = transcriber(config)
    folded = fold_batch_norm(model)
    spectrogram = np.random.default_rng(1).random((2, 40, config.spectrogram.bins), np.float32)
    ours, plain = folded(spectrogram, training=False), model(spectrogram, training=False)
    assert list(ours) == list(plain)
    for name in plain:
        assert np.ptp(plain[name]) > 0.1
        np.testing.assert_allclose(ours[name], plain[name], rtol=0, atol=1e-5)
    # Graphs are fused: an addition to a convolution's own input once overwrote what it had yet to read.
    fused = tf.function(lambda x: folded(x, training=False), autograph=False)(spectrogram)
    for name in plain:
        np.testing.assert_allclose(fused[name], plain[name], rtol=0, atol=1e-5)
    norms = [layer.name for layer in model.layers if isinstance(layer, BatchNormalization)]
    assert len(norms) > 4
    assert [layer.name for layer in folded.layers] == [
        layer.name
        for layer in model.layers
        if layer.name not in norms and not re.fullmatch("refine[0-9]+_add", layer.name)
    ]


def test_by_hand() -> None:
    inputs = keras.Input((1, 1, 1))
    x = keras.layers.Conv2D(1, 1, name="c")(inputs)
    model = keras.Model(inputs, BatchNormalization(epsilon=0.25, name="c_norm")(x))
    model.get_layer("c").set_weights([np.array([[[[3.0]]]]), np.array([1.0])])
    # gamma, beta, mean, variance: the slope is 4 / sqrt(3.75 + 0.25) = 2.
    model.get_layer("c_norm").set_weights([np.array([v]) for v in (4.0, 5.0, 7.0, 3.75)])
    kernel, bias = fold_batch_norm(model).get_layer("c").get_weights()
    assert kernel.item() == pytest.approx(6.0)
    assert bias.item() == pytest.approx(-7.0)
