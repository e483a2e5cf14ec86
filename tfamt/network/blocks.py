"""Build the blocks of layers that the networks consist of.

The names of the layers end in constants of this module, by which later steps find them: `tfamt.network.fold_batch_norm`
and `tfamt.network.low_rank`.
"""

from __future__ import annotations

from typing import Any

import keras

from tfamt.network.initializers import torch_uniform
from tfamt.network.layers.batch_normalization import BatchNormalization
from tfamt.network.layers.dilated_conv import DilatedConv

LEAK = 0.01
"""Slope of LeakyReLU below 0."""

NORM = "_norm"
"""Suffix of a batch normalisation's name, after the name of the convolution that it follows."""

FRAMES = "_frames"
"""Suffix of the first factor of a low-rank kernel, after the name of the second factor."""

ADD = "_add"
"""Suffix of a residual addition's name, after the name of the convolution that it adds to its input."""


def convolution(
    x: Any,
    filters: int,
    size: int | tuple[int, int],
    name: str,
    *,
    rank: int = 0,
    gain: float = 1.0,
) -> Any:
    """Apply a convolution, low-rank if that takes fewer multiplications.

    A 3x3 kernel of rank r is the product of a 3x1 kernel along the frames into r channels and a 1x3 kernel along the
    bins (Jaderberg, Vedaldi, Zisserman, "Speeding up Convolutional Neural Networks with Low Rank Expansions", BMVC
    2014, scheme 2).

    Args:
      x: a Keras tensor [batch, frames, bins, channels].
      filters: channels of the output.
      size: of the kernel.
      name: of the layer.
      rank: of a 3x3 kernel; 0 for a full one.
      gain: of the initial weights (`torch_uniform`).
    """
    full = 9 * x.shape[-1] * filters
    if size == 3 and 0 < 3 * rank * (x.shape[-1] + filters) < full:
        x = keras.layers.Conv2D(
            rank,
            (3, 1),
            padding="same",
            use_bias=False,
            kernel_initializer=torch_uniform(),
            name=f"{name}{FRAMES}",
        )(x)
        size = (1, 3)
    return keras.layers.Conv2D(
        filters, size, padding="same", kernel_initializer=torch_uniform(gain), name=name
    )(x)


def conv_norm(
    x: Any, filters: int, name: str, size: int | tuple[int, int] = 3, rank: int = 0
) -> Any:
    """Apply the U-net's unit: convolution (see `convolution`), batch normalisation, LeakyReLU."""
    x = convolution(x, filters, size, name, rank=rank)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}{NORM}")(x)
    return keras.layers.LeakyReLU(negative_slope=LEAK, name=f"{name}_relu")(x)


def dilated_residual(x: Any, dilation: int, name: str) -> Any:
    """Add a convolution over five frames, `dilation` apart, of each bin's features; zero-initialised.

    The scale of its normalisation begins at 0, so the block starts as the identity (Goyal et al., "Accurate, Large
    Minibatch SGD", 2017, section 5.1).
    """
    residual = DilatedConv(x.shape[-1], 5, dilation, kernel_initializer=torch_uniform(), name=name)(
        x
    )
    residual = BatchNormalization(
        momentum=0.9, epsilon=1e-5, gamma_initializer="zeros", name=f"{name}{NORM}"
    )(residual)
    x = keras.layers.Add(name=f"{name}{ADD}")([x, residual])
    return keras.layers.LeakyReLU(negative_slope=LEAK, name=f"{name}_relu")(x)
