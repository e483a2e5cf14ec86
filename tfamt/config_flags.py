"""Every field of a `Config` as a command-line flag: --<section>_<field>."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from absl import flags

from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.presets import preset

_KINDS = {int: "Whole numbers", float: "Numbers", str: "Names"}
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
    changed = {}
    for section in sections:
        fields = getattr(config, section)
        hints = typing.get_type_hints(type(fields))
        given = {name: flags.FLAGS[f"{section}_{name}"].value for name in hints}
        values = {n: _typed(hints[n], value) for n, value in given.items() if value is not None}
        try:
            changed[section] = dataclasses.replace(fields, **values)
        except OverflowError as error:
            raise InputError(f"{section} has a number that is too large ({error})") from error
    # All at once, since sections are checked against each other.
    return dataclasses.replace(config, **changed)


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
    else:
        kind = hint.__args__[0]
        flags.DEFINE_list(name, None, f"{_KINDS[kind]}, parted by commas. {text}")
        flags.register_validator(  # type: ignore[no-untyped-call]
            name,
            lambda values: values is None or all(_is_a(kind, value) for value in values),
            f"must be {_KINDS[kind].lower()}, parted by commas",
        )


def _is_a(kind: Any, text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _typed(hint: Any, value: Any) -> Any:
    """A flag's value as the type of its field."""
    if isinstance(value, list):
        return tuple(hint.__args__[0](item.strip()) for item in value)
    return value
