"""Map the weights of the authors' PyTorch network onto ours, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]


def load_weights(model: keras.Model, weights: Weights) -> None:
    """Sets every weight of `model` (preset icpr2020_*) from PyTorch's names and layouts, without the "w/"."""
    halves = ("transcriber", "reconstructor")
    for number, half in enumerate(halves, start=1):
        if half in [layer.name for layer in model.layers]:
            _load_half(model.get_layer(half), weights, str(number))


def _load_half(half: keras.Model, weights: Weights, number: str) -> None:
    ours, theirs = f"unet{number}", f"Unet{number}"
    for level in range(4):
        block = f"{theirs}_encoder.block{level + 1}"
        down = f"{ours}_down{level}"
        _conv_norm(half, f"{down}_conv0", weights, f"{block}.conv1", f"{block}.bn1")
        _conv_norm(half, f"{down}_conv1", weights, f"{block}.conv2", f"{block}.bn2")
        _conv(half, f"{down}_around", weights, f"{block}.skip")
        _conv(half, f"{down}_stride", weights, f"{block}.ds")
        block = f"{theirs}_decoder.d_block{4 - level}"
        up = f"{ours}_up{level}"
        _upsample(half, f"{up}_upsample", weights, f"{block}.us")
        _transposed_conv(half, f"{up}_conv0", weights, f"{block}.conv2d")
        _norm(half, f"{up}_conv0", weights, f"{block}.bn2d")
        _transposed_conv(half, f"{up}_conv1", weights, f"{block}.conv1d")
        if level:
            _conv(half, f"{up}_skip", weights, f"{theirs}_encoder.conv{4 - level}")
            _norm(half, f"{up}_conv1", weights, f"{block}.bn1d")
    _lstm(half, weights, f"lstm{number}")
    dense = half.get_layer("pianoroll" if number == "1" else "to_bins")
    dense.set_weights([weights[f"linear{number}.weight"].T, weights[f"linear{number}.bias"]])


def _conv(half: keras.Model, ours: str, weights: Weights, theirs: str) -> None:
    kernel = weights[f"{theirs}.weight"].transpose(2, 3, 1, 0)
    half.get_layer(ours).set_weights([kernel, weights[f"{theirs}.bias"]])


def _conv_norm(half: keras.Model, ours: str, weights: Weights, conv: str, norm: str) -> None:
    _conv(half, ours, weights, conv)
    _norm(half, ours, weights, norm)


def _norm(half: keras.Model, ours: str, weights: Weights, norm: str) -> None:
    half.get_layer(f"{ours}_norm").set_weights(
        [weights[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")]
    )


def _transposed_conv(half: keras.Model, ours: str, weights: Weights, theirs: str) -> None:
    # The authors' decoder uses transposed 3x3 convolutions with stride 1: convolutions with the kernel turned round.
    kernel = weights[f"{theirs}.weight"][:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
    half.get_layer(ours).set_weights([kernel, weights[f"{theirs}.bias"]])


def _upsample(half: keras.Model, ours: str, weights: Weights, theirs: str) -> None:
    # [in, out, 2, 2] -> [in, (row, column, out)]
    kernel = weights[f"{theirs}.weight"].transpose(0, 2, 3, 1)
    half.get_layer(ours).set_weights([kernel.reshape(len(kernel), -1), weights[f"{theirs}.bias"]])


def _lstm(half: keras.Model, weights: Weights, theirs: str) -> None:
    directions = ("", "_reverse")
    half.get_layer("context").set_weights(
        [np.stack([weights[f"{theirs}.{name}_l0{way}"].T for way in directions])
         for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    )  # fmt: skip
