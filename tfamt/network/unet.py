"""Build the U-net that both halves of the system consist of (Cheuk et al., ICPR 2020, figure 1)."""

from __future__ import annotations

from typing import Any

import keras

from tfamt.network.blocks import conv_norm, convolution
from tfamt.network.initializers import torch_uniform
from tfamt.network.layers.crop_like import CropLike
from tfamt.network.layers.pad_frames import PadFrames
from tfamt.network.layers.upsample_like import UpsampleLike

_OUTPUT_GAIN = 4.0
"""Gain of the initial weights of the last convolution, over PyTorch's default.

With the default, the sigmoid that follows varies by 0.08 only (standard deviation over a recording), with this gain by
0.2, and later layers have more to learn from: docs/deviations.md, "Initial weights".
"""


def unet(
    x: Any,
    channels: tuple[int, ...],
    feature_maps: int,
    prefix: str,
    top_skip: bool = False,
    ranks: tuple[int, ...] = (),
) -> Any:
    """Apply a U-net without a final activation: [batch, frames, bins, 1] -> [batch, frames, bins, feature_maps].

    Each level has two 3x3 convolutions with a 1x1 convolution around them, then a strided 2x2 convolution down. Skips
    carry the *downsampled* output of each level but the deepest through a 3x3 convolution; the last level up has none.

    Args:
      x: the spectrogram as a Keras tensor.
      channels: filters by level, from the top.
      feature_maps: channels of the output.
      prefix: of the layers' names.
      top_skip: whether the first level's output is joined to the last level up.
      ranks: of the 3x3 kernels by level, from the top; 0, or none given, for full kernels.
    """
    ranks += (0,) * (len(channels) - len(ranks))
    sizes, downs = [], []
    image = x
    # The deepest level needs one frame at least.
    x = PadFrames(2 ** len(channels), name=f"{prefix}_pad")(image)
    for level, filters in enumerate(channels):
        full = _level_down(x, filters, f"{prefix}_down{level}", ranks[level])
        x = keras.layers.Conv2D(
            filters,
            2,
            strides=2,
            kernel_initializer=torch_uniform(),
            name=f"{prefix}_down{level}_stride",
        )(full)
        sizes.append(full)
        downs.append(x)
    for level in reversed(range(1, len(channels))):
        pair = channels[level], channels[level - 1]
        name = f"{prefix}_up{level}"
        x = _level_up(x, downs[level - 1], sizes[level], pair, name, ranks[level])
    name = f"{prefix}_up0"
    x = UpsampleLike(name=f"{name}_upsample")([x, sizes[0]])
    if top_skip:
        x = keras.layers.Concatenate(name=f"{name}_join")([x, sizes[0]])
    x = conv_norm(x, max(channels[0] // 2, feature_maps), f"{name}_conv0", rank=ranks[0])
    x = convolution(x, feature_maps, 3, f"{name}_conv1", gain=_OUTPUT_GAIN)
    return CropLike(name=f"{prefix}_crop")([x, image])


def _level_down(x: Any, filters: int, name: str, rank: int) -> Any:
    """Apply the two convolutions of a level down, with the 1x1 convolution around them."""
    inner = conv_norm(x, filters, f"{name}_conv0", rank=rank)
    inner = conv_norm(inner, filters, f"{name}_conv1", rank=rank)
    around = convolution(x, filters, 1, f"{name}_around")
    return keras.layers.Add(name=f"{name}_add")([inner, around])


def _level_up(x: Any, skip: Any, size: Any, channels: tuple[int, int], name: str, rank: int) -> Any:
    """Upsample to the shape of `size`, join the skip and apply the two convolutions of a level up.

    Args:
      x: output of the level below.
      skip: downsampled output of the level above on the way down.
      size: a tensor with the frames and bins of the result.
      channels: of this level, and of the level above.
      name: prefix of the layers' names.
      rank: of the 3x3 kernels.
    """
    lower, upper = channels
    skip = convolution(skip, upper, 3, f"{name}_skip", rank=rank)
    x = UpsampleLike(name=f"{name}_upsample")([x, size])
    x = keras.layers.Concatenate(name=f"{name}_join")([x, skip])
    x = conv_norm(x, (lower + upper) // 2, f"{name}_conv0", rank=rank)
    return conv_norm(x, upper, f"{name}_conv1", rank=rank)
