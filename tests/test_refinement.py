"""The refinement: what it sees, by hand, and that it is one network for all keys."""

from __future__ import annotations

import keras
import numpy as np

from tfamt.config import HEADS
from tfamt.layers.refinement import KeyNeighbours, refined


def test_a_key_sees_its_neighbours_and_the_mean() -> None:
    keys = np.array([[[[1.0, 10], [2, 20], [3, 30], [6, 60]]]], np.float32)
    seen = KeyNeighbours((-2, 0, 1))(keys)[0, 0]
    np.testing.assert_array_equal(
        seen,
        [
            [0, 0, 1, 10, 2, 20, 3, 30],
            [0, 0, 2, 20, 3, 30, 3, 30],
            [1, 10, 3, 30, 6, 60, 3, 30],
            [2, 20, 6, 60, 0, 0, 3, 30],
        ],
    )


def test_the_refinement_is_the_same_for_every_key_and_hears_a_second_around() -> None:
    inputs = {head: keras.Input((None, 88), name=head) for head in HEADS}
    refine = keras.Model(inputs, refined(inputs, 6, "float32"))
    random = np.random.default_rng(8)
    for weight in refine.weights:
        if weight.name not in ("gamma", "moving_variance"):
            weight.assign(random.normal(0, 0.3, weight.shape))
        elif weight.name == "gamma":
            weight.assign(np.ones(weight.shape))
    said = {head: random.normal(0, 1, (1, 128, 88)).astype(np.float32) for head in HEADS}
    corrections = {head: value - said[head] for head, value in refine(said).items()}
    assert all(np.std(value) > 1e-2 for value in corrections.values())

    higher = {head: np.roll(value, 3, axis=2) for head, value in said.items()}
    for head, value in refine(higher).items():
        # Two octaves from either end of the keyboard no key is missed.
        moved = (value - higher[head])[:, :, 27:64]
        np.testing.assert_allclose(moved, corrections[head][:, :, 24:61], rtol=0, atol=1e-5)

    struck = {**said, "onset": said["onset"].copy()}
    struck["onset"][0, 64, 40] += 5.0
    change = np.abs(refine(struck)["pianoroll"] - refine(said)["pianoroll"])[0]
    # Two frames for the first kernel, 2 (1 + 4 + 16) for the others; every key, since all count into the mean.
    heard = np.flatnonzero(change.max(axis=1) > 1e-6)
    assert 64 - 44 <= heard.min() < 64 - 30 and 64 + 30 < heard.max() <= 64 + 44
    assert change[64, 52] > 10 * change[64, 53]
