"""Test the migration of configs of earlier versions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tfamt.config import Config
from tfamt.config_migration import migrate
from tfamt.errors import InputError
from tfamt.network.weights import shipped_weights

# The config in tfamt/models/piano.npz as tfamt 0.1.0 wrote it.
OLD = """{
  "name": "piano",
  "spectrogram": {"kind": "mel", "sample_rate": 16000, "hop": 512, "bins": 229, "window": 2048, "low_hz": 30.0,
    "high_hz": 8000.0, "bins_per_octave": 24, "filter_scale": 1.0, "scaling": "level", "range_db": 80.0},
  "model": {"harmonics": [], "full_skip": true, "channels": [16, 32, 64, 128], "ranks": [0, 0, 32, 24], "features": 4,
    "feature_activation": "leaky_relu", "projection": 0, "context": "bilstm", "dilations": [], "all_pitches": 0,
    "context_units": 229, "context_rank": 256, "recurrent_rank": 64, "heads": ["pianoroll", "onset", "offset",
    "velocity"], "heads_by": "frame", "refinement": 32, "refinement_partials": 6, "refinement_features": 8,
    "reconstruction": false, "reconstruction_channels": [16, 32, 64, 128], "reconstruction_units": 229,
    "reconstruction_inputs": ["pianoroll"], "second_pass": false},
  "loss": {"pianoroll": 1.0, "reconstruction": 1.0, "second_pass": 1.0, "onset": 4.0, "offset": 0.5, "velocity": 12.0,
    "velocity_level": 2.0},
  "training": {"steps": 2800, "batch_size": 6, "accumulation": 1, "window_frames": 320, "recording_windows": 2,
    "learning_rate": 0.0005, "schedule": "trapezoid", "decay_rate": 0.98, "decay_steps": 10000, "cooldown_steps":
    2350, "warmup_steps": 100, "clip_norm": 3.0, "ema": 0.999, "seed": 102},
  "inference": {"window_frames": 320, "margin_frames": 8},
  "decoding": {"method": "onsets", "pianoroll_threshold": 0.35, "onset_threshold": 0.3, "offsets": "likeliest",
    "min_note_ms": 0.0, "min_gap_ms": 70.0}
}"""


def test_an_old_config_reads_as_the_same_network() -> None:
    config = Config.from_json(OLD)
    assert config.model.top_skip is True
    assert config.model.conv_ranks == (0, 0, 32, 24)
    assert config.model.feature_maps == 4
    assert config.model.temporal_context == "bilstm"
    assert config.spectrogram.scaling == "loudness" and config.spectrogram.normalizes_loudness
    assert config.decoding.offsets == "expected_score"
    # What this version writes, it reads as it is.
    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("model", "heads_by", "pitch"),
        ("model", "harmonics", [1.0, 2.0]),
        ("model", "projection", 64),
        ("model", "reconstruction_inputs", ["onset"]),
        ("model", "dilations", [2, 4]),
        ("model", "all_pitches", 32),
        ("model", "context", "conv"),
        ("spectrogram", "filter_scale", 0.5),
        ("spectrogram", "scaling", "peak"),
    ],
)
def test_a_network_that_is_gone_is_named(section: str, field: str, value: object) -> None:
    old = json.loads(OLD)
    old[section][field] = value
    with pytest.raises(InputError, match=f"{section}_{field}=.*no longer part of tfamt"):
        Config.from_json(json.dumps(old))


def test_the_config_in_the_package_is_the_old_one_migrated() -> None:
    with np.load(shipped_weights()) as file:
        stored = json.loads(file["config"].tobytes())
    assert stored == migrate(json.loads(OLD))
    assert json.loads(Config.from_json(OLD).to_json()) == stored


def test_migration_leaves_its_argument_and_a_migrated_config_as_they_are() -> None:
    old = json.loads(OLD)
    once = migrate(old)
    assert old == json.loads(OLD)
    assert migrate(once) == once


def test_an_empty_value_is_refused_by_the_field_it_belongs_to() -> None:
    with pytest.raises(InputError, match=r"config\.model\.second_pass must be of type bool"):
        Config.from_json('{"model": {"second_pass": null}}')
