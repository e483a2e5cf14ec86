"""The U-net that both halves of the system are made of (Cheuk et al., ICPR 2020, figure 1)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfamt.layers.normalization import BatchNormalization

LEAK = 0.01
"""Slope of LeakyReLU below 0."""

NORM = "_norm"
"""Ends the name of a batch normalisation; before it stands the name of the convolution that it follows."""

FRAMES = "_frames"
"""Ends the name of the first half of a factorised kernel; before it stands the name of the second."""

_OUTPUT_GAIN = 4.0
"""How much more than PyTorch's default the U-net's last convolution puts out before training.

By that default the sigmoid behind it varies by 0.08 only (standard deviation over a recording), by 0.2 with this, and
what follows has more to learn from: docs/deviations.md, "First weights".
"""


@keras.saving.register_keras_serializable("tfamt")
class UpsampleLike(keras.layers.Layer):
    """Transposed 2x2 convolution with stride 2, to the height and width of a reference.

    Inputs: (x [batch, h, w, c], reference [batch, H, W, any]) with H in (2h, 2h + 1), W likewise. A row or column
    that x does not reach holds the bias alone, as with PyTorch's `output_size`.
    """

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        channels = input_shape[0][-1]
        if channels is None:
            raise ValueError(f"The last axis must be known. Received: input_shape={input_shape}")
        self.channels = channels
        # A 2x2 kernel with stride 2 never overlaps: it is a dense layer to four pixels.
        self.kernel = self.add_weight(
            name="kernel", shape=(channels, 4 * channels), initializer=torch_uniform()
        )
        self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        x, reference = inputs
        height, width = tf.shape(reference)[1], reference.shape[2]
        # What x does not reach comes of zeros.
        missing = (height + 1) // 2 - tf.shape(x)[1], (width + 1) // 2 - x.shape[2]
        x = tf.pad(x, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        # As convolutions, since a product of 4 by 2 axes loses its rank on the way to OpenVINO. One for the upper row
        # of each square, one for the lower: so whole rows are moved, in half the time that depth_to_space takes.
        kernels = tf.split(tf.convert_to_tensor(self.kernel)[None, None], 2, axis=-1)
        bias = tf.tile(tf.convert_to_tensor(self.bias), [2])
        rows = [tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "VALID"), bias) for kernel in kernels]
        shape = [-1, tf.shape(x)[1], 2 * x.shape[2], self.channels]
        pairs = tf.stack([tf.reshape(row, shape) for row in rows], axis=2)
        enlarged = tf.reshape(pairs, [-1, 2 * tf.shape(x)[1], 2 * x.shape[2], self.channels])
        # Not by brackets: the gradient of those takes several times as long.
        enlarged = tf.slice(enlarged, [0, 0, 0, 0], [-1, height, width, -1])
        enlarged.set_shape([x.shape[0], reference.shape[1], width, self.channels])
        return enlarged

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        return (*input_shape[1][:3], input_shape[0][-1])


@keras.saving.register_keras_serializable("tfamt")
class PadFrames(keras.layers.Layer):
    """[batch, frames, bins, channels] with zeros behind, to `minimum` frames at least."""

    def __init__(self, minimum: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.minimum = minimum

    def call(self, x: tf.Tensor) -> tf.Tensor:
        missing = tf.maximum(self.minimum - tf.shape(x)[1], 0)
        return tf.pad(x, [[0, 0], [0, missing], [0, 0], [0, 0]])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        frames = input_shape[1]
        return (input_shape[0], frames and max(frames, self.minimum), *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minimum": self.minimum}


@keras.saving.register_keras_serializable("tfamt")
class CropLike(keras.layers.Layer):
    """(x [batch, frames, ...], reference) -> x with as many frames as the reference."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        x, reference = inputs
        return x[:, : tf.shape(reference)[1]]

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        return (input_shape[0][0], input_shape[1][1], *input_shape[0][2:])


def torch_uniform(gain: float = 1.0) -> keras.initializers.Initializer:
    """PyTorch's default for convolutions and dense layers: uniform within `gain` / sqrt(fan-in), with a gain of 1."""
    return keras.initializers.VarianceScaling(gain**2 / 3.0, mode="fan_in", distribution="uniform")


def unet(
    x: Any,
    channels: tuple[int, ...],
    features: int,
    prefix: str,
    top_skip: bool = False,
    ranks: tuple[int, ...] = (),
) -> Any:
    """[batch, frames, bins, 1] -> [batch, frames, bins, features], without a final activation.

    Each level is two 3x3 convolutions with a 1x1 convolution around them, then a strided 2x2 convolution down. Skips
    carry the *downsampled* output of each level but the deepest through a 3x3 convolution of their own; the last
    level up has none.

    Args:
      x: the spectrogram as a Keras tensor.
      channels: filters by level, from the top.
      features: channels of the output.
      prefix: of the layers' names.
      top_skip: whether the first level's output goes to the last level up as well.
      ranks: by level, from the top, that of its 3x3 kernels (see `_conv_by_rank`); 0, or none: they are whole.
    """
    ranks += (0,) * (len(channels) - len(ranks))
    sizes, downs = [], []
    image = x
    # The deepest level needs one frame at least.
    x = PadFrames(2 ** len(channels), name=f"{prefix}_pad")(image)
    for level, filters in enumerate(channels):
        name = f"{prefix}_down{level}"
        inner = conv_norm(x, filters, f"{name}_conv0", rank=ranks[level])
        inner = conv_norm(inner, filters, f"{name}_conv1", rank=ranks[level])
        around = _conv(filters, 1, f"{name}_around")(x)
        full = keras.layers.Add(name=f"{name}_add")([inner, around])
        x = keras.layers.Conv2D(
            filters, 2, strides=2, kernel_initializer=torch_uniform(), name=f"{name}_stride"
        )(full)
        sizes.append(full)
        downs.append(x)
    for level in reversed(range(1, len(channels))):
        name = f"{prefix}_up{level}"
        skip = _conv_by_rank(downs[level - 1], channels[level - 1], 3, f"{name}_skip", ranks[level])
        x = UpsampleLike(name=f"{name}_upsample")([x, sizes[level]])
        x = keras.layers.Concatenate(name=f"{name}_join")([x, skip])
        joined = channels[level] + channels[level - 1]
        x = conv_norm(x, joined // 2, f"{name}_conv0", rank=ranks[level])
        x = conv_norm(x, channels[level - 1], f"{name}_conv1", rank=ranks[level])
    name = f"{prefix}_up0"
    x = UpsampleLike(name=f"{name}_upsample")([x, sizes[0]])
    if top_skip:
        x = keras.layers.Concatenate(name=f"{name}_join")([x, sizes[0]])
    x = conv_norm(x, max(channels[0] // 2, features), f"{name}_conv0", rank=ranks[0])
    x = _conv(features, 3, f"{name}_conv1", _OUTPUT_GAIN)(x)
    return CropLike(name=f"{prefix}_crop")([x, image])


def _conv(
    filters: int, size: int | tuple[int, int], name: str, gain: float = 1.0
) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        filters, size, padding="same", kernel_initializer=torch_uniform(gain), name=name
    )


def _conv_by_rank(x: Any, filters: int, size: int | tuple[int, int], name: str, rank: int) -> Any:
    """A convolution, or with a rank what is nearly one: along the frames into so few channels, then along the bins.

    (Jaderberg, Vedaldi, Zisserman, "Speeding up Convolutional Neural Networks with Low Rank Expansions", BMVC 2014,
    scheme 2.) Where that would not be less to multiply, the kernel stays whole.
    """
    whole = 9 * x.shape[-1] * filters
    if size == 3 and 0 < 3 * rank * (x.shape[-1] + filters) < whole:
        x = keras.layers.Conv2D(
            rank,
            (3, 1),
            padding="same",
            use_bias=False,
            kernel_initializer=torch_uniform(),
            name=f"{name}{FRAMES}",
        )(x)
        size = (1, 3)
    return _conv(filters, size, name)(x)


def conv_norm(
    x: Any, filters: int, name: str, size: int | tuple[int, int] = 3, rank: int = 0
) -> Any:
    """Convolution, of this rank if it is not 0, batch normalisation, LeakyReLU: the U-net's unit."""
    x = _conv_by_rank(x, filters, size, name, rank)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}{NORM}")(x)
    return keras.layers.LeakyReLU(negative_slope=LEAK, name=f"{name}_relu")(x)
