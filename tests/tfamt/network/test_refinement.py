"""Test the refinement: its inputs by hand, and that all keys share its weights."""

from __future__ import annotations

import keras
import numpy as np

from tfamt.config import HEADS, Config, replace
from tfamt.network.layers.key_neighbours import KeyNeighbours
from tfamt.network.model import build_model
from tfamt.network.refinement import PARTIAL_GAIN, grow_refinement, partial_levels, refine_logits
from tfamt.network.weights import named_weights
from tfamt.presets import preset


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


def test_the_refinement_is_the_same_for_every_key_with_a_context_of_a_second() -> None:
    inputs = {head: keras.Input((None, 88), name=head) for head in HEADS}
    refine = keras.Model(inputs, refine_logits(inputs, 6, "float32"))
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
    transcribed = np.flatnonzero(change.max(axis=1) > 1e-6)
    assert 64 - 44 <= transcribed.min() < 64 - 30 and 64 + 30 < transcribed.max() <= 64 + 44
    assert change[64, 52] > 10 * change[64, 53]


def test_levels_of_partials_are_read_between_the_bins() -> None:
    spectrogram = keras.Input((None, 4))
    # Three keys; the last one's second partial lies above the spectrogram.
    positions = np.array([[0.0, 1.25, 2.0], [1.0, 2.5, 4.5]])
    levels = keras.Model(spectrogram, partial_levels(spectrogram, positions))
    seen = levels(np.array([[[0.1, 0.2, 0.6, 1.0]]], np.float32))
    np.testing.assert_allclose(seen[0][0, 0], PARTIAL_GAIN * np.array([0.1, 0.3, 0.6]), rtol=1e-6)
    np.testing.assert_allclose(seen[1][0, 0], PARTIAL_GAIN * np.array([0.2, 0.8, 0.0]), rtol=1e-6)


def test_a_tone_excites_the_keys_whose_partial_it_is() -> None:
    config = preset("piano")
    transcriber = build_model(config).get_layer("transcriber")
    names = [f"refine_partial{number}" for number in range(1, 7)]
    levels = keras.Model(transcriber.input, [transcriber.get_layer(n).output for n in names])
    # 1,320 Hz: Slaney's 15 + 27 log(1.32) / log(6.4) = 19.04 of 0.45 .. 45.245 Mels, in 230 steps of 0.19476: bin 94.4.
    spectrogram = np.zeros((1, 1, 229), np.float32)
    spectrogram[0, 0, 94:96] = 1.0
    loudest = [int(np.argmax(level[0, 0])) + 21 for level in levels(spectrogram)]
    # E6 is 1,319 Hz, and 2, 3, 4, 5, 6 times E5, A4, E4, C4 and A3.
    assert loudest == [88, 76, 69, 64, 60, 57]


def test_a_refinement_grows_without_a_change_of_what_it_says() -> None:
    def model(**refinement: int) -> keras.Model:
        settings = {
            "channels": (4,),
            "temporal_context": "none",
            "heads": HEADS,
            "reconstruction": False,
        }
        return build_model(replace(Config(), "model", **settings, **refinement))

    random = np.random.default_rng(3)
    small = model(refinement=6)
    large = model(refinement=24, refinement_partials=2, refinement_features=3)
    for name, weight in named_weights(small).items():
        if "variance" not in name:
            weight.assign(random.normal(0, 0.2, weight.shape))
    trained = {name: weight.numpy() for name, weight in named_weights(small).items()}
    weights = named_weights(large)
    first = {name: weight.numpy() for name, weight in weights.items()}
    grown = grow_refinement(trained, first)
    for name, value in {**first, **grown}.items():
        weights[name].assign(value)
    spectrogram = random.random((1, 40, 229), np.float32)
    for head, said in small(spectrogram).items():
        np.testing.assert_allclose(large(spectrogram)[head], said, rtol=0, atol=2e-6)
    # What is new is no copy, and is there to be learnt with.
    kernel = grown["transcriber/refine_time/kernel"]
    assert kernel.shape == (5, 1, 9, 24) and (kernel[:, :, :, 6:] != 0).all()
    assert (kernel[:, :, 4:, :6] == 0).all()
