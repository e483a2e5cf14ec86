"""Fold batch normalisation into the convolutions before it, for inference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfamt.network.blocks import ADD, NORM
from tfamt.network.layers.batch_normalization import BatchNormalization


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Return a model with the outputs of `model` at inference, without batch normalisation.

    With its moving statistics fixed, one is a line per channel, and so is the convolution before it: its kernel times
    the slope, its bias on that line (Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018, section 3.2). Outputs differ by rounding alone.

    Nor is there anything left that adds such a convolution to its own input (`tfamt.network.blocks.dilated_residual`):
    a 1 in the middle of the kernel does that. oneDNN would fuse both, add in place, and so overwrite what the
    convolution has yet to read.

    Args:
      model: a functional model in which each normalisation stands behind the convolution that bears its name
        (`tfamt.network.blocks.conv_norm`), and nothing else takes that convolution's output.
    """
    norms = {
        layer.name.removesuffix(NORM): layer
        for layer in model.layers
        if isinstance(layer, BatchNormalization)
    }
    additions = {f"{name}{ADD}" for name in norms} & {layer.name for layer in model.layers}

    def call(layer: keras.layers.Layer, *args: Any, **options: Any) -> Any:
        if layer.name in additions:
            _, convolved = args[0]
            return convolved
        return args[0] if isinstance(layer, BatchNormalization) else layer(*args, **options)

    folded = keras.models.clone_model(model, call_function=call)
    for layer in folded.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    for name, norm in norms.items():
        convolution = folded.get_layer(name)
        kernel, bias = _folded(convolution, norm)
        if f"{name}{ADD}" in additions:
            height, width, channels, _ = kernel.shape
            kernel[height // 2, width // 2] += np.eye(channels, dtype=kernel.dtype)
        convolution.set_weights([kernel, bias])
    return folded


def _folded(
    convolution: keras.layers.Conv2D, norm: BatchNormalization
) -> list[NDArray[np.float32]]:
    kernel, bias = convolution.get_weights()
    gamma, beta, mean, variance = norm.get_weights()
    # Damaged weights may state a negative variance: their outputs are refused.
    with np.errstate(invalid="ignore"):
        slope = gamma / np.sqrt(variance + norm.epsilon)
    return [kernel * slope, (bias - mean) * slope + beta]
