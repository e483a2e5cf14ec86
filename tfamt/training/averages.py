"""Keep moving averages of the weights, which are validated and saved."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfamt.network.weights import named_weights


class WeightAverages:
    """Moving averages of all weights of a model.

    Statistics of normalisation are averaged too, since those of the last steps do not fit averaged weights.

    Args:
      model: the joint model; to be called in the scope of the strategy.
      decay: of the averages; 0 to keep none.
    """

    def __init__(self, model: keras.Model, decay: float):
        self._model = model
        self._decay = decay
        averaged = model.weights if decay else []
        self.variables = [tf.Variable(weight.value, trainable=False) for weight in averaged]

    def reset(self) -> None:
        """Set the averages to the present weights."""
        for average, weight in zip(self.variables, self._model.weights, strict=False):
            average.assign(weight.value)

    def update(self, strategy: tf.distribute.Strategy, steps: tf.Tensor) -> None:
        """Update the averages after a number of steps; inside a graph."""
        done = tf.cast(steps, tf.float32)
        # The decay grows with the steps, or a young average would keep the initial weights for too long.
        decay = tf.minimum(self._decay, (1.0 + done) / (10.0 + done))
        for average, weight in zip(self.variables, self._model.weights, strict=False):
            strategy.extended.update(average, _update, args=(weight.value, decay))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the averages by name, or without averages the weights themselves."""
        chosen = self.variables or [weight.value for weight in self._model.weights]
        averages = {
            id(weight): average for weight, average in zip(self._model.weights, chosen, strict=True)
        }
        return {
            name: averages[id(weight)].numpy()
            for name, weight in named_weights(self._model).items()
        }


def _update(average: tf.Variable, weight: tf.Tensor, decay: tf.Tensor) -> tf.Operation:
    return average.assign(decay * average + (1.0 - decay) * weight)
