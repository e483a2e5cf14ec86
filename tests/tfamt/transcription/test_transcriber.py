"""Test that a transcription does not depend on blocks, windows in parallel or the kind of input."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tfamt.config import (
    Config,
    DecodingConfig,
    InferenceConfig,
    ModelConfig,
    replace,
)
from tfamt.errors import InputError
from tfamt.network.model import build_model
from tfamt.transcription.backends import Backend, keras_backend
from tfamt.transcription.jobs import failure
from tfamt.transcription.transcriber import ModelOutput, Transcriber


def _blocks(waveform: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(waveform), size):
        yield waveform[start : start + size]


@functools.cache
def _model() -> tuple[Config, Backend]:
    config = Config(
        name="test",
        model=ModelConfig(
            channels=(4, 8),
            temporal_context="none",
            heads=("pianoroll", "onset"),
            reconstruction=False,
        ),
        inference=InferenceConfig(window_frames=64, margin_frames=8),
        decoding=DecodingConfig(method="onsets", onset_threshold=0.5),
    )
    import keras

    keras.utils.set_random_seed(3)
    model = build_model(config)
    for layer in ("onset", "pianoroll"):
        # Random weights hardly leave 0.5; spread them, so that notes come out.
        dense = model.get_layer("transcriber").get_layer(layer)
        kernel, bias = dense.get_weights()
        dense.set_weights([kernel * 40, bias])
    return config, keras_backend(config, model.get_layer("transcriber"))


def _transcriber(batch: int = 1, concurrent_windows: int = 1) -> Transcriber:
    return Transcriber(*_model(), batch=batch, concurrent_windows=concurrent_windows)


def _noise(seconds: float, rate: int = 16000) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, round(rate * seconds)).astype(np.float32)


def test_notes_do_not_depend_on_blocks_or_batches() -> None:
    waveform = _noise(20)
    whole = _transcriber().transcribe(waveform, sample_rate=16000)
    assert len(whole) > 50
    # 14 windows: three does not divide them.
    for batch, concurrent_windows in ((1, 1), (1, 4), (3, 1), (8, 2)):
        transcriber = _transcriber(batch, concurrent_windows)
        for size in (333, 10**6):
            # Bit by bit.
            assert transcriber.transcribe_blocks(_blocks(waveform, size)) == whole


def test_several_recordings_at_a_time_get_their_own_notes() -> None:
    transcriber = _transcriber()
    waveforms = [_noise(seconds) for seconds in (3, 7, 5, 9)]
    alone = [transcriber.transcribe(waveform, sample_rate=16000) for waveform in waveforms]
    with ThreadPoolExecutor(4) as pool:
        beside = pool.map(lambda w: transcriber.transcribe(w, sample_rate=16000), waveforms)
        assert list(beside) == alone
    assert len({len(notes) for notes in alone}) == 4


def test_windows_of_a_recording_are_transcribed_in_parallel() -> None:
    config, backend = _model()
    # Nobody passes before three are there; five windows of 48 frames are kept of 240.
    together = threading.Barrier(3, timeout=60)
    calls: list[int] = []

    def network(windows: np.ndarray, loudness: np.ndarray) -> dict[str, np.ndarray]:
        calls.append(len(windows))
        if len(calls) <= 3:
            together.wait()
        return backend(windows, loudness)

    waveform = _noise(240 * 0.032)
    notes = Transcriber(config, network, concurrent_windows=3).transcribe(
        waveform, sample_rate=16000
    )
    assert calls == [1] * 5
    assert notes == _transcriber().transcribe(waveform, sample_rate=16000)


def _clicks(seconds: int, step: float) -> Iterator[np.ndarray]:
    """Blocks of 7 s with a unit sample every `step` s."""
    size = 7 * 16000
    for start in range(0, seconds * 16000, size):
        block = np.zeros(min(size, seconds * 16000 - start), np.float32)
        for number in range(round(seconds / step)):
            sample = round((number + 0.5) * step * 16000)
            if start <= sample < start + len(block):
                block[sample - start] = 1.0
        yield block


def _click_listener(windows: np.ndarray, loudness: np.ndarray) -> dict[str, np.ndarray]:
    """Give an onset for every unit sample, placed as `tfamt.notes.piano_roll` places labels: a triangle."""
    frames = windows.shape[1] // 512
    onset = np.zeros((len(windows), frames, 88), np.float32)
    for row, window in enumerate(windows):
        for sample in np.flatnonzero(window):
            distance = np.abs(np.arange(frames) - sample / 512)
            onset[row, :, 39] = np.maximum(onset[row, :, 39], 1 - distance / 3)
    return {"onset": onset, "pianoroll": (onset > 0.3).astype(np.float32)}


def test_an_hour_of_clicks_does_not_drift() -> None:
    config = Config(
        name="clicks",
        model=ModelConfig(heads=("pianoroll", "onset"), reconstruction=False, second_pass=False),
        decoding=DecodingConfig(method="onsets", onset_threshold=0.5),
    )
    # 10.007 s is no whole number of frames or windows.
    notes = Transcriber(config, _click_listener, batch=2).transcribe_blocks(_clicks(3600, 10.007))
    expected = (np.arange(360) + 0.5) * 10.007
    assert len(notes) == 360
    np.testing.assert_allclose(notes.onset, expected, rtol=0, atol=1e-4)


class _FaultError(Exception):
    pass


@pytest.mark.parametrize("where", ["decoding", "network", "listener"])
def test_a_fault_anywhere_ends_everything_and_is_raised(where: str) -> None:
    def blocks() -> Iterator[np.ndarray]:
        for number in range(100):
            if where == "decoding" and number == 5:
                raise _FaultError
            yield np.zeros(16000, np.float32)

    def network(windows: np.ndarray, loudness: np.ndarray) -> dict[str, np.ndarray]:
        if where == "network":
            raise _FaultError
        return _click_listener(windows, loudness)

    def listener(output: ModelOutput) -> None:
        if where == "listener":
            raise _FaultError

    before = threading.active_count()
    transcriber = Transcriber(_transcriber().config, network, concurrent_windows=2)
    with pytest.raises(_FaultError):
        transcriber.transcribe_blocks(blocks(), listener=listener)
    assert threading.active_count() == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_no_number_names_model_and_recording(
    tmp_path: Path, value: float
) -> None:
    config, backend = _model()
    calls = itertools.count()

    def network(windows: np.ndarray, loudness: np.ndarray) -> dict[str, np.ndarray]:
        outputs = {name: array.copy() for name, array in backend(windows, loudness).items()}
        if next(calls) == 2:
            outputs["onset"][0, 40, 3] = value
        return outputs

    transcriber = Transcriber(config, network)
    with pytest.raises(InputError) as caught:
        transcriber.transcribe(_noise(10), sample_rate=16000)
    # Windows keep 48 frames.
    assert str(caught.value).startswith(
        "the model 'test' gives values that are not finite numbers, first in its output 'onset' from 3.07 s on"
    )
    assert str(failure(tmp_path / "a.wav", caught.value)).startswith(f"{tmp_path}/a.wav: the model")


def test_listeners_hear_every_frame_once() -> None:
    transcribed: list[ModelOutput] = []
    waveform = np.random.default_rng(2).normal(0, 0.1, 16000 * 5 + 1).astype(np.float32)
    _transcriber().transcribe(waveform, sample_rate=16000, listener=transcribed.append)
    assert sum(len(frames.spectrogram) for frames in transcribed) == 157  # ceil(80001 / 512)
    assert [frames.seconds for frames in transcribed] == pytest.approx(
        [48 * 0.032, 96 * 0.032, 144 * 0.032, 157 * 0.032]
    )
    assert all(
        frames.rolls["onset"].shape == (len(frames.spectrogram), 88) for frames in transcribed
    )


def test_silence_has_no_notes(root) -> None:
    transcriber = Transcriber.load()
    assert len(transcriber.transcribe(np.zeros(16000 * 30, np.float32), sample_rate=16000)) == 0
    assert len(transcriber.transcribe(np.zeros(160, np.float32), sample_rate=16000)) == 0


def test_a_recording_too_long_to_be_kept_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    transcriber = _transcriber()
    normalizing = replace(transcriber.config, "spectrogram", scaling="loudness")
    transcriber = Transcriber(normalizing, transcriber._backend)
    waveform = _noise(50)
    kept = transcriber.transcribe(waveform, sample_rate=16000)
    assert len(kept) > 50
    # Of its three blocks one may be kept.
    monkeypatch.setattr("tfamt.transcription.transcriber._CACHED_BLOCKS", 1)
    assert transcriber.transcribe(waveform, sample_rate=16000) == kept
