"""A projection made for trained weights: exact where it can be, the best there is where it cannot."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfamt.config import Config, replace
from tfamt.model import build_model
from tfamt.projection import with_projection
from tfamt.weights import named_weights

WIDE = replace(Config(), "model", channels=(4,), features=1, context_units=5, reconstruction=False)
FEATURES, GATES = 229, 2 * 4 * 5


def model_of(config: Config, arrays: dict[str, np.ndarray] | None = None) -> keras.Model:
    keras.utils.set_random_seed(5)
    model = build_model(config)
    weights = named_weights(model)
    for name, array in (arrays or {}).items():
        weights[name].assign(array)
    return model


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in named_weights(model).items()}


@pytest.fixture(scope="module")
def heard() -> list[np.ndarray]:
    return [np.random.default_rng(seed).random((2, 30, 229), np.float32) for seed in range(3)]


def test_as_wide_as_the_gates_it_changes_nothing(heard: list[np.ndarray]) -> None:
    wide = model_of(WIDE)
    arrays = with_projection(arrays_of(wide), wide, heard, GATES)
    narrow = model_of(replace(WIDE, "model", projection=GATES), arrays)
    assert arrays["transcriber/projection/kernel"].shape == (FEATURES, GATES)
    assert arrays["transcriber/context/kernel"].shape == (2, GATES, GATES // 2)
    expected = wide(heard[0])["pianoroll"]
    np.testing.assert_allclose(narrow(heard[0])["pianoroll"], expected, rtol=0, atol=1e-6)


def test_what_it_loses_of_the_gates_is_what_no_narrower_product_could_keep(
    heard: list[np.ndarray],
) -> None:
    wide = model_of(WIDE)
    before = arrays_of(wide)
    after = with_projection(before, wide, heard, 3)
    transcriber = wide.get_layer("transcriber")
    see = keras.Model(transcriber.input, transcriber.get_layer("to_sequence").output)
    features = np.concatenate([see(x).numpy().reshape(-1, FEATURES) for x in heard])
    kernels = before["transcriber/context/kernel"]
    wanted = features @ np.concatenate([kernels[0], kernels[1]], axis=1)
    narrow = features @ after["transcriber/projection/kernel"]
    inner = after["transcriber/context/kernel"]
    got = np.concatenate([narrow @ inner[0], narrow @ inner[1]], axis=1)
    # Eckart and Young: the squares of the singular values that are left out.
    left_out = np.linalg.svd(wanted, compute_uv=False)[3:]
    np.testing.assert_allclose(((got - wanted) ** 2).sum(), (left_out**2).sum(), rtol=1e-3)
    assert {name for name in after if name not in before or (after[name] is not before[name])} == {
        "transcriber/projection/kernel",
        "transcriber/projection/bias",
        "transcriber/context/kernel",
    }
