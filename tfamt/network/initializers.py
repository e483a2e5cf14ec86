"""Draw initial weights as PyTorch does."""

from __future__ import annotations

import keras


def torch_uniform(gain: float = 1.0) -> keras.initializers.Initializer:
    """Return PyTorch's default for convolutions and dense layers: uniform within `gain` / sqrt(fan-in)."""
    return keras.initializers.VarianceScaling(gain**2 / 3.0, mode="fan_in", distribution="uniform")
