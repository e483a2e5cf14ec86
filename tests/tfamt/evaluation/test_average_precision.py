"""Test average precision: by hand, against sorting, pooled."""

from __future__ import annotations

import numpy as np
import pytest

from tfamt.evaluation.average_precision import PrecisionCounts


def by_sorting(reference: np.ndarray, probability: np.ndarray) -> float:
    """Sum over distinct thresholds of (R_n - R_(n-1)) P_n, threshold by threshold."""
    truth, scores = reference.ravel() > 0, probability.ravel()
    area, recall_before = 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        chosen = scores >= threshold
        recall = (truth & chosen).sum() / truth.sum()
        area += (recall - recall_before) * (truth & chosen).sum() / chosen.sum()
        recall_before = recall
    return float(area)


def test_worked_by_hand() -> None:
    reference = np.array([[1, 0], [1, 0]], np.float32)
    # In falling order: right, wrong, right, wrong: (1/2)(1/1) + (1/2)(2/3).
    probability = np.array([[0.9, 0.8], [0.7, 0.1]])
    assert PrecisionCounts.of(reference, probability).average_precision == pytest.approx(5 / 6)
    # All equally likely: one threshold, half of all right.
    assert PrecisionCounts.of(reference, np.full((2, 2), 0.3)).average_precision == 0.5
    perfect = PrecisionCounts.of(reference, reference)
    assert perfect.average_precision == 1.0


def test_equals_sorting() -> None:
    rng = np.random.default_rng(0)
    reference = rng.random((60, 88)) < 0.05
    probability = np.clip(0.4 * reference + 0.2 * rng.standard_normal((60, 88)) + 0.2, 0, 1)
    on_levels = np.rint(probability * 65535) / 65535
    ours = PrecisionCounts.of(reference, on_levels).average_precision
    assert ours == pytest.approx(by_sorting(reference, on_levels), abs=1e-12)
    exact = by_sorting(reference, probability)
    assert PrecisionCounts.of(reference, probability).average_precision == pytest.approx(
        exact, abs=1e-4
    )


def test_pooled_equals_one_long_piece() -> None:
    rng = np.random.default_rng(1)
    reference, probability = rng.random((90, 88)) < 0.1, rng.random((90, 88))
    parts = [PrecisionCounts.of(reference[s], probability[s]) for s in (slice(50), slice(50, 90))]
    whole = PrecisionCounts.of(reference, probability)
    assert (parts[0] + parts[1]).average_precision == whole.average_precision


def test_nothing_to_find() -> None:
    assert PrecisionCounts.of(np.zeros((3, 88)), np.ones((3, 88))).average_precision == 1.0
    assert PrecisionCounts.of(np.zeros((0, 88)), np.zeros((0, 88))).average_precision == 1.0
    assert PrecisionCounts.of(np.ones((1, 2)), np.zeros((1, 2))).average_precision == 1.0
