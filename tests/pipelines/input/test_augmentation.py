"""Test the effects and the invariants of each augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipelines.input.augmentation import (
    add_noise,
    build_augment,
    equalize,
    read_responses,
    reverberate,
)
from pipelines.input.augmentation_settings import AugmentationSettings
from tfamt.errors import InputError

RATE = 16000
SEED = tf.constant([3, 5], tf.int32)


def _music() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, RATE * 2).astype(np.float32)


def _level_db(waveform: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(waveform)))


def test_the_equaliser_stays_within_its_reach_and_moves_nothing() -> None:
    waveform = _music()
    spectrum = np.fft.rfft(waveform)
    shaped = equalize(tf.constant(waveform), SEED, 6.0, RATE).numpy()
    gain = np.fft.rfft(shaped) / spectrum
    decibels = 20 * np.log10(np.abs(gain))
    assert np.abs(decibels).max() <= 6.0 + 1e-2
    assert decibels.std() > 0.5
    # No phase: what is loud at a time stays at that time.
    assert np.abs(np.angle(gain)).max() < 1e-2


def test_noise_is_as_loud_as_it_says() -> None:
    waveform = _music()
    levels = []
    for number in range(40):
        seed = tf.constant([number, 0], tf.int32)
        noisy = add_noise(tf.constant(waveform), seed, -20.0, RATE).numpy()
        levels.append(_level_db(noisy - waveform) - _level_db(waveform))
    assert -60.1 < min(levels) < -50.0
    assert -30.0 < max(levels) < -19.9


def test_noise_is_of_all_colours_from_white_to_brown() -> None:
    waveform = tf.constant(_music())
    slopes = []
    for number in range(40):
        noise = add_noise(waveform, tf.constant([number, 0], tf.int32), -20.0, RATE) - waveform
        power = np.abs(np.fft.rfft(noise)) ** 2
        hz = np.fft.rfftfreq(len(noise), 1.0 / RATE)
        octaves = [
            power[(hz >= low) & (hz < 2 * low)].mean() for low in (125, 250, 500, 1000, 2000)
        ]
        slopes.append(np.polyfit(np.arange(5), 10.0 * np.log10(octaves), 1)[0])
    assert -6.6 < min(slopes) < -4.8
    assert -1.2 < max(slopes) < 0.6


def test_a_room_is_plain_convolution() -> None:
    waveform = _music()
    response = np.array([1.0, 0.0, 0.5, -0.25], np.float32)
    transcribed = reverberate(tf.constant(waveform), SEED, [response], 1.0).numpy()
    np.testing.assert_allclose(
        transcribed, np.convolve(waveform, response)[: len(waveform)], atol=1e-5
    )
    untouched = reverberate(tf.constant(waveform), SEED, [response], 0.0).numpy()
    np.testing.assert_array_equal(untouched, waveform)


def test_gain_alone_is_one_factor() -> None:
    waveform = _music()
    factors = []
    for number in range(20):
        louder = build_augment(AugmentationSettings(gain_db=12.0), RATE)(
            tf.constant(waveform), tf.constant([number, 1], tf.int32)
        )
        ratio = louder.numpy() / waveform
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
        factors.append(20 * np.log10(ratio[0]))
    assert -12.0 <= min(factors) < -4.0
    assert 4.0 < max(factors) <= 12.0


def test_rooms_and_colours_leave_the_level() -> None:
    waveform = _music()
    augment = build_augment(
        AugmentationSettings(equalizer_db=12.0, reverb=1.0),
        RATE,
        [np.array([1.0, 0.0, 2.0], np.float32)],
    )
    for number in range(5):
        changed = augment(tf.constant(waveform), tf.constant([number, 2], tf.int32)).numpy()
        assert _level_db(changed) == pytest.approx(_level_db(waveform), abs=1e-3)
        assert np.corrcoef(changed, waveform)[0, 1] < 0.9


def test_the_seed_decides() -> None:
    augment = build_augment(
        AugmentationSettings(6.0, 6.0, -20.0, 0.5), RATE, [np.ones(1, np.float32)]
    )
    waveform = tf.constant(_music())
    first, again = augment(waveform, SEED).numpy(), augment(waveform, SEED).numpy()
    np.testing.assert_array_equal(first, again)
    other = augment(waveform, tf.constant([3, 6], tf.int32)).numpy()
    assert np.abs(other - first).max() > 1e-3


def test_nothing_asked_for_changes_nothing_and_silence_stays() -> None:
    waveform = _music()
    np.testing.assert_array_equal(
        build_augment(AugmentationSettings(), RATE)(tf.constant(waveform), SEED), waveform
    )
    everything = build_augment(
        AugmentationSettings(6.0, 6.0, -20.0, 1.0), RATE, [np.ones(9, np.float32)]
    )
    assert not everything(tf.zeros([RATE]), SEED).numpy().any()


def test_responses_begin_with_the_direct_sound(tmp_path: Path) -> None:
    late = np.zeros(30_000, np.float32)
    late[100], late[300], late[29_000] = 0.8, 0.4, 0.2
    soundfile.write(tmp_path / "room.wav", late, RATE, subtype="FLOAT")
    (response,) = read_responses(str(tmp_path))
    assert response[[0, 200]] == pytest.approx([0.8, 0.4])
    assert len(response) == 24_000
    assert len(read_responses(str(tmp_path), str(tmp_path))) == 2
    with pytest.raises(InputError, match="holds no room response"):
        read_responses(str(tmp_path), str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gain_db": -1.0}, "0 or more"),
        ({"noise_db": 3.0}, "0 or less. Received: 3.0"),
        ({"reverb": 1.5}, "in 0..1. Received: 1.5"),
    ],
)
def test_settings_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AugmentationSettings(**settings)


def test_reverb_needs_rooms() -> None:
    with pytest.raises(InputError, match="needs room responses"):
        build_augment(AugmentationSettings(reverb=0.5), RATE)
