"""Test the networks against the authors' own, and the other choices of the builder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.authors_network import load_weights
from tfamt.config import Config, ModelConfig
from tfamt.network.frontend import build_recording_frontend, spectrogram_layer
from tfamt.network.model import FEATURE_MAP, build_model
from tfamt.presets import preset

KINDS = ("mel", "cqt")


def _golden(shared_dir: Path, kind: str) -> dict[str, np.ndarray]:
    with np.load(shared_dir / "golden" / f"icpr2020_{kind}.npz") as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def _parameters(name: str) -> int:
    return sum(int(np.prod(weight.shape)) for weight in build_model(preset(name)).trainable_weights)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("icpr2020_mel_baseline", 1_703_761),
        ("icpr2020_mel", 3_213_929),
        ("icpr2020_cqt_baseline", 1_350_145),
        ("icpr2020_cqt", 2_607_450),
    ],
)
def test_trainable_parameters_of_the_paper(name: str, count: int) -> None:
    assert _parameters(name) == count


@pytest.mark.parametrize("kind", KINDS)
def test_spectrogram_equals_the_authors(shared_dir: Path, kind: str) -> None:
    golden = _golden(shared_dir, kind)
    layer = spectrogram_layer(preset(f"icpr2020_{kind}").spectrogram)
    expected = golden["raw_spectrogram"]
    difference = np.abs(layer(golden["waveform"][None])[0].numpy() - expected).max()
    assert difference <= 1e-5 * expected.max()


@pytest.mark.parametrize("kind", KINDS)
def test_every_output_equals_the_authors(shared_dir: Path, kind: str) -> None:
    golden = _golden(shared_dir, kind)
    model = build_model(preset(f"icpr2020_{kind}"))
    weights = {name[2:]: value for name, value in golden.items() if name.startswith("w/")}
    load_weights(model, weights)
    outputs = model(golden["input_spectrogram"][None], training=False)
    for name in ("pianoroll", "reconstruction", "pianoroll_second_pass"):
        ours = outputs[name][0].numpy()
        np.testing.assert_allclose(ours, golden[name], rtol=0, atol=1e-4, err_msg=name)


def _outputs(config: Config, spectrogram: np.ndarray) -> dict[str, np.ndarray]:
    """Of a model with fixed random weights whose normalisation has seen something."""
    keras.utils.set_random_seed(1)
    model = build_model(config)
    random = np.random.default_rng(0)
    for _ in range(3):
        model(random.random((2, 40, config.spectrogram.bins), np.float32), training=True)
    return {name: value.numpy() for name, value in model(spectrogram, training=False).items()}


HEADS = ("pianoroll", "onset", "offset", "velocity")


@pytest.mark.parametrize("top_skip", [False, True])
def test_only_the_top_skip_passes_the_halved_levels_by(top_skip: bool) -> None:
    settings = ModelConfig(
        channels=(4, 4), temporal_context="none", reconstruction=False, top_skip=top_skip
    )
    transcriber = build_model(Config(model=settings)).get_layer("transcriber")
    upsample = transcriber.get_layer("unet1_up0_upsample")
    upsample.kernel.assign(np.zeros(upsample.kernel.shape))
    image = np.random.default_rng(4).random((1, 16, 229), np.float32)
    difference = transcriber(image)["pianoroll"] - transcriber(0 * image)["pianoroll"]
    assert bool(np.abs(difference).max() > 1e-6) == top_skip


def test_a_longer_recording_does_not_change_what_came_long_before() -> None:
    config = Config(
        model=ModelConfig(channels=(4, 4), temporal_context="none", reconstruction=False)
    )
    spectrogram = np.random.default_rng(2).random((1, 96, 229), np.float32)
    whole = _outputs(config, spectrogram)["pianoroll"]
    part = _outputs(config, spectrogram[:, :64])["pianoroll"]
    assert whole.shape == (1, 96, 88)
    np.testing.assert_allclose(whole[:, :32], part[:, :32], rtol=1e-6)
    assert np.abs(whole[:, 60:64] / part[:, 60:64] - 1).max() > 3e-6


def test_training_begins_with_silence() -> None:
    config = Config(
        model=ModelConfig(channels=(4,), context_units=8, heads=("pianoroll", "onset"), reconstruction=False)
    )  # fmt: skip
    outputs = _outputs(config, np.random.default_rng(5).random((1, 64, 229), np.float32))
    for roll in outputs.values():
        # A bias of -4: 1 / (1 + e^4) = 0.018. What is transcribed moves it little.
        assert roll.mean() == pytest.approx(0.018, rel=0.3)


def test_the_lstm_sees_the_whole_recording() -> None:
    config = Config(model=ModelConfig(channels=(4,), context_units=8, reconstruction=False))
    spectrogram = np.random.default_rng(3).random((1, 64, 229), np.float32)
    changed = spectrogram.copy()
    changed[:, -1] = 0
    difference = np.abs(
        _outputs(config, spectrogram)["pianoroll"] - _outputs(config, changed)["pianoroll"]
    )
    assert difference[:, 40].max() > 0


def test_the_refinement_corrects_nothing_at_first() -> None:
    settings = ModelConfig(
        channels=(4,), temporal_context="none", heads=HEADS, reconstruction=False
    )
    plain = build_model(Config(model=settings))
    refined = build_model(Config(model=dataclasses.replace(settings, refinement=6)))
    for layer in plain.get_layer("transcriber").layers:
        refined.get_layer("transcriber").get_layer(layer.name).set_weights(layer.get_weights())
    spectrogram = np.random.default_rng(4).random((1, 32, 229), np.float32)
    for head, value in plain(spectrogram, training=True).items():
        np.testing.assert_array_equal(refined(spectrogram, training=True)[head], value)


@pytest.mark.parametrize("frames", [1, 2, 15, 17, 50])
def test_any_number_of_frames(frames: int) -> None:
    model = build_model(preset("tiny"))
    spectrogram = np.random.default_rng(5).random((1, frames, 229), np.float32)
    outputs = model(spectrogram, training=False)
    assert {name: value.shape for name, value in outputs.items()} == {
        "pianoroll": (1, frames, 88),
        "pianoroll_second_pass": (1, frames, 88),
        "reconstruction": (1, frames, 229),
    }
    assert all(np.isfinite(value).all() for value in outputs.values())


def test_the_feature_map_is_the_authors(shared_dir: Path) -> None:
    golden = _golden(shared_dir, "mel")
    model = build_model(preset("icpr2020_mel"))
    load_weights(
        model, {name[2:]: value for name, value in golden.items() if name.startswith("w/")}
    )
    transcriber = model.get_layer("transcriber")
    look = keras.Model(transcriber.inputs[0], transcriber.get_layer(FEATURE_MAP).output)
    ours = look(golden["input_spectrogram"][None])[0, :, :, 0].numpy()
    np.testing.assert_allclose(ours, golden["feature_1"], rtol=0, atol=1e-4)


def test_frontend_equals_the_authors_input(shared_dir: Path) -> None:
    golden = _golden(shared_dir, "cqt")
    scaled = build_recording_frontend(preset("icpr2020_cqt").spectrogram)(golden["waveform"][None])[
        0
    ].numpy()
    # The authors' raw spectrogram has a frame more, which the range may come from.
    np.testing.assert_allclose(scaled, golden["input_spectrogram"], rtol=0, atol=1e-3)
