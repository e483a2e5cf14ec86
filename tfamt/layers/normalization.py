"""Batch normalisation that does not depend on the number of devices."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer; in training on several replicas with the statistics of the whole global batch.

    Keras' own synchronisation takes the variance as a difference of two large numbers, which costs half of its digits;
    here the mean is agreed on first, then the mean square of what lies around it, as on one device. All replicas must
    have batches of the same shape.
    """

    def _moments(self, inputs: Any, mask: Any) -> Any:
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return super()._moments(inputs, mask)
        mean = _mean_over_replicas(context, inputs)
        variance = _mean_over_replicas(context, tf.math.squared_difference(inputs, mean))
        return mean, variance


def _mean_over_replicas(context: Any, values: tf.Tensor) -> tf.Tensor:
    """Over all axes but the last, and over all replicas."""
    own = tf.reduce_mean(values, axis=list(range(values.shape.rank - 1)))
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, own)
