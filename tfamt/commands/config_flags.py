"""Define every field of a `Config` as a command-line flag: --<section>_<field>."""

from __future__ import annotations

import dataclasses
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

from tfamt.config import SECTIONS, Config
from tfamt.config_fields import help_text
from tfamt.errors import InputError
from tfamt.presets import PRESETS, preset

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar("Section", bound="DataclassInstance")
_KINDS = {int: "whole numbers", float: "numbers", str: "names"}


def define_config_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define --preset and a flag for each field; without a flag the preset's value stays."""
    text = f"Config to start from: {', '.join(PRESETS)}. Default: icpr2020_mel."
    flags.DEFINE_string("preset", "icpr2020_mel", text, values)
    for section in SECTIONS:
        define_field_flags(section, values=values)


def define_field_flags(section: str, *names: str, values: flags.FlagValues = flags.FLAGS) -> None:
    """Define flags for these fields of a section; for all of them if none is named."""
    section_type = _section_type(section)
    hints = typing.get_type_hints(section_type)
    for name in names or hints:
        _define(f"{section}_{name}", hints[name], help_text(section_type, name), values)


def config_from_flags() -> Config:
    """Return the preset with the flags' changes.

    Raises:
      InputError: there is no such preset, or a value is out of range.
    """
    return override_by_flags(preset(flags.FLAGS.preset))


def override_by_flags(config: Config, values: flags.FlagValues = flags.FLAGS) -> Config:
    """Return a config with the flags' changes.

    Raises:
      InputError: a value is out of range.
    """
    changed = {name: changed_by_flags(name, getattr(config, name), values) for name in SECTIONS}
    # All at once, since sections are checked against each other.
    return dataclasses.replace(config, **changed)


def changed_by_flags(
    section: str, fields: Section, values: flags.FlagValues = flags.FLAGS
) -> Section:
    """Return a section with the flags' changes.

    Raises:
      InputError: a value is out of range.
    """
    given = {}
    for name, hint in typing.get_type_hints(_section_type(section)).items():
        flag = f"{section}_{name}"
        if flag in values and (value := values[flag].value) is not None:
            given[name] = _typed(hint, value)
    try:
        return dataclasses.replace(fields, **given)
    except OverflowError as error:
        raise InputError(f"{section} has a number that is too large ({error})") from error


def _section_type(section: str) -> type:
    found: type = typing.get_type_hints(Config)[section]
    return found


def _define(name: str, hint: Any, text: str, values: flags.FlagValues) -> None:
    if hint is bool:
        flags.DEFINE_bool(name, None, text, values)
    elif hint is int:
        flags.DEFINE_integer(name, None, text, flag_values=values)
    elif hint is float:
        flags.DEFINE_float(name, None, text, flag_values=values)
    elif hint is str:
        flags.DEFINE_string(name, None, text, values)
    else:
        kind = hint.__args__[0]
        flags.DEFINE_list(name, None, f"{text} Comma-separated {_KINDS[kind]}.", values)
        flags.register_validator(  # type: ignore[no-untyped-call]
            name,
            lambda items: items is None or all(_is_a(kind, item) for item in items),
            f"must be {_KINDS[kind]}, separated by commas",
            flag_values=values,
        )


def _is_a(kind: Any, text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _typed(hint: Any, value: Any) -> Any:
    """Return a flag's value as the type of its field."""
    if isinstance(value, list):
        return tuple(hint.__args__[0](item.strip()) for item in value)
    return value
