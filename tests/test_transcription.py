"""Windows over a stream of blocks, and the same notes however they come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tfamt.backends import keras_backend
from tfamt.config import Config, DecodingConfig, InferenceConfig, ModelConfig, SpectrogramConfig
from tfamt.frames import FrameGrid
from tfamt.model import build_model
from tfamt.transcription import Frames, Transcriber, cut_windows

GRID = FrameGrid(16000, 512)


def _blocks(waveform: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(waveform), size):
        yield waveform[start : start + size]


@pytest.mark.parametrize("length", [1, 511, 512, 513, 4 * 512, 6 * 512, 6 * 512 + 1, 100_000])
@pytest.mark.parametrize("size", [97, 5000, 10**6])
def test_windows_hold_what_they_should(length: int, size: int) -> None:
    waveform = np.arange(1, length + 1, dtype=np.float32)
    padded = np.pad(waveform, (2 * 512, 20 * 512))
    next_frame = 0
    for window, first, count in cut_windows(_blocks(waveform, size), GRID, 10, 2):
        assert first == next_frame
        # The kept frames begin two frames into the window, which begins two frames before them.
        np.testing.assert_array_equal(window, padded[first * 512 : first * 512 + 10 * 512])
        next_frame += count
    assert next_frame == GRID.num_frames(length)


def _transcriber() -> Transcriber:
    config = Config(
        name="test",
        spectrogram=SpectrogramConfig(scaling="peak"),
        model=ModelConfig(
            channels=(4, 8),
            context="conv",
            context_units=16,
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
    return Transcriber(config, keras_backend(config, model.get_layer("transcriber")))


def test_notes_do_not_depend_on_blocks() -> None:
    transcriber = _transcriber()
    waveform = np.random.default_rng(1).normal(0, 0.1, 16000 * 20).astype(np.float32)
    whole = transcriber.transcribe(waveform, sample_rate=16000)
    assert len(whole) > 50
    for size in (333, 16000, 10**6):
        assert transcriber.transcribe_blocks(_blocks(waveform, size)) == whole


def test_listeners_hear_every_frame_once() -> None:
    heard: list[Frames] = []
    waveform = np.random.default_rng(2).normal(0, 0.1, 16000 * 5 + 1).astype(np.float32)
    _transcriber().transcribe(waveform, sample_rate=16000, listener=heard.append)
    assert sum(len(frames.spectrogram) for frames in heard) == 157  # ceil(80001 / 512)
    assert [frames.seconds for frames in heard] == pytest.approx(
        [48 * 0.032, 96 * 0.032, 144 * 0.032, 157 * 0.032]
    )
    assert all(frames.rolls["onset"].shape == (len(frames.spectrogram), 88) for frames in heard)


def test_silence_has_no_notes(root) -> None:
    transcriber = Transcriber.load()
    assert len(transcriber.transcribe(np.zeros(16000 * 30, np.float32), sample_rate=16000)) == 0
    assert len(transcriber.transcribe(np.zeros(160, np.float32), sample_rate=16000)) == 0
