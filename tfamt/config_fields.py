"""Describe the fields of a config: help text, unit and bounds, from which checks, flags and documentation follow."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfamt.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_KEY = "setting"


@dataclass(frozen=True)
class Setting:
    """The description of a field.

    Attributes:
      help: what it is, in sentences that stand alone.
      unit: of a number; "" for none.
      minimum: smallest value allowed.
      above: bound that values must exceed.
      below: bound that values must stay under.
      maximum: largest value allowed.
      choices: values allowed of a name.
    """

    help: str
    unit: str = ""
    minimum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    maximum: float | None = None

    @property
    def bounds(self) -> str:
        """Return the values allowed, in words; "" if all are."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.above is not None and self.below is not None:
            return f"between {self.above:g} and {self.below:g}"
        lower = f"greater than {self.above:g}" if self.above is not None else ""
        if self.minimum is not None:
            lower = f"{self.minimum:g} or more"
        upper = f"below {self.below:g}" if self.below is not None else ""
        if self.maximum is not None:
            upper = f"at most {self.maximum:,}"
        return " and ".join(part for part in (lower, upper) if part)

    def allows(self, value: Any) -> bool:
        """Return whether a value lies within the bounds; not-a-number never does."""
        if isinstance(value, float) and math.isnan(value):
            return False
        if self.choices:
            return value in self.choices
        return (
            (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
        )


def setting(
    default: Any,
    help: str,
    unit: str = "",
    *,
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    maximum: float | None = None,
) -> Any:
    """Return a dataclass field with a `Setting` of these arguments."""
    described = Setting(help, unit, minimum, above, below, choices, maximum)
    return dataclasses.field(default=default, metadata={_KEY: described})


def settings_of(section: type) -> dict[str, Setting]:
    """Return the description of every field of a section, by name."""
    return {item.name: item.metadata[_KEY] for item in dataclasses.fields(section)}


def check_fields(section: str, values: DataclassInstance) -> None:
    """Compare all fields of a section with their bounds; lists item by item.

    Raises:
      InputError: a value lies outside.
    """
    for name, described in settings_of(type(values)).items():
        value = getattr(values, name)
        for item in value if isinstance(value, tuple) else (value,):
            if not described.allows(item):
                bounds = described.bounds or "a number"
                raise InputError(f"{section}_{name} must be {bounds}. Received: {item!r}")


def help_text(section: type, name: str) -> str:
    """Return what a field is, its unit, the values allowed and its default."""
    described = settings_of(section)[name]
    (default,) = (item.default for item in dataclasses.fields(section) if item.name == name)
    parts = [described.help]
    if described.unit:
        parts.append(f"Unit: {described.unit}.")
    if described.bounds:
        parts.append(f"Allowed: {described.bounds}.")
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default).lower()
    parts.append(f"Default: {shown or 'none'} (icpr2020_mel).")
    return " ".join(parts)


def from_dict(cls: type, data: Any, where: str) -> Any:
    """Build the dataclass `cls` from a dict of JSON values.

    Raises:
      InputError: a name is unknown, or a value has another type or lies out of range.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where} must be an object of named values. Received: {data!r}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise InputError(f"{where} has no field {', '.join(unknown)}. Known: {', '.join(hints)}")
    try:
        return cls(
            **{key: _typed(hints[key], value, f"{where}.{key}") for key, value in data.items()}
        )
    except OverflowError as error:
        raise InputError(f"{where} holds a number that is too large ({error})") from error


def _typed(hint: Any, value: Any, where: str) -> Any:
    """Return a JSON value as the type of a field."""
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return from_dict(hint, value, where)
    if isinstance(hint, types.GenericAlias) and hint.__origin__ is tuple:
        if not isinstance(value, list):
            raise InputError(f"{where} must be a list. Received: {value!r}")
        return tuple(_typed(hint.__args__[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise InputError(f"{where} must be of type {hint.__name__}. Received: {value!r}")
    return value
