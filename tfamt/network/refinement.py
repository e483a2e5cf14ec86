"""Refine the heads' logits with one small network shared by all keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfamt.network.blocks import conv_norm, dilated_residual
from tfamt.network.initializers import torch_uniform
from tfamt.network.layers.key_neighbours import KeyNeighbours
from tfamt.notes.table import NUM_PITCHES

CONFUSED = (-24, -19, -12, -1, 0, 1, 12, 19, 24)
"""Semitones to the keys that share most partials with a key, or lie next to it; and the key itself."""
DILATIONS = (1, 4, 16)
"""Frames between those that are looked at together: 42 to either side in all, 1.3 s at the usual hop."""
NARROW = 8
"""Channels of a key that other keys see, at most."""
PARTIAL_GAIN = 16.0
"""Gain of partial levels, in units of 5 dB: as large as the logits, since steps of Adam have one size for both."""
PREFIX = "refine"
"""Begins the names of the refinement's layers."""


def refine_logits(
    logits: dict[str, Any], width: int, dtype: str, beside: Sequence[Any] = ()
) -> dict[str, Any]:
    """Add a learned correction to the head logits; zero-initialised, so it starts as the identity.

    A dense head learns each key by itself. The evidence for a note is the same for all keys: an onset followed by
    sound, and no stronger onset an octave below. One network for all keys learns it from each of them.

    Args:
      logits: of every head, before the sigmoid: Keras tensors [batch, frames, 88].
      width: channels of each key.
      dtype: of the result.
      beside: further inputs of each key, [batch, frames, 88] each (`partial_levels`, `key_features`).

    Returns:
      The corrected logits.
    """
    stacked = _side_by_side(list(logits.values()))
    inputs = _side_by_side([*logits.values(), *beside]) if beside else stacked
    x = conv_norm(inputs, width, f"{PREFIX}_time", (5, 1))
    x = conv_norm(x, max(min(width // 2, NARROW), 1), f"{PREFIX}_narrow", 1)
    x = KeyNeighbours(CONFUSED, name=f"{PREFIX}_neighbours")(x)
    x = conv_norm(x, width, f"{PREFIX}_keys", 1)
    for dilation in DILATIONS:
        x = dilated_residual(x, dilation, f"{PREFIX}{dilation}")
    # Zero-initialised, so that training of a model without a refinement can go on with one.
    corrections = keras.layers.Conv2D(
        len(logits), 1, kernel_initializer="zeros", dtype=dtype, name=f"{PREFIX}_correct"
    )(x)
    corrected = keras.layers.Add(dtype=dtype, name=f"{PREFIX}_add")([stacked, corrections])
    return {head: corrected[..., number] for number, head in enumerate(logits)}


def _side_by_side(rolls: list[Any]) -> Any:
    """Stack rolls [batch, frames, 88] to [batch, frames, 88, rolls]; faster than stacking along the last axis."""
    return keras.ops.transpose(keras.ops.stack(rolls, axis=2), (0, 1, 3, 2))


def partial_levels(spectrogram: Any, positions: NDArray[np.float64]) -> list[Any]:
    """Return each partial's level at every key, [batch, frames, 88]: a dense layer initialised as an interpolation.

    The heads see partials only through the U-net and the LSTM, which give velocities less exactly than the partials
    themselves do. From there training takes the layers to where the partials of real, stretched strings lie.

    Args:
      spectrogram: scaled, a Keras tensor [batch, frames, bins].
      positions: of every key's partials between the bins, [partials, 88]; the initial kernel of a
        position outside of the bins is 0.
    """
    bins = spectrogram.shape[2]
    return [
        keras.layers.Dense(
            len(keys),
            kernel_initializer=keras.initializers.Constant(
                PARTIAL_GAIN * _interpolation(keys, bins)
            ),
            name=f"{PREFIX}_partial{number}",
        )(spectrogram)
        for number, keys in enumerate(positions, start=1)
    ]


def key_features(context: Any, count: int) -> list[Any]:
    """Return features of each key from the temporal context, [batch, frames, 88] each.

    A head is a single probability. These features carry more of the context to the refinement.

    Args:
      context: a Keras tensor [batch, frames, units].
      count: of the features.
    """
    return [
        keras.layers.Dense(
            NUM_PITCHES, kernel_initializer=torch_uniform(), name=f"{PREFIX}_feature{number}"
        )(context)
        for number in range(1, count + 1)
    ]


def _interpolation(positions: NDArray[np.float64], bins: int) -> NDArray[np.float32]:
    """Return columns that give the value at each position by its two nearest bins: [bins, positions]."""
    distance = np.abs(np.arange(bins)[:, None] - positions)
    weights: NDArray[np.float64] = np.maximum(1.0 - distance, 0.0)
    return weights.astype(np.float32)


def grow_refinement(
    trained: Mapping[str, NDArray[np.float32]], first: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Return trained weights for a model whose refinement is wider or has more inputs, with the same outputs.

    Args:
      trained: by name (`tfamt.network.weights.named_weights`).
      first: random ones, of the other model.

    Returns:
      `trained`, with those kernels and vectors of the refinement that are smaller than in `first` set into these.
    """
    grown = dict(trained)
    for name, weight in trained.items():
        if f"/{PREFIX}" in name and name in first and _fits_into(weight, first[name]):
            # A key's own channels and those of each neighbour stand side by side.
            sources = len(CONFUSED) + 1 if name.endswith(f"/{PREFIX}_keys/kernel") else 1
            grown[name] = _grown(weight, first[name], sources)
    return grown


def _fits_into(small: NDArray[np.float32], large: NDArray[np.float32]) -> bool:
    return small.ndim == large.ndim and all(np.array(small.shape) <= np.array(large.shape))


def _grown(
    trained: NDArray[np.float32], first: NDArray[np.float32], sources: int
) -> NDArray[np.float32]:
    """Set a kernel [..., inputs, outputs] or vector into a larger one; new inputs do not affect old outputs."""
    weights = first.copy()
    if first.ndim == 1:
        weights[: len(trained)] = trained
        return weights
    # Views of [..., sources, inputs of each, outputs].
    old, new = (
        kernel.reshape(*kernel.shape[:-2], sources, -1, kernel.shape[-1])
        for kernel in (trained, weights)
    )
    new[..., old.shape[-2] :, : old.shape[-1]] = 0.0
    new[..., : old.shape[-2], : old.shape[-1]] = old
    return weights
