"""Count the multiplications of a network, and those that this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.measuring import in_turns, medians

if TYPE_CHECKING:
    import keras


def multiply_adds(model: keras.Model, frames: int, bins: int) -> int:
    """Count the multiplications of one spectrogram [frames, bins] through a model, as they are computed."""
    import tensorflow as tf
    from tensorflow.python.framework import op_callbacks

    counted: list[int] = []

    def count(kind: bytes, inputs: Any, attributes: Any, outputs: Any, *_: Any) -> None:
        name = kind.decode() if isinstance(kind, bytes) else kind
        if name in ("Conv2D", "MatMul", "BatchMatMulV2", "BatchMatMulV3"):
            counted.append(_products(name, inputs, outputs[0], tuple(attributes)))

    op_callbacks.add_op_callback(count)
    try:
        model(tf.zeros([1, frames, bins]), training=False)
    finally:
        op_callbacks.remove_op_callback(count)
    return sum(counted)


def _products(name: str, inputs: Any, output: Any, attributes: tuple[Any, ...]) -> int:
    size = int(output.shape.num_elements())
    if name == "Conv2D":
        rows, columns, channels, _ = inputs[1].shape
        return size * int(rows * columns * channels)
    options = dict(zip(attributes[::2], attributes[1::2], strict=True))
    turned = options.get("transpose_a", options.get("adj_x", False))
    return size * int(inputs[0].shape[-2 if turned else -1])


def peak_multiply_adds() -> float:
    """Measure multiplications per CPU second of a convolution that suits this machine: 3x3, 128 channels in and out."""
    import tensorflow as tf

    image, kernel = tf.random.normal([8, 80, 28, 128]), tf.random.normal([3, 3, 128, 128])
    convolve = tf.function(lambda: tf.nn.conv2d(image, kernel, 1, "SAME"))
    _, cpu = medians(in_turns({"convolution": convolve}, 9))["convolution"]
    return 8 * 80 * 28 * 9 * 128 * 128 / cpu
