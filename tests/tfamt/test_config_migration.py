"""Configs of earlier versions."""

from __future__ import annotations

import json

import pytest

from tfamt.config import Config
from tfamt.errors import InputError

# As tfamt 0.1.0 stored it beside the weights of a small model with all heads.
OLD = """{
  "name": "piano",
  "spectrogram": {"kind": "mel", "sample_rate": 16000, "hop": 512, "bins": 229, "window": 2048, "low_hz": 30.0,
    "high_hz": 8000.0, "bins_per_octave": 24, "filter_scale": 1.0, "scaling": "level", "range_db": 80.0},
  "model": {"harmonics": [], "full_skip": true, "channels": [16, 32, 64, 128], "ranks": [0, 0, 32, 24], "features": 4,
    "feature_activation": "leaky_relu", "projection": 0, "context": "bilstm", "dilations": [], "all_pitches": 0,
    "context_units": 229, "context_rank": 256, "recurrent_rank": 64,
    "heads": ["pianoroll", "onset", "offset", "velocity"], "heads_by": "frame", "refinement": 32,
    "refinement_partials": 6, "refinement_features": 8, "reconstruction": false,
    "reconstruction_channels": [16, 32, 64, 128], "reconstruction_units": 229, "reconstruction_inputs": ["pianoroll"],
    "second_pass": false},
  "decoding": {"method": "onsets", "onset_threshold": 0.3, "offsets": "likeliest"}
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
        ("spectrogram", "filter_scale", 0.5),
    ],
)
def test_a_network_that_is_gone_is_named(section: str, field: str, value: object) -> None:
    old = json.loads(OLD)
    old[section][field] = value
    with pytest.raises(InputError, match=f"{section}_{field}=.*no longer part of tfamt"):
        Config.from_json(json.dumps(old))


def test_other_removed_values_are_refused_by_the_field() -> None:
    for section, field, value in (("model", "context", "conv"), ("spectrogram", "scaling", "peak")):
        old = json.loads(OLD)
        old[section][field] = value
        with pytest.raises(InputError, match=f"must be one of .* Received: '{value}'"):
            Config.from_json(json.dumps(old))
