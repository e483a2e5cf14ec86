"""Batch normalisation taken into the convolutions before it: the same network, with less to compute, for inference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfamt.layers.normalization import BatchNormalization
from tfamt.layers.unet import ADD, NORM


def without_norms(model: keras.Model) -> keras.Model:
    """What `model` does at inference, without a layer of batch normalisation.

    With its moving statistics fixed, one is a line per channel, and so is the convolution before it: its kernel times
    the slope, its bias on that line (Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018, section 3.2). Outputs differ by rounding alone.

    Args:
      model: a functional model in which each normalisation stands behind the convolution that bears its name
        (`tfamt.layers.unet.conv_norm`), and nothing else takes that convolution's output.
    """
    norms = [layer for layer in model.layers if isinstance(layer, BatchNormalization)]
    names = {layer.name for layer in model.layers}
    convolutions = {norm.name: norm.name.removesuffix(NORM) for norm in norms}
    # What `dilated_residual` adds to is the convolution's own input: a 1 in the middle of the kernel does that as well.
    # Left as it is, oneDNN fuses both, adds in place, and overwrites what the convolution has yet to read.
    residuals = {f"{name}{ADD}" for name in convolutions.values()} & names

    def call(layer: keras.layers.Layer, *args: Any, **options: Any) -> Any:
        if layer.name in residuals:
            return args[0][1]
        return args[0] if isinstance(layer, BatchNormalization) else layer(*args, **options)

    folded = keras.models.clone_model(model, call_function=call)
    for layer in folded.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    for norm in norms:
        name = convolutions[norm.name]
        kernel, bias = _folded(folded.get_layer(name), norm)
        if f"{name}{ADD}" in residuals:
            height, width = kernel.shape[:2]
            kernel[height // 2, width // 2] += np.eye(kernel.shape[-1], dtype=kernel.dtype)
        folded.get_layer(name).set_weights([kernel, bias])
    return folded


def _folded(
    convolution: keras.layers.Conv2D, norm: BatchNormalization
) -> list[NDArray[np.float32]]:
    kernel, bias = convolution.get_weights()
    gamma, beta, mean, variance = norm.get_weights()
    slope = gamma / np.sqrt(variance + norm.epsilon)
    return [kernel * slope, (bias - mean) * slope + beta]
