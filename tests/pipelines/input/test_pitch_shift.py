"""Test transposed and detuned windows: shifted labels and audio, unchanged times."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines.input.pitch_shift import (
    PitchShift,
    longest_source,
    ratio_of,
    resample,
    resampling_for,
)
from pipelines.input.training_windows import window_dataset
from pipelines.input.window_plan import WindowSpec, training_plan
from pipelines.preparation.index import StoredRecording, load_index
from tests.pipelines.input.test_training_windows import GRID, TOTALS, _recording, prepared  # noqa: F401
from tests.support.small_data import write_prepared
from tfamt.errors import InputError
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.notes.table import Notes

RATE = 16000


def _peak_hz(waveform: np.ndarray) -> float:
    """Frequency of the strongest partial, between the bins of the spectrum."""
    magnitude = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 8 * len(waveform)))
    return float(np.argmax(magnitude)) * RATE / (8 * len(waveform))


@pytest.mark.parametrize("cents", [-1200.0, -230.0, -20.0, 0.0, 7.5, 20.0, 330.0, 1200.0])
def test_a_sine_moves_by_the_cents_and_keeps_its_level(cents: float) -> None:
    samples = 32_000
    resampling = resampling_for(ratio_of(0, cents), samples)
    assert abs(1200 * np.log2(resampling.ratio) - cents) <= 2.0
    assert resampling.source <= longest_source(PitchShift(12, 0.0), samples)
    sine = np.sin(2 * np.pi * 440.0 * np.arange(resampling.source) / RATE).astype(np.float32)
    moved = resample(tf.constant(sine), tf.constant(resampling.target)).numpy()
    window = moved[resampling.lead : resampling.lead + samples]
    assert len(window) == samples
    assert 1200 * np.log2(_peak_hz(window) / (440.0 * resampling.ratio)) == pytest.approx(
        0, abs=0.3
    )
    assert np.sqrt(np.mean(window**2)) == pytest.approx(np.sqrt(0.5), rel=1e-3)


def test_nothing_folds_back_from_above_half_the_sample_rate() -> None:
    resampling = resampling_for(ratio_of(3, 0.0), 32_000)
    high = np.sin(2 * np.pi * 7500.0 * np.arange(resampling.source) / RATE).astype(np.float32)
    moved = resample(tf.constant(high), tf.constant(resampling.target)).numpy()
    window = moved[resampling.lead : resampling.lead + 32_000]
    assert np.sqrt(np.mean(window**2)) < 1e-3


def _windows(
    stored: list[StoredRecording],
    specs: list[WindowSpec],
    shift: PitchShift | None,
    num_frames: int,
) -> list[dict[str, np.ndarray]]:
    dataset = window_dataset(lambda: iter(specs), stored, num_frames, GRID, shift=shift)
    return [{name: value.numpy() for name, value in item.items()} for item in dataset]


def _expected(spec: WindowSpec, num_frames: int) -> dict[str, np.ndarray]:
    """The shifted window by plain numpy: a Fourier series of the resampling, read where the window's samples lie."""
    audio, notes = _recording(spec.recording)
    samples = num_frames * GRID.hop
    resampling = resampling_for(spec.ratio, samples)
    begin = resampling.begin(spec.start)
    source = np.zeros(resampling.source)
    low, high = max(begin, 0), min(begin + resampling.source, len(audio))
    source[low - begin : high - begin] = audio[low:high] / 32_768
    spectrum = np.fft.rfft(source)[: resampling.target // 2 + 1]
    whole = np.zeros(resampling.target // 2 + 1, complex)
    whole[: len(spectrum)] = spectrum
    waveform = np.fft.irfft(whole * resampling.target / resampling.source, resampling.target)

    def seconds(time: np.ndarray) -> np.ndarray:
        # A minute later, since notes cannot begin before 0.
        return (time - begin / RATE) / resampling.ratio - resampling.lead / RATE + 60.0

    moved = Notes(
        seconds(notes.onset), seconds(notes.offset), notes.pitch + spec.semitones, notes.velocity
    )
    return {
        "waveform": waveform[resampling.lead : resampling.lead + samples],
        **notes_to_rolls(moved, num_frames, GRID, 60 * RATE),
    }


def test_shifted_windows_equal_numpy(prepared: Path) -> None:  # noqa: F811
    stored = load_index(prepared, "train")
    shift = PitchShift(3, 30.0)
    plan = training_plan(TOTALS, 100 * GRID.hop, seed=5, shift=shift)
    specs = list(itertools.islice(plan, 12))
    assert len({spec.semitones for spec in specs}) > 3
    assert max(abs(spec.cents) for spec in specs) > 15
    for spec, window in zip(specs, _windows(stored, specs, shift, 100), strict=True):
        for name, value in _expected(spec, 100).items():
            np.testing.assert_allclose(window[name], value, atol=2e-5, err_msg=f"{name} {spec}")


def test_a_shift_of_nothing_changes_nothing(prepared: Path) -> None:  # noqa: F811
    stored = load_index(prepared, "train")
    specs = list(itertools.islice(training_plan(TOTALS, 100 * GRID.hop, seed=2), 4))
    plain = _windows(stored, specs, None, 100)
    shifted = _windows(stored, specs, PitchShift(2, 0.0), 100)
    for before, after in zip(plain, shifted, strict=True):
        for name, value in before.items():
            np.testing.assert_allclose(after[name], value, atol=1e-5, err_msg=name)


def test_onsets_stay_with_their_clicks(tmp_path: Path) -> None:
    """In windows of every ratio, each click in the sound is where the label says, within a quarter of a frame."""
    total = 20 * RATE
    onset = np.arange(0.5, 19.5, 0.61)
    audio = np.zeros(total, np.int16)
    audio[np.rint(onset * RATE).astype(int)] = 20_000
    notes = Notes(onset, onset + 0.2, np.full(len(onset), 60), np.full(len(onset), 80))
    write_prepared(tmp_path, [[(audio, notes)]])
    stored = load_index(tmp_path, "train")
    specs = [
        WindowSpec(0, start, 0, semitones, cents)
        for start, semitones, cents in ((0, 3, 20.0), (40_000, -3, -20.0), (123_456, 0, 17.0))
    ]
    for window in _windows(stored, specs, PitchShift(3, 20.0), 200):
        clicks = np.flatnonzero(np.abs(window["waveform"]) > 0.25)
        clicks = clicks[np.diff(clicks, prepend=-1000) > 100]
        roll = window["onset"].max(axis=1)
        for click in clicks[1:-1]:
            # The triangle's peak, read back from its two largest values.
            frame = click // GRID.hop
            weights = roll[frame - 1 : frame + 3]
            position = np.sum(weights * np.arange(frame - 1, frame + 3)) / np.sum(weights)
            peak = _triangle_peak(roll, round(position))
            assert abs(peak * GRID.hop - click) <= 16


def _triangle_peak(roll: np.ndarray, near: int) -> float:
    """The position whose triangle of half-width 1.5 frames explains the roll around a frame best."""
    candidates = np.arange(near - 1.5, near + 1.5, 1 / 512)
    frames = np.arange(near - 3, near + 4)
    shapes = np.maximum(1 - np.abs(frames - candidates[:, None]) / 1.5, 0)
    return float(candidates[np.argmin(np.sum((shapes - roll[frames]) ** 2, axis=1))])


def test_every_second_is_equally_likely_at_any_pitch() -> None:
    window = 51_200
    totals = (400_000, 60_000)
    covered = [np.zeros(total // 500) for total in totals]
    shift = PitchShift(12, 0.0)
    for spec in itertools.islice(training_plan(totals, window, seed=1, shift=shift), 40_000):
        end = spec.start + window * spec.ratio
        assert end > 0
        probes = np.arange(len(covered[spec.recording])) * 500
        covered[spec.recording] += (probes >= spec.start) & (probes < end)
    rates = np.concatenate([count / count.mean() for count in covered])
    # Each of some 4,000 epochs covers every moment by chance: about 1.5 % of deviation is to be expected.
    assert np.abs(rates - 1).max() < 0.06


def test_the_plan_with_shifts_goes_on_from_any_window() -> None:
    shift = PitchShift(2, 10.0)
    whole = list(itertools.islice(training_plan(TOTALS, 51_200, 3, shift=shift), 300))
    for first in (1, 57, 250):
        again = training_plan(TOTALS, 51_200, 3, first, shift)
        assert list(itertools.islice(again, 20)) == whole[first : first + 20]


def test_notes_that_leave_the_piano_have_no_label(tmp_path: Path) -> None:
    notes = Notes([0.5, 1.0], [2.0, 2.0], [107, 60], [64, 64])
    write_prepared(tmp_path, [[(np.ones(5 * RATE, np.int16), notes)]])
    (window,) = _windows(
        load_index(tmp_path, "train"), [WindowSpec(0, 0, 0, 2, 0.0)], PitchShift(2), 100
    )
    assert np.flatnonzero(window["pianoroll"].any(axis=0)).tolist() == [62 - 21]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"semitones": -1}, "augment_transpose_semitones must lie in 0..12. Received: -1"),
        ({"cents": 150.0}, "augment_tuning_cents must lie in 0..100. Received: 150.0"),
    ],
)
def test_settings_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PitchShift(**settings)  # type: ignore[arg-type]
