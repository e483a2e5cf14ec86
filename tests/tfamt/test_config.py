"""Test configs: JSON, checks, presets."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from absl import flags

from tfamt.commands.config_flags import define_config_flags
from tfamt.config import (
    Config,
    DecodingConfig,
    ModelConfig,
    SpectrogramConfig,
    TrainingConfig,
    replace,
)
from tfamt.config_fields import Setting, help_text, settings_of
from tfamt.errors import InputError
from tfamt.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name: str) -> None:
    config = preset(name)
    assert config.name == name
    assert Config.from_json(config.to_json()) == config


def test_the_papers_values() -> None:
    config = preset("icpr2020_mel")
    assert (config.spectrogram.bins, config.spectrogram.hop, config.spectrogram.window) == (
        229,
        512,
        2048,
    )
    assert (config.spectrogram.low_hz, config.spectrogram.high_hz) == (30.0, 8000.0)
    assert config.model.channels == (16, 32, 64, 128)
    training = config.training
    assert (training.learning_rate, training.decay_rate, training.decay_steps) == (
        6e-4,
        0.98,
        10_000,
    )
    assert (training.batch_size, training.window_frames, training.clip_norm) == (32, 640, 3.0)
    cqt = preset("icpr2020_cqt").spectrogram
    assert (cqt.kind, cqt.bins, cqt.bins_per_octave, cqt.low_hz) == ("cqt", 176, 24, 27.5)


def test_missing_fields_take_their_defaults() -> None:
    assert Config.from_json('{"model": {"features": 4}}') == replace(
        Config(), "model", feature_maps=4
    )
    assert Config.from_json('{"training": {"learning_rate": 1}}').training.learning_rate == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"modle": {}}', "has no field modle"),
        ('{"model": {"chanels": [1]}}', "has no field chanels"),
        ('{"model": {"channels": 16}}', "must be a list. Received: 16"),
        ('{"model": {"channels": ["16"]}}', "must be of type int. Received: '16'"),
        ('{"model": {"second_pass": 1}}', "must be of type bool. Received: 1"),
        ('{"model": {"channels": []}}', "name 1 to 8 levels"),
        ('{"model": {"channels": [0]}}', "greater than 0 and at most 1,024. Received: 0"),
        ('{"spectrogram": {"hop": 65537}}', "at most 65,536. Received: 65537"),
        (
            '{"spectrogram": {"kind": "cqt", "bins": 200, "low_hz": 1e-3}}',
            "kernels of the spectrogram would have 1.1e+11 values, over 2.7e+08",
        ),
        (
            '{"spectrogram": {"bins": 4096}, "model": {"feature_maps": 64}}',
            "the LSTM would have 4.8e+08 values",
        ),
        (
            '{"inference": {"window_frames": 65536}, "spectrogram": {"bins": 300}}',
            "first level of U-net 1 would have 3.1e+08 values",
        ),
        ('{"model": {"heads": ["onset"]}}', "must hold pianoroll"),
        ('{"spectrogram": {"kind": "stft"}}', "must be one of mel, cqt. Received: 'stft'"),
        ('{"spectrogram": {"high_hz": 9000.0}}', "half the sample rate"),
        ('{"spectrogram": {"kind": "cqt"}}', "highest CQT bin"),
        ('{"model": {"temporal_context": "conv"}}', "must be one of bilstm, none"),
        (
            '{"model": {"refinement": -1}}',
            "refinement must be 0 or more and at most 1,024. Received: -1",
        ),
        ('{"model": {"refinement_partials": 2}}', "refinement_partials needs model_refinement"),
        ('{"model": {"refinement_features": 2}}', "refinement_features needs model_refinement"),
        ('{"decoding": {"method": "onsets"}}', "needs a model with an onset head"),
        ('{"decoding": {"onset_threshold": 1.0}}', "between 0 and 1"),
        ('{"inference": {"margin_frames": 320}}', "leave something of the window"),
        ('{"training": {"batch_size": 0}}', "greater than 0"),
        ('{"training": {"learning_rate": NaN}}', "greater than 0"),
        ('{"spectrogram": {"low_hz": NaN}}', "spectrogram_low_hz must be a number. Received: nan"),
        ('{"loss": {"onset": -1}}', "0 or more"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Config.from_json(text)


def test_without_reconstruction_there_is_no_second_pass() -> None:
    assert not ModelConfig(reconstruction=False).second_pass


def test_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="'mel'.*icpr2020_mel, icpr2020_mel_baseline"):
        preset("mel")


def test_every_field_describes_itself() -> None:
    sections = [
        f for f in dataclasses.fields(Config) if dataclasses.is_dataclass(getattr(Config(), f.name))
    ]
    assert len(sections) == 6
    for section in sections:
        for name, described in settings_of(type(getattr(Config(), section.name))).items():
            # A sentence that stands alone.
            assert described.help[0].isupper() or described.help.startswith("minmax"), name
            assert described.help.endswith("."), name


def test_help_states_unit_bounds_and_default() -> None:
    assert help_text(SpectrogramConfig, "hop") == (
        "Distance between frames. Unit: samples. Allowed: greater than 0 and at most 65,536. "
        "Default: 512 (icpr2020_mel)."
    )
    assert help_text(ModelConfig, "channels").endswith("Default: 16,32,64,128 (icpr2020_mel).")
    assert help_text(ModelConfig, "conv_ranks").endswith("Default: none (icpr2020_mel).")
    assert "Allowed: 0 or more and below 1." in help_text(TrainingConfig, "ema")
    assert "Allowed: between 0 and 1." in help_text(DecodingConfig, "onset_threshold")
    assert "Allowed: one of mel, cqt." in help_text(SpectrogramConfig, "kind")


def test_each_flag_shows_what_its_field_describes() -> None:
    values = flags.FlagValues()
    define_config_flags(values)
    shown = {name: values[name].help for name in values}
    for section in ("spectrogram", "model", "loss", "training", "inference", "decoding"):
        for name in settings_of(type(getattr(Config(), section))):
            assert "Default: " in shown.pop(f"{section}_{name}"), name
    assert shown.pop("preset").endswith("Default: icpr2020_mel.")
    assert shown.pop("name") == "Name of the model, instead of that of its config."
    assert not shown


def test_flags_state_unit_bounds_and_default() -> None:
    values = flags.FlagValues()
    define_config_flags(values)
    assert values["training_clip_norm"].help == (
        "Global norm that gradients are clipped to. Allowed: greater than 0. Default: 3.0 (icpr2020_mel)."
    )
    assert values["decoding_min_gap_ms"].help.endswith(
        "Unit: ms. Allowed: 0 or more. Default: 50.0 (icpr2020_mel)."
    )
    assert values["model_top_skip"].help.endswith("Default: false (icpr2020_mel).")
    assert values["model_heads"].help.endswith(
        "Allowed: one of pianoroll, onset, offset, velocity. Default: pianoroll (icpr2020_mel). Comma-separated names."
    )


@pytest.mark.parametrize(
    ("described", "allowed", "refused"),
    [
        (Setting("x", above=0), (1e-9, 5), (0, -1, float("nan"))),
        (Setting("x", minimum=0), (0, 3), (-1e-9, float("nan"))),
        (Setting("x", above=0, below=1), (0.5,), (0, 1, float("nan"))),
        (Setting("x", minimum=0, below=1), (0, 0.999), (1, -0.1)),
        (Setting("x", choices=("a", "b")), ("a", "b"), ("c", "")),
        (Setting("x"), (float("inf"), -3, True), (float("nan"),)),
    ],
)
def test_bounds(described: Setting, allowed: tuple, refused: tuple) -> None:
    assert all(described.allows(value) for value in allowed)
    assert not any(described.allows(value) for value in refused)


def test_json_is_plain() -> None:
    assert json.loads(Config().to_json())["model"]["channels"] == [16, 32, 64, 128]
