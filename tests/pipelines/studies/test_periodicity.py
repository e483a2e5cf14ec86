"""Test the figure of merit for grids: by hand, and on a grid, stripes and noise."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.studies.periodicity import Periodicity, autocorrelation, periodicity

T, B = np.meshgrid(np.arange(320), np.arange(240), indexing="ij")


def test_autocorrelation_by_hand() -> None:
    # 1 0 1 0 1 0 less its mean: +-1/2; neighbours are opposite, those two apart equal.
    values = np.array([1, 0, 1, 0, 1, 0], float)[:, None]
    np.testing.assert_allclose(autocorrelation(values), [1, -1, 1, -1], atol=1e-12)
    # -1 0 1: C(0) = 2/3, C(1) = (0 + 0) / 2.
    np.testing.assert_allclose(autocorrelation(np.array([[0.0], [1.0], [2.0]])), [1, 0], atol=1e-12)
    assert autocorrelation(np.full((8, 3), 5.0)).size == 0


def test_autocorrelation_equals_the_plain_sum() -> None:
    values = np.random.default_rng(0).standard_normal((31, 7))
    centred = values - values.mean(axis=0)
    plain = [np.mean([centred[t] * centred[t + lag] for t in range(31 - lag)]) for lag in range(16)]
    np.testing.assert_allclose(autocorrelation(values), np.array(plain) / plain[0], atol=1e-12)


def test_a_grid_is_one() -> None:
    for grid in (
        np.cos(2 * np.pi * T / 20) * np.cos(2 * np.pi * B / 12),
        np.cos(2 * np.pi * T / 20) + np.cos(2 * np.pi * B / 12),
    ):
        found = periodicity(grid)
        assert found.time > 0.95 and found.frequency > 0.95 and found.grid > 0.95
        assert (found.time_period, found.frequency_period) == (20, 12)
    # Thin lines, as in a picture of a grid, fall less far below 0 between the lines.
    lines = ((T % 20 == 0) | (B % 12 == 0)).astype(np.float32)
    assert periodicity(lines).grid > 0.45


def test_stripes_are_no_grid() -> None:
    along_time = np.cos(2 * np.pi * T / 20)
    assert periodicity(along_time) == Periodicity(pytest.approx(1, abs=0.02), 20, 0.0, 0)
    assert periodicity(along_time).grid == 0.0
    assert periodicity(along_time.T) == Periodicity(0.0, 0, pytest.approx(1, abs=0.02), 20)


def test_noise_is_no_grid_and_hides_one_by_degrees() -> None:
    noise = np.random.default_rng(1).standard_normal(T.shape)
    assert periodicity(noise).grid < 0.03
    grid = np.cos(2 * np.pi * T / 20) + np.cos(2 * np.pi * B / 12)
    figures = [periodicity(grid + level * noise).grid for level in (0, 0.5, 1, 2, 4)]
    assert figures == sorted(figures, reverse=True)
    # Noise of equal power on either axis (1/2) halves the correlation.
    assert periodicity(grid + np.sqrt(0.5) * noise).time == pytest.approx(0.5, abs=0.03)


def test_what_falls_once_and_never_rises_has_no_period() -> None:
    assert periodicity(np.exp(-T / 30.0)).time < 0.1
    assert periodicity(np.zeros((40, 10))) == Periodicity(0.0, 0, 0.0, 0)
    assert periodicity(np.ones((1, 10))).grid == 0.0


def test_scale_and_offset_do_not_matter() -> None:
    values = np.random.default_rng(2).random((60, 40))
    ours, theirs = periodicity(values), periodicity(0.1 * values + 0.7)
    assert theirs.time == pytest.approx(ours.time) and theirs.frequency == pytest.approx(
        ours.frequency
    )
