"""Every field of a `Config` as a command-line flag: --<section>_<field>."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from absl import flags

from tfamt.config import Config, replace
from tfamt.presets import preset

_SECTIONS = ("spectrogram", "model", "loss", "training", "inference", "decoding")


def define_config_flags(sections: tuple[str, ...] = _SECTIONS) -> None:
    """Defines --preset and a flag for each field; a flag that is not given leaves the preset's value."""
    flags.DEFINE_string("preset", "icpr2020_mel", "The config to start from.")
    hints = typing.get_type_hints(Config)
    for section in sections:
        fields = typing.get_type_hints(hints[section])
        for name, hint in fields.items():
            _define(f"{section}_{name}", hint)


def config_from_flags(sections: tuple[str, ...] = _SECTIONS) -> Config:
    """The preset with the flags' changes.

    Raises:
      InputError: there is no such preset, or a value is out of range.
    """
    config = preset(flags.FLAGS.preset)
    for section in sections:
        names = [item.name for item in dataclasses.fields(getattr(config, section))]
        given = {name: flags.FLAGS[f"{section}_{name}"].value for name in names}
        changed = {name: _typed(value) for name, value in given.items() if value is not None}
        if changed:
            config = replace(config, section, **changed)
    return config


def _define(name: str, hint: Any) -> None:
    text = "See tfamt/config.py; the preset's value if not given."
    if hint is bool:
        flags.DEFINE_bool(name, None, text)
    elif hint is int:
        flags.DEFINE_integer(name, None, text)
    elif hint is float:
        flags.DEFINE_float(name, None, text)
    elif hint is str:
        flags.DEFINE_string(name, None, text)
    elif hint == tuple[int, ...]:
        flags.DEFINE_list(name, None, f"Whole numbers. {text}")
        message = "must be whole numbers, parted by commas"
        flags.register_validator(name, _whole_numbers, message)  # type: ignore[no-untyped-call]
    else:
        flags.DEFINE_list(name, None, text)


def _whole_numbers(values: list[str] | None) -> bool:
    return values is None or all(value.strip().isdigit() for value in values)


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(int(item) if item.strip().isdigit() else item.strip() for item in value)
    return value
