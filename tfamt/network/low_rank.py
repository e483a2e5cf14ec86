"""Replace kernels of a trained network by products of narrow ones, with nearly the same outputs and less to compute.

The outputs of a layer vary in far fewer directions than it has channels. The first factor keeps those directions
(`ModelConfig.conv_ranks`, `ModelConfig.context_rank`), the second leads back. They are found from the layer's inputs on
training windows (Zhang et al., "Accelerating Very Deep Convolutional Networks for Classification and Detection", 2015,
section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from tfamt.network.blocks import FRAMES, NORM
from tfamt.network.layers.bidirectional_lstm import BidirectionalLSTM
from tfamt.network.model import CONTEXT, INPUT

if TYPE_CHECKING:
    import tensorflow as tf

Arrays: TypeAlias = Mapping[str, NDArray[np.float32]]
_Matrix: TypeAlias = NDArray[np.float64]
_TRANSCRIBER = "transcriber"
_INTO_CONTEXT, _OUT_OF_CONTEXT = "into context", "out of context"


def factorized(
    arrays: Arrays,
    transcriber: keras.Model,
    narrow: keras.Model,
    spectrograms: Iterable[tf.Tensor],
) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a network with full kernels for the same network with some of them low-rank.

    Of all products of so low a rank each is that which changes the output of its layer least, in the square, over what
    is observed and, where a normalisation follows, as that scales it.

    Args:
      arrays: weights by name (`tfamt.network.weights.named_weights`).
      transcriber: of these weights.
      narrow: the other network; its weights do not matter.
      spectrograms: training inputs, scaled, [batch, frames, bins] each.
    """
    layers = {layer.name: layer for layer in narrow.layers}
    ranks = {
        name.removesuffix(FRAMES): layer.filters
        for name, layer in layers.items()
        if name.endswith(FRAMES)
    }
    context = layers.get(CONTEXT)
    recurrent_rank = context.rank if isinstance(context, BidirectionalLSTM) else 0
    observed = {name: transcriber.get_layer(name).input for name in ranks}
    if f"{CONTEXT}{INPUT}" in layers:
        observed[_INTO_CONTEXT] = transcriber.get_layer(CONTEXT).input
    if recurrent_rank:
        observed[_OUT_OF_CONTEXT] = transcriber.get_layer(CONTEXT).output
    moments = _second_moments(transcriber, observed, spectrograms)
    result = dict(arrays)
    for name, rank in ranks.items():
        key = f"{_TRANSCRIBER}/{name}/kernel"
        scale = _scale(transcriber, name)
        first, result[key] = _convolution(arrays[key], moments[name], rank, scale)
        result[f"{_TRANSCRIBER}/{name}{FRAMES}/kernel"] = first
    if _INTO_CONTEXT in observed:
        key = f"{_TRANSCRIBER}/{CONTEXT}/kernel"
        # Both ways see the same: [features, gates of both].
        whole = np.concatenate(list(arrays[key]), axis=1)
        first, second = _product(whole, moments[_INTO_CONTEXT], layers[f"{CONTEXT}{INPUT}"].units)
        result[f"{_TRANSCRIBER}/{CONTEXT}{INPUT}/kernel"] = first
        result[key] = np.stack(np.split(second, len(arrays[key]), axis=1))
    if recurrent_rank:
        key = f"{_TRANSCRIBER}/{CONTEXT}/recurrent_kernel"
        ways = _blocks(moments[_OUT_OF_CONTEXT], len(arrays[key]))
        pairs = [
            _product(kernel, seen, recurrent_rank)
            for kernel, seen in zip(arrays[key], ways, strict=True)
        ]
        first, second = (np.stack(halves) for halves in zip(*pairs, strict=True))
        result[f"{_TRANSCRIBER}/{CONTEXT}/recurrent_input"], result[key] = first, second
    return result


def _convolution(
    kernel: NDArray[np.float32], moments: _Matrix, rank: int, scale: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factorise a kernel [frames, bins, channels, filters] into one along the frames and one along the bins."""
    frames, bins, channels, filters = kernel.shape
    # What is seen of the frames, by what is made of it at the bins around.
    matrix = kernel.transpose(0, 2, 1, 3).reshape(frames * channels, bins * filters)
    first, second = _product(matrix, moments, rank, np.tile(scale, bins))
    return (
        first.reshape(frames, 1, channels, rank),
        second.reshape(1, rank, bins, filters).transpose(0, 2, 1, 3),
    )


def _product(
    matrix: NDArray[np.float32],
    moments: _Matrix,
    rank: int,
    scale: NDArray[np.float64] | float = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factorise `matrix` [inputs, outputs] at this rank, by the principal components of its scaled outputs."""
    scaled = matrix.astype(np.float64) * scale
    # In the order of rising variance.
    _, components = np.linalg.eigh(scaled.T @ moments @ scaled)
    kept = components[:, -rank:]
    return (scaled @ kept).astype(np.float32), (kept.T / scale).astype(np.float32)


def _scale(transcriber: keras.Model, name: str) -> NDArray[np.float64]:
    """Return the magnitudes by which the normalisation behind a convolution, if any, scales its filters."""
    norms = [layer for layer in transcriber.layers if layer.name == f"{name}{NORM}"]
    if not norms:
        return np.ones(transcriber.get_layer(name).filters)
    gamma, _, _, variance = norms[0].get_weights()
    scale: NDArray[np.float64] = np.abs(gamma / np.sqrt(variance + norms[0].epsilon))
    # Nothing can be divided by 0.
    return np.maximum(scale, 1e-6, dtype=np.float64)


def _second_moments(
    transcriber: keras.Model, observed: Mapping[str, Any], spectrograms: Iterable[tf.Tensor]
) -> dict[str, _Matrix]:
    """Return the mean products of the inputs of kernels, by name of the tensor: [inputs, inputs]."""
    probe = keras.Model(transcriber.input, dict(observed))
    means: dict[str, _Matrix] = {}
    for number, spectrogram in enumerate(spectrograms, start=1):
        for name, values in probe(spectrogram, training=False).items():
            # In 32 bits the sums would hide weak directions.
            rows = _rows(np.asarray(values, np.float64))
            mean = rows.T @ rows / len(rows)
            before = means.get(name, np.zeros_like(mean))
            means[name] = before + (mean - before) / number
    return means


def _rows(values: _Matrix) -> _Matrix:
    """Return a row of inputs for each frame; of images, for each bin and frame with the frames before and behind."""
    if values.ndim == 4:
        padded = np.pad(values, ((0, 0), (1, 1), (0, 0), (0, 0)))
        values = np.concatenate([padded[:, :-2], values, padded[:, 2:]], axis=-1)
    return values.reshape(-1, values.shape[-1])


def _blocks(moments: _Matrix, count: int) -> list[_Matrix]:
    """Return the square blocks along the diagonal."""
    size = len(moments) // count
    return [moments[at : at + size, at : at + size] for at in range(0, len(moments), size)]
