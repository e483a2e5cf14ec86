"""Test the settings that a run folder stores, and changed ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tfamt.config import Config, replace
from tfamt.errors import InputError
from tfamt.presets import preset
from tfamt.training.run_folder import MetricsLog, check_or_write_config, check_or_write_settings


def test_metrics_forget_what_comes_again(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    assert log.since_best("validation", "f1") == (None, 0)
    for step, value in enumerate((0.1, 0.5, 0.3, 0.5, 0.2), 1):
        log.append(step, "train", {"loss": 1.0 / step})
        log.append(step, "validation", {"f1": value})
    assert log.since_best("validation", "f1") == (0.5, 3)
    with log.path.open("a") as file:
        file.write('{"step": 6, "gro')
    log.go_back(3)
    assert [line["step"] for line in log.lines()] == [1, 1, 2, 2, 3, 3]
    assert log.since_best("validation", "f1") == (0.5, 1)


def test_a_run_begun_with_old_field_names_resumes_without_changes(tmp_path: Path) -> None:
    config = preset("piano")
    old = json.loads(config.to_json())
    model = old["model"]
    for now, before in (
        ("top_skip", "full_skip"),
        ("conv_ranks", "ranks"),
        ("feature_maps", "features"),
        ("temporal_context", "context"),
    ):
        model[before] = model.pop(now)
    model |= {"heads_by": "frame", "harmonics": [], "dilations": [], "all_pitches": 0}
    model |= {"projection": 0, "reconstruction_inputs": ["pianoroll"]}
    old["spectrogram"] |= {"scaling": "level", "filter_scale": 1.0}
    old["decoding"]["offsets"] = "likeliest"
    (tmp_path / "config.json").write_text(json.dumps(old))
    assert check_or_write_config(tmp_path, config) == []
    assert Config.from_json((tmp_path / "config.json").read_text()) == config
    # What did change is still named, by the new field.
    (tmp_path / "config.json").write_text(json.dumps(old))
    with pytest.raises(InputError, match=r"model.feature_maps was 4, is 8"):
        check_or_write_config(tmp_path, replace(config, "model", feature_maps=8))


def test_another_network_is_refused_other_changes_are_reported(tmp_path: Path) -> None:
    config = preset("tiny")
    assert check_or_write_config(tmp_path, config) == []
    slower = replace(config, "training", learning_rate=1e-4)
    assert check_or_write_config(tmp_path, slower, write=False) == [
        "training.learning_rate was 0.005, is 0.0001"
    ]
    assert Config.from_json((tmp_path / "config.json").read_text()) == config
    with pytest.raises(InputError, match=r"spectrogram.bins was 229, is 128"):
        check_or_write_config(tmp_path, replace(config, "spectrogram", bins=128))
    assert check_or_write_settings(tmp_path, {"data": {"a": "1"}, "noise": 0.0}) == []
    assert check_or_write_settings(tmp_path, {"data": {"b": "1"}, "noise": 0.0}) == [
        "data.a was 1, is None", "data.b was None, is 1",
    ]  # fmt: skip
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(InputError, match="Delete it if it is damaged"):
        check_or_write_settings(tmp_path, {})
