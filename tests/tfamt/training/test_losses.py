"""Test the loss against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import tensorflow as tf

from tfamt.config import LossConfig
from tfamt.training.losses import binary_cross_entropy, loss_terms, total_loss


def _one(values: list[float]) -> tf.Tensor:
    return tf.reshape(tf.constant(values, tf.float32), [1, -1, 1])


TARGETS = {
    "pianoroll": _one([1, 0, 1, 0]),
    "onset": _one([1, 0.5, 0, 0]),
    "offset": _one([0, 0, 0, 1]),
    "velocity": _one([0.5, 0.5, 0, 0]),
}
OUTPUTS = {
    "pianoroll": _one([0.9, 0.2, 0.6, 0.5]),
    "onset": _one([0.8, 0.5, 0.1, 0.1]),
    "offset": _one([0.5, 0.5, 0.5, 0.5]),
    "velocity": _one([0.7, 0.4, 1.0, 1.0]),
    "reconstruction": _one([0.1, 0.3]),
    "pianoroll_second_pass": _one([0.5, 0.5, 0.5, 0.5]),
}
SPECTROGRAM = _one([0.0, 0.7])
EXPECTED = {
    "pianoroll": -(math.log(0.9) + math.log(0.8) + math.log(0.6) + math.log(0.5)) / 4,
    "onset": -(math.log(0.8) + math.log(0.5) + 2 * math.log(0.9)) / 4,
    "offset": math.log(2),
    # Only where a note begins: 0.2 and, with half the weight, -0.1, which is 0.1 on the average.
    "velocity": (1 * 0.1**2 + 0.5 * 0.2**2) / 1.5,
    "velocity_level": 0.1**2,
    "reconstruction": (0.01 + 0.16) / 2,
    "second_pass": math.log(2),
}


def test_every_term() -> None:
    terms = loss_terms(TARGETS, OUTPUTS, SPECTROGRAM)
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(EXPECTED, rel=1e-5)


def test_the_papers_loss_is_the_plain_sum() -> None:
    names = ("pianoroll", "reconstruction", "pianoroll_second_pass")
    terms = loss_terms(TARGETS, {name: OUTPUTS[name] for name in names}, SPECTROGRAM)
    assert set(terms) == {"pianoroll", "reconstruction", "second_pass"}
    expected = EXPECTED["pianoroll"] + EXPECTED["reconstruction"] + EXPECTED["second_pass"]
    assert float(total_loss(terms, LossConfig())) == pytest.approx(expected, rel=1e-5)


def test_weights() -> None:
    terms = loss_terms(TARGETS, OUTPUTS, SPECTROGRAM)
    weights = LossConfig(
        pianoroll=2, reconstruction=10, second_pass=0, onset=3, offset=0.5, velocity=4,
        velocity_level=7,
    )  # fmt: skip
    expected = (
        2 * EXPECTED["pianoroll"]
        + 10 * EXPECTED["reconstruction"]
        + 3 * EXPECTED["onset"]
        + 0.5 * EXPECTED["offset"]
        + 4 * EXPECTED["velocity"]
        + 7 * EXPECTED["velocity_level"]
    )
    assert float(total_loss(terms, weights)) == pytest.approx(expected, rel=1e-5)


def test_velocity_without_any_onset_is_0() -> None:
    silent = TARGETS | {"onset": _one([0, 0, 0, 0])}
    terms = loss_terms(silent, OUTPUTS, SPECTROGRAM)
    assert float(terms["velocity"]) == float(terms["velocity_level"]) == 0.0


def test_each_window_has_a_level_of_its_own() -> None:
    # The window of above, and one with a single note, too loud by 0.3.
    targets = {
        "onset": tf.concat([TARGETS["onset"], _one([1, 0, 0, 0])], 0),
        "velocity": tf.concat([TARGETS["velocity"], _one([0.4, 0, 0, 0])], 0),
    }
    outputs = {"velocity": tf.concat([OUTPUTS["velocity"], _one([0.7, 0, 0, 0])], 0)}
    terms = loss_terms(targets, outputs, SPECTROGRAM)
    assert float(terms["velocity"]) == pytest.approx(0.03 / 2.5, rel=1e-5)
    assert float(terms["velocity_level"]) == pytest.approx((1.5 * 0.1**2 + 0.3**2) / 2.5, rel=1e-5)
    # Of one recording, they share a level: (1.5 * 0.1 + 0.3) / 2.5 = 0.18, off which they lie by 0.08 and 0.12.
    terms = loss_terms(targets, outputs, SPECTROGRAM, group=2)
    apart = 0.03 + 1.5 * 0.08**2 + 0.12**2
    assert float(terms["velocity"]) == pytest.approx(apart / 2.5, rel=1e-5)
    assert float(terms["velocity_level"]) == pytest.approx(0.18**2, rel=1e-5)


def test_certainty_is_finite() -> None:
    # -log(1e-7) = 16.118; being right costs next to nothing.
    wrong = binary_cross_entropy(tf.constant([1.0, 0.0]), tf.constant([0.0, 1.0])).numpy()
    assert wrong == pytest.approx([16.118, 16.118], abs=0.2)
    right = binary_cross_entropy(tf.constant([1.0, 0.0]), tf.constant([1.0, 0.0])).numpy()
    assert right == pytest.approx([0.0, 0.0], abs=1e-6)
