"""Test that the channels of a recording become one: their average, unless they cancel each other."""

from __future__ import annotations

import numpy as np
import pytest

from tfamt.audio.mixing import CANCELLED_ENERGY, DECISION_SECONDS, EVIDENCE_SECONDS, Mixer
from tfamt.audio.reading import read

RATE = 8_000
SOUND = np.random.default_rng(2).normal(0, 0.1, 80 * RATE).astype(np.float32)


def mixed(stereo: np.ndarray, size: int) -> np.ndarray:
    mixer = Mixer(RATE, "<test>")
    chunks = [mixer.push(stereo[i : i + size]) for i in range(0, len(stereo), size)]
    return np.concatenate([*chunks, mixer.flush()])


def test_opposite_channels_give_one_of_them() -> None:
    opposite = np.stack([SOUND, -SOUND], axis=1)
    np.testing.assert_array_equal(mixed(opposite, 1000), SOUND)
    # Silence before the music says nothing.
    late = np.concatenate([np.zeros((70 * RATE, 2), np.float32), opposite])
    np.testing.assert_array_equal(mixed(late, 999)[70 * RATE :], SOUND)
    np.testing.assert_array_equal(read(opposite, sample_rate=RATE), read(SOUND, sample_rate=RATE))


@pytest.mark.parametrize(("share", "cancels"), [(0.8, False), (0.98, True)])
def test_the_average_is_kept_unless_nearly_nothing_is_left_of_it(
    share: float, cancels: bool
) -> None:
    """The average has (1 - share)^2 / (1 + share)^2 of half the difference's energy."""
    assert ((1 - 0.8) / (1 + 0.8)) ** 2 > CANCELLED_ENERGY > ((1 - 0.98) / (1 + 0.98)) ** 2
    stereo = np.stack([SOUND, np.float32(-share) * SOUND], axis=1)
    expected = SOUND * (1 + share if cancels else 1 - share) / 2
    np.testing.assert_allclose(mixed(stereo, 5000), expected, rtol=1e-5, atol=1e-7)


def test_the_same_samples_for_any_sizes_of_chunks() -> None:
    """Also where the channels cancel at first only, and where no more is decided after a minute."""
    stereo = np.stack([SOUND, -SOUND], axis=1)
    begin = 2 * RATE + 17
    stereo[begin:, 1] = SOUND[::-1][begin:]
    whole = mixed(stereo, len(stereo))
    np.testing.assert_array_equal(whole[:begin], SOUND[:begin])
    after = round(DECISION_SECONDS * RATE) - 100
    np.testing.assert_array_equal(whole[after:], stereo[after:].mean(axis=1, dtype=np.float32))
    late = np.concatenate([np.zeros((70 * RATE, 2), np.float32), stereo[begin - 50 :]])
    for size in (777, 4096, 100_000):
        np.testing.assert_array_equal(mixed(stereo, size), whole)
        np.testing.assert_array_equal(mixed(late, size), mixed(late, len(late)))


def test_the_first_samples_alone_decide_nothing() -> None:
    """In noise a first sample may be near its opposite in the other channel by chance."""
    independent = np.stack([SOUND[:RATE], SOUND[RATE : 2 * RATE]], axis=1)
    independent[0] = (0.5, -0.49)
    for silence in (0, 1234):
        stereo = np.concatenate([np.zeros((silence, 2), np.float32), independent])
        for size in (1, 50, len(stereo)):
            expected = stereo.mean(axis=1, dtype=np.float32)
            np.testing.assert_allclose(mixed(stereo, size), expected, atol=1e-7)


def test_a_recording_shorter_than_the_evidence_is_mixed_whole() -> None:
    short = SOUND[: round(EVIDENCE_SECONDS * RATE) - 1]
    for right, expected in ((-short, short), (short, short), (0 * short, short / 2)):
        np.testing.assert_array_equal(mixed(np.stack([short, right], axis=1), 7), expected)
