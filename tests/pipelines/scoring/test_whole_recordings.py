"""Test recordings in one call against a window of their length, by library and command."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from pipelines.preparation.index import load_index
from pipelines.scoring.model_scores import predict, score_prediction
from pipelines.scoring.whole_recordings import WholeRecordings
from tests.support.processes import command
from tests.support.small_data import prepare_small
from tfamt.audio.loudness import loudness
from tfamt.config import Config, replace
from tfamt.network.model import build_model
from tfamt.network.weights import named_weights, save_weights
from tfamt.presets import preset
from tfamt.transcription.backends import keras_backend
from tfamt.transcription.transcriber import Transcriber

FRAMES = 100


def transcribers(config: Config) -> tuple[WholeRecordings, Transcriber, Transcriber]:
    """The recording at once, in a window of its length, and in four."""
    keras.utils.set_random_seed(2)
    model = build_model(config)
    one, four = (
        replace(config, "inference", window_frames=frames, margin_frames=0)
        for frames in (FRAMES, FRAMES // 4)
    )
    return (
        WholeRecordings(config, model),
        Transcriber(one, keras_backend(one, model)),
        Transcriber(four, keras_backend(four, model)),
    )


def rolls(transcriber: Transcriber, waveform: np.ndarray) -> dict[str, np.ndarray]:
    outputs = [*transcriber.model_outputs(np.split(waveform, 8), loudness(waveform))]
    assert outputs[-1].seconds == FRAMES * 0.032
    names = ("pianoroll", "pianoroll_second_pass")
    return {name: np.concatenate([part.rolls[name] for part in outputs]) for name in names}


def test_a_recording_is_scaled_and_transcribed_as_one() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.02, FRAMES * 512).astype(np.float32)
    waveform[: FRAMES * 128] *= 0.01
    for scaling in ("minmax", "loudness"):
        config = replace(preset("tiny"), "spectrogram", scaling=scaling)
        whole, one, four = (rolls(each, waveform) for each in transcribers(config))
        for name, roll in whole.items():
            assert roll.shape == (FRAMES, 88)
            np.testing.assert_allclose(roll, one[name], rtol=0, atol=1e-5)
            assert np.abs(roll - four[name]).max() > 1e-3


def test_command(root: Path, tmp_path: Path) -> None:
    data = prepare_small(tmp_path)
    keras.utils.set_random_seed(1)
    model = build_model(preset("tiny"))
    arrays = {name: value.numpy() for name, value in named_weights(model).items()}
    save_weights(tmp_path / "weights.npz", preset("tiny"), arrays)
    done = command(
        "pipelines.commands.evaluate",
        f"--weights={tmp_path}/weights.npz",
        f"--data={data}",
        "--whole_recordings",
        f"--json={tmp_path}/whole.json",
        cwd=root,
    )
    assert (done.returncode, done.stderr) == (0, "")
    content = json.loads((tmp_path / "whole.json").read_text())
    assert content["source"]["whole_recordings"] is True
    whole = WholeRecordings(preset("tiny"), model)
    stored = load_index(data, "validation")
    assert len(content["pieces"]) == len(stored) == 2
    for item in stored:
        found = content["pieces"][item.entry.recording]["scores"]["average_precision"]
        expected = score_prediction(predict(whole, item), whole.config).piece.scores[
            "average_precision"
        ]
        assert 0.0 < found == pytest.approx(expected, abs=1e-9)
