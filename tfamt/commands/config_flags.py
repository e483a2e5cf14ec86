"""Every field of a `Config` as a command-line flag: --<section>_<field>."""

from __future__ import annotations

import dataclasses
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.presets import preset

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar("Section", bound="DataclassInstance")
_KINDS = {int: "Whole numbers", float: "Numbers", str: "Names"}
_SECTIONS = ("spectrogram", "model", "loss", "training", "inference", "decoding")


def define_config_flags() -> None:
    """Defines --preset and a flag for each field; a flag that is not given leaves the preset's value."""
    flags.DEFINE_string("preset", "icpr2020_mel", "The config to start from.")
    for section in _SECTIONS:
        define_field_flags(section)


def define_field_flags(section: str, *names: str) -> None:
    """Defines flags for these fields of a section; for all of them if none is named."""
    hints = _hints(section)
    for name in names or hints:
        _define(f"{section}_{name}", hints[name])


def config_from_flags() -> Config:
    """The preset with the flags' changes.

    Raises:
      InputError: there is no such preset, or a value is out of range.
    """
    config = preset(flags.FLAGS.preset)
    changed = {name: changed_by_flags(name, getattr(config, name)) for name in _SECTIONS}
    # All at once, since sections are checked against each other.
    return dataclasses.replace(config, **changed)


def changed_by_flags(section: str, fields: Section) -> Section:
    """What the flags for a section of a config make of it.

    Raises:
      InputError: a value is out of range.
    """
    values = {}
    for name, hint in _hints(section).items():
        flag = f"{section}_{name}"
        if flag in flags.FLAGS and (value := flags.FLAGS[flag].value) is not None:
            values[name] = _typed(hint, value)
    try:
        return dataclasses.replace(fields, **values)
    except OverflowError as error:
        raise InputError(f"{section} has a number that is too large ({error})") from error


def _hints(section: str) -> dict[str, Any]:
    return typing.get_type_hints(typing.get_type_hints(Config)[section])


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
