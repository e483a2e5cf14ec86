"""Test the fused Adam against its equations (Kingma and Ba, "Adam", 2015, algorithm 1) and against Keras's."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfamt.training.optimizer import FusedAdam


def gradients(step: int) -> list[np.ndarray]:
    random = np.random.default_rng(step)
    return [random.normal(size=shape).astype(np.float32) for shape in ((3, 4), (5,))]


def trained(kind: type[keras.optimizers.Adam], steps: int) -> list[np.ndarray]:
    """Two weights that begin at 0, and the moments of their gradients, after some steps."""
    weights = [keras.Variable(np.zeros_like(gradient)) for gradient in gradients(0)]
    optimizer = kind(0.01)
    optimizer.build(weights)
    apply = tf.function(lambda *given: optimizer.apply(list(given), weights))
    for step in range(1, steps + 1):
        apply(*map(tf.constant, gradients(step)))
    assert int(optimizer.iterations) == steps
    return [np.array(value) for value in [*weights, *optimizer.variables[2:]]]


def test_twenty_steps_are_those_of_the_equations() -> None:
    theta, m, v = ([np.zeros_like(gradient) for gradient in gradients(0)] for _ in range(3))
    for step in range(1, 21):
        for i, g in enumerate(gradients(step)):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2
            unbiased = m[i] / (1 - 0.9**step), v[i] / (1 - 0.999**step)
            theta[i] = theta[i] - 0.01 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-7)
    ours = trained(FusedAdam, 20)
    for got, expected in zip(ours, [*theta, m[0], v[0], m[1], v[1]], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


def test_weights_and_state_are_those_of_keras_in_its_order() -> None:
    for got, expected in zip(
        trained(FusedAdam, 20), trained(keras.optimizers.Adam, 20), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6)
