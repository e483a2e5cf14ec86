"""Test the loudness of recordings: by hand, in a stream, in training windows, in graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.input.batches import training_input
from pipelines.preparation.index import load_index
from tests.support.small_data import write_prepared
from tfamt.audio.loudness import DECAY_DB, RunningLoudness, loudness
from tfamt.audio.reading import read
from tfamt.config import Config, SpectrogramConfig, TrainingConfig, replace
from tfamt.network.layers.loudness_normalization import LoudnessNormalization
from tfamt.network.layers.loudness_scaling import LoudnessScaling
from tfamt.network.layers.recording_loudness import RecordingLoudness
from tfamt.notes.table import Notes
from tfamt.presets import preset
from tfamt.transcription.windows import Window, window_cutter

NORMALIZED = SpectrogramConfig(kind="cqt", bins=176, low_hz=27.5, scaling="loudness")


def constant(*parts: tuple[int, float]) -> np.ndarray:
    return np.concatenate([np.full(samples, value, np.float32) for samples, value in parts])


def square(*parts: tuple[int, float]) -> np.ndarray:
    """A square wave of 8 kHz in parts of so many samples and such a root mean square."""
    waveform = constant(*parts)
    waveform[1::2] *= -1
    return waveform


def test_loudness_is_that_of_the_loudest_256_ms() -> None:
    assert loudness(square((4096, 0.1), (4096, 0.5), (100, 0.0))) == pytest.approx(0.5)
    # The end counts as a whole block: a quarter of one has a quarter of its power.
    assert loudness(square((1024, 0.5))) == pytest.approx(0.25)
    assert loudness(np.zeros(0, np.float32)) == 0.0


@pytest.mark.parametrize("offset", [0.5, -0.05])
def test_a_constant_offset_does_not_count(offset: float) -> None:
    waveform = square((4096, 0.01), (8192, 0.02), (1000, 0.01))
    assert loudness(waveform + np.float32(offset)) == pytest.approx(0.02, rel=1e-5)
    assert loudness(constant((9000, offset))) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("length", [1, 16, 200, 480])
def test_a_click_does_not_count(length: int) -> None:
    """30 dB above the music, of a sample to 30 ms; a single sample 60 dB above it."""
    waveform = square((40_960, 0.02), (40_960, 0.01))
    height = 20.0 if length == 1 else 0.63
    waveform[60_000 : 60_000 + length] = height * square((length, 1.0))
    assert loudness(waveform) == pytest.approx(0.02, rel=1e-6)


def test_what_is_as_short_as_a_click_but_all_there_is_counts() -> None:
    # Five of them in eight seconds, one in silence, one that lasts for 100 ms.
    several = square((131_072, 0.01))
    several[8_000::26_000] = several[8_001::26_000] = 2.0
    assert loudness(several) > 0.04
    alone = square((40_000, 0.0), (64, 1.0), (40_000, 0.0))
    assert loudness(alone) == pytest.approx(0.125)
    long = square((40_960, 0.01), (1600, 0.4), (40_960, 0.01))
    assert loudness(long) == pytest.approx(0.4 * np.sqrt(1600 / 4096), rel=1e-2)


def test_ordinary_recordings_are_measured_as_before(shared_dir: Path) -> None:
    """The plain loudness of the loudest block, with neither offsets nor clicks left out."""
    recordings = sorted(shared_dir.glob("data/maps/*/MUS/*.ogg"))[::14]
    assert recordings
    for recording in recordings:
        waveform = read(recording)
        full = len(waveform) // 4096 * 4096
        blocks = [*waveform[:full].reshape(-1, 4096), waveform[full:]]
        plain = np.sqrt(max(np.dot(block, block) / 4096 for block in blocks))
        assert loudness(waveform) == plain, recording.name


def normalize(waveform: np.ndarray, measured: float) -> np.ndarray:
    return LoudnessNormalization()([waveform[None], np.array([measured], np.float32)])[0].numpy()


def test_gain_ends_70_db_below_full_scale() -> None:
    one = constant((4, 1.0))
    np.testing.assert_allclose(normalize(one, 0.5), 0.2, rtol=1e-6)
    np.testing.assert_allclose(normalize(one, 10 ** (-60 / 20)), 100.0, rtol=1e-6)
    np.testing.assert_allclose(normalize(one, 0.0), 10 ** (70 / 20) / 10, rtol=1e-6)


def test_the_gain_is_rounded_once() -> None:
    """Notes must not change by the last bit of a gain: it is computed in 64 bits, then rounded."""
    random = np.random.default_rng(0)
    waveform = random.normal(0, 0.1, (50, 64)).astype(np.float32)
    measured = random.uniform(1e-4, 1, 50).astype(np.float32)
    gain = (0.1 / np.maximum(measured.astype(np.float64), 10 ** (-70 / 20))).astype(np.float32)
    found = LoudnessNormalization()([waveform, measured]).numpy()
    np.testing.assert_array_equal(found, waveform * gain[:, None])


def test_without_normalization_waveforms_stay_as_they_are() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, (2, 64)).astype(np.float32)
    found = LoudnessNormalization(active=False)([waveform, np.ones(2, np.float32)])
    np.testing.assert_array_equal(found, waveform)


def test_the_loudness_so_far_decays_by_a_decibel_a_minute() -> None:
    running = RunningLoudness(seconds=60.0)
    first, soft, louder = (running.update(square((8192, v))) for v in (0.2, 0.02, 0.4))
    assert first == pytest.approx(0.2)
    assert soft == pytest.approx(0.2 * 10 ** (-DECAY_DB / 20))
    assert louder == pytest.approx(0.4)


def test_windows_carry_the_loudness_of_the_recording_or_of_what_came_so_far() -> None:
    config = replace(preset("tiny"), "spectrogram", scaling="loudness")
    sound = np.random.default_rng(0).normal(0, 0.1, 200_000).astype(np.float32)
    sound[:80_000] *= 0.25

    def windows(waveform: np.ndarray, known: float | None = None) -> list[Window]:
        cutter = window_cutter(config, known)
        return [*cutter.push(waveform), *(window for last in cutter.flush() for window in last)]

    so_far = [window.loudness for window in windows(sound)]
    # Soft at first; a tenth is the standard deviation of the louder part.
    assert so_far[0] == pytest.approx(0.025, rel=0.1) and so_far[-1] == pytest.approx(0.1, rel=0.1)
    softer = [window.loudness for window in windows(sound * 0.125)]
    np.testing.assert_allclose(softer, np.array(so_far) / 8, rtol=1e-6)
    assert {window.loudness for window in windows(sound, 0.3)} == {0.3}
    # Samples are those of the recording, behind the margin.
    first = windows(sound)[0].waveform
    begin = config.inference.margin_frames * config.spectrogram.hop
    np.testing.assert_array_equal(first[begin:], sound[: len(first) - begin])


def test_scaling_is_the_same_in_every_window() -> None:
    layer = LoudnessScaling(range_db=60.0, power=False, reference=2.0)
    window = np.array([[[2.0, 0.2, 0.002, 1e-9, 20.0]]], np.float32)
    expected = [[[1.0, 2 / 3, 0.0, 0.0, 4 / 3]]]
    np.testing.assert_allclose(layer(window), expected, atol=1e-6)
    np.testing.assert_allclose(layer(window[..., :3]), [[[1.0, 2 / 3, 0.0]]], atol=1e-6)
    power = LoudnessScaling(range_db=60.0, reference=2.0)(window)
    np.testing.assert_allclose(power, [[[1.0, 5 / 6, 0.5, 0.0, 7 / 6]]], atol=1e-6)


def test_training_windows_do_not_depend_on_the_level_of_a_recording(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    sound = random.normal(0, 8000, 100_000).clip(-32_000, 32_000) // 8 * 8
    notes = Notes([0.5], [1.5], [60], [80])
    spectrograms = []
    for name, samples in (("loud", sound), ("soft", sound / 8)):
        (tmp_path / name).mkdir()
        write_prepared(tmp_path / name, [[(samples.astype(np.int16), notes)]])
        config = Config(
            name="x",
            spectrogram=NORMALIZED,
            training=TrainingConfig(window_frames=60, batch_size=2),
        )
        batch = next(iter(training_input(config, load_index(tmp_path / name, "train"))))
        spectrograms.append(batch["spectrogram"].numpy())
    np.testing.assert_allclose(spectrograms[0], spectrograms[1], atol=1e-5)
    assert 0.5 < spectrograms[0].max() < 1.2


def test_loudness_in_a_graph_is_that_in_python() -> None:
    sound = np.random.default_rng(1).normal(0, 0.01, 100_001).astype(np.float32)
    clicked = sound.copy()
    clicked[50_000:50_100] = 1.0
    many = np.stack([sound, sound * 0.1, sound + 0.3, clicked, clicked - 0.3])
    short = np.stack([sound[:8192], sound[1000:9192] * 0.1])
    silence = np.zeros((1, 10), np.float32)
    for waveform in (sound[None], many, short, sound[None, :100], silence):
        expected = [loudness(row) for row in waveform]
        np.testing.assert_allclose(RecordingLoudness()(waveform), expected, rtol=1e-5)
    np.testing.assert_allclose(loudness(clicked), loudness(sound), rtol=0.05)
