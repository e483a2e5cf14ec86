"""Read configs that earlier versions wrote: renamed and removed fields of the JSON in weights files and run folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfamt.errors import InputError

_RENAMED = {
    "model": {
        "full_skip": "top_skip",
        "ranks": "conv_ranks",
        "features": "feature_maps",
        "context": "temporal_context",
    }
}
"""Old to new field names, by section."""
_VALUES = {
    ("spectrogram", "scaling"): {"level": "loudness"},
    ("decoding", "offsets"): {"likeliest": "expected_score"},
}
"""Old to new values of a field."""
_REMOVED_VALUES = (("spectrogram", "scaling", "peak"), ("model", "context", "conv"))
"""Section, old field name and value of networks that no longer exist."""
_REMOVED: dict[str, dict[str, Any]] = {
    "spectrogram": {"filter_scale": 1.0},
    "model": {
        "heads_by": "frame",
        "harmonics": [],
        "dilations": [],
        "all_pitches": 0,
        "projection": 0,
        "reconstruction_inputs": ["pianoroll"],
    },
}
"""Fields that no longer exist, with the value by which a network does without them."""


def migrate(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object of a config in the form of this version.

    Args:
      data: the object as it was stored; what has been migrated already stays as it is.

    Raises:
      InputError: the config describes a network that this version cannot build.
    """
    migrated = dict(data)
    for section, fields in data.items():
        if isinstance(fields, dict):
            migrated[section] = _migrate_section(section, fields)
    return migrated


def _migrate_section(section: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    removed, renamed = _REMOVED.get(section, {}), _RENAMED.get(section, {})
    migrated: dict[str, Any] = {}
    for name, value in fields.items():
        if name in removed and value == removed[name]:
            continue
        if name in removed or (section, name, value) in _REMOVED_VALUES:
            raise InputError(
                f"the config has {section}_{name}={value!r}, a kind of network that is no longer part of tfamt",
                fix="Use tfamt 0.1.0 for it.",
            )
        values = _VALUES.get((section, name), {})
        known = isinstance(value, str) and value in values
        migrated[renamed.get(name, name)] = values[value] if known else value
    return migrated
