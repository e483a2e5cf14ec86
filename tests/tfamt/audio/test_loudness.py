"""Loudness of recordings: by hand, in a stream, in training windows and in the exported graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.input.batches import training_input
from pipelines.preparation.index import load_index
from tests.pipelines.input.test_training_windows import write_prepared
from tfamt.audio.loudness import FORGOTTEN_DB, Leveller, gain_of, levelled, loudness
from tfamt.config import Config, SpectrogramConfig, TrainingConfig, replace
from tfamt.export.serving_module import levelled as levelled_graph
from tfamt.network.layers.loudness_scaling import LoudnessScaling
from tfamt.notes.table import Notes
from tfamt.presets import preset
from tfamt.transcription.windows import window_cutter

LEVELLED = SpectrogramConfig(kind="cqt", bins=176, low_hz=27.5, scaling="loudness")


def constant(*parts: tuple[int, float]) -> np.ndarray:
    return np.concatenate([np.full(samples, value, np.float32) for samples, value in parts])


def test_loudness_is_that_of_the_loudest_256_ms() -> None:
    assert loudness(constant((4096, 0.1), (4096, -0.5), (100, 0.0))) == pytest.approx(0.5)
    # The end counts as a whole stretch, so that a last click is none: 64 samples of 1 in 4096.
    assert loudness(constant((4096, 0.01), (64, 1.0))) == pytest.approx(0.125)
    assert loudness(np.zeros(0, np.float32)) == 0.0


def test_gain_ends_70_db_below_full_scale() -> None:
    assert gain_of(0.5) == pytest.approx(0.2)
    assert gain_of(10 ** (-60 / 20)) == pytest.approx(100.0)
    assert gain_of(0.0) == pytest.approx(10 ** (70 / 20) / 10)


def test_windows_keep_their_loudness_beside_each_other() -> None:
    leveller = Leveller(seconds=60.0)
    first, soft, louder = (leveller.level(constant((8192, v))) for v in (0.2, 0.02, 0.4))
    np.testing.assert_allclose(first, 0.1, rtol=1e-6)
    # A tenth of what was loud a minute ago, which is forgotten by a decibel.
    np.testing.assert_allclose(soft, 0.01 * 10 ** (FORGOTTEN_DB / 20), rtol=1e-6)
    np.testing.assert_allclose(louder, 0.1, rtol=1e-6)
    known = Leveller(seconds=60.0, level=0.4)
    np.testing.assert_allclose(known.level(constant((8192, 0.02))), 0.005, rtol=1e-6)
    np.testing.assert_allclose(known.level(constant((8192, 0.8))), 0.2, rtol=1e-6)


def test_recordings_of_any_level_are_cut_into_the_same_windows() -> None:
    config = replace(preset("tiny"), "spectrogram", scaling="loudness")
    sound = np.random.default_rng(0).normal(0, 0.1, 200_000).astype(np.float32)
    sound[:80_000] *= 0.25

    def windows(waveform: np.ndarray) -> list[np.ndarray]:
        cutter = window_cutter(config)
        cuts = [*cutter.push(waveform), *(cut for rest in cutter.flush() for cut in rest)]
        return [cut.waveform for cut in cuts]

    for window, softer in zip(windows(sound), windows(sound * 0.125), strict=True):
        np.testing.assert_array_equal(window, softer)
    as_it_is = window_cutter(preset("tiny")).push(sound)[0].waveform
    begin = config.inference.margin_frames * config.spectrogram.hop
    np.testing.assert_array_equal(as_it_is[begin:], sound[: len(as_it_is) - begin])


def test_scaling_is_the_same_in_every_window() -> None:
    layer = LoudnessScaling(range_db=60.0, power=False, loud=2.0)
    window = np.array([[[2.0, 0.2, 0.002, 1e-9, 20.0]]], np.float32)
    expected = [[[1.0, 2 / 3, 0.0, 0.0, 4 / 3]]]
    np.testing.assert_allclose(layer(window), expected, atol=1e-6)
    np.testing.assert_allclose(layer(window[..., :3]), [[[1.0, 2 / 3, 0.0]]], atol=1e-6)
    power = LoudnessScaling(range_db=60.0, loud=2.0)(window)
    np.testing.assert_allclose(power, [[[1.0, 5 / 6, 0.5, 0.0, 7 / 6]]], atol=1e-6)


def test_training_hears_recordings_of_any_level_alike(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    sound = random.normal(0, 8000, 100_000).clip(-32_000, 32_000) // 8 * 8
    notes = Notes([0.5], [1.5], [60], [80])
    spectrograms = []
    for name, samples in (("loud", sound), ("soft", sound / 8)):
        (tmp_path / name).mkdir()
        write_prepared(tmp_path / name, [[(samples.astype(np.int16), notes)]])
        config = Config(
            name="x", spectrogram=LEVELLED, training=TrainingConfig(window_frames=60, batch_size=2)
        )
        batch = next(iter(training_input(config, load_index(tmp_path / name, "train"))))
        spectrograms.append(batch["spectrogram"].numpy())
    np.testing.assert_allclose(spectrograms[0], spectrograms[1], atol=1e-5)
    assert 0.5 < spectrograms[0].max() < 1.2


def test_the_exported_graph_levels_a_file_as_python_does() -> None:
    sound = np.random.default_rng(1).normal(0, 0.01, 10_001).astype(np.float32)
    both = np.stack([sound[:8192], sound[1000:9192] * 0.1])
    for waveform in (sound[None], both, sound[None, :100], np.zeros((1, 10), np.float32)):
        np.testing.assert_allclose(levelled_graph(waveform), levelled(waveform), rtol=1e-6)
