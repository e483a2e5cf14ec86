"""A narrow way into the time context, made of a trained wide one: nearly the same network, with less to compute.

The LSTM's input kernel is a sixth of what the whole network multiplies, and what it brings to the gates varies in few
directions. A dense layer without activation (`ModelConfig.projection`) keeps those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Arrays: TypeAlias = Mapping[str, NDArray[np.float32]]

CONTEXT, PROJECTION, TO_SEQUENCE = "context", "projection", "to_sequence"
"""Names of layers of the transcriber: the LSTM, the dense layer before it, and what stands before both."""


def with_projection(
    arrays: Arrays, model: keras.Model, spectrograms: Iterable[tf.Tensor], width: int
) -> Arrays:
    """The weights of a model without a projection, for the same model with one.

    The inputs of the gates are projected on their principal components: of all products of so narrow matrices that
    which changes them least, in the square, over what is heard.

    Args:
      arrays: weights by name (`tfamt.weights.named_weights`); those that are not of the LSTM's input stay as they are.
      model: the joint model of these weights; its context is a BiLSTM.
      spectrograms: what the network is to hear, scaled, [batch, frames, bins] each.
      width: of the projection.
    """
    name = f"transcriber/{CONTEXT}/kernel"
    kernels = arrays[name]
    # Both directions see the same features: [features, gates of both].
    kernel = np.concatenate(list(kernels), axis=1).astype(np.float64)
    moments = _second_moments(model.get_layer("transcriber"), spectrograms)
    # In the order of rising variance.
    _, components = np.linalg.eigh(kernel.T @ moments @ kernel)
    kept = components[:, -width:]
    return {
        **arrays,
        f"transcriber/{PROJECTION}/kernel": (kernel @ kept).astype(np.float32),
        f"transcriber/{PROJECTION}/bias": np.zeros(width, np.float32),
        name: np.stack(np.split(kept.T, len(kernels), axis=1)).astype(np.float32),
    }


def _second_moments(
    transcriber: keras.Model, spectrograms: Iterable[tf.Tensor]
) -> NDArray[np.float64]:
    """Mean products of the features that the LSTM sees, [features, features]."""
    import keras

    hear = keras.Model(transcriber.input, transcriber.get_layer(TO_SEQUENCE).output)
    features = hear.output.shape[-1]
    products, frames = np.zeros((features, features)), 0
    for spectrogram in spectrograms:
        heard = np.asarray(hear(spectrogram, training=False), np.float64)
        rows = heard.reshape(-1, features)
        products += rows.T @ rows
        frames += len(rows)
    return products / frames
