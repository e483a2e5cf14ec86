"""Define every field of a `Config` as a command-line flag: --<section>_<field>."""

from __future__ import annotations

import dataclasses
import os
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

from tfamt.config import SECTIONS, Config
from tfamt.config_fields import help_text
from tfamt.errors import InputError, reason_of
from tfamt.network.weights import load_weights
from tfamt.presets import PRESETS, preset

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar("Section", bound="DataclassInstance")
_KINDS = {int: "whole numbers", float: "numbers", str: "names"}


def define_config_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define --preset, --name and a flag for each field; without a flag the value of the config stays."""
    text = f"Config to start from: {', '.join(PRESETS)}. Default: icpr2020_mel."
    flags.DEFINE_string("preset", "icpr2020_mel", text, values)
    flags.DEFINE_string("name", None, "Name of the model, instead of that of its config.", values)
    for section in SECTIONS:
        define_field_flags(section, values=values)


def define_field_flags(section: str, *names: str, values: flags.FlagValues = flags.FLAGS) -> None:
    """Define flags for these fields of a section; for all of them if none is named."""
    section_type = _section_type(section)
    hints = typing.get_type_hints(section_type)
    for name in names or hints:
        _define(f"{section}_{name}", hints[name], help_text(section_type, name), values)


def config_from_flags(
    weights: str | None = None, run_dir: str | os.PathLike[str] | None = None
) -> tuple[Config, list[str]]:
    """Return the config of a run, and how the flags change what its weights or its folder state.

    It starts from --preset where that is given, else from the config in `weights`, else from that of the run so far,
    else from the default preset.

    Args:
      weights: weights file that the run begins with.
      run_dir: folder of the run.

    Returns:
      The config, and a line for each field that the flags change; none where it starts from a preset.

    Raises:
      InputError: there is no such preset, a file cannot be read, or a value is out of range.
    """
    stored = None if flags.FLAGS["preset"].present else _stored_config(weights, run_dir)
    config = override_by_flags(stored[0] if stored else preset(flags.FLAGS.preset))
    if flags.FLAGS["name"].present:
        config = dataclasses.replace(config, name=flags.FLAGS.name)
    return config, _changes(*stored, config) if stored else []


def _stored_config(
    weights: str | None, run_dir: str | os.PathLike[str] | None
) -> tuple[Config, str] | None:
    """Return a config and the file that it comes from; None if there is none."""
    if weights:
        return load_weights(weights)[0], weights
    path = os.path.join(run_dir, "config.json") if run_dir else None
    if not path or not os.path.isfile(path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return Config.from_json(file.read()), path
    except InputError as error:
        raise InputError(error.problem, path=path, fix="Delete it if it is damaged.") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read ({reason_of(error)})", path=path, fix="Delete it if it is damaged."
        ) from error


def _changes(stored: Config, source: str, config: Config) -> list[str]:
    """Return a line for each field that differs, training settings aside."""
    lines = []
    for section in SECTIONS:
        if section == "training":
            continue
        before, now = (dataclasses.asdict(getattr(each, section)) for each in (stored, config))
        lines += [
            f"{section}_{name} is {now[name]}, in {source} {value}"
            for name, value in before.items()
            if now[name] != value
        ]
    return lines


def describe_presets() -> str:
    """Return a line for each preset: its name, input and network."""
    lines = []
    for name, config in PRESETS.items():
        spectrogram, model = config.spectrogram, config.model
        parts = [
            f"{spectrogram.kind} of {spectrogram.bins} bins",
            f"U-net of {','.join(map(str, model.channels))} channels",
            f"heads {', '.join(model.heads)}",
            "with reconstruction" if model.reconstruction else "without reconstruction",
        ]
        lines.append(f"{name:<22} {'; '.join(parts)}")
    return "\n".join(lines)


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
