"""Keep the config and the metrics of a run beside its checkpoints, so that it resumes faithfully."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfamt.config import Config
from tfamt.config_migration import migrate
from tfamt.errors import InputError, reason_of
from tfamt.utils.atomic_files import atomic_write

_DECIDES_WEIGHTS = ("spectrogram", "model")


def check_or_write_config(folder: Path, config: Config, *, write: bool = True) -> list[str]:
    """Write the config of a run to its folder, after comparing it with that of an earlier start.

    Args:
      folder: the run folder.
      config: of this start.
      write: whether to write it; of several workers only one does.

    Returns:
      The changes since, a line each.

    Raises:
      InputError: the network or its input has changed, which no checkpoint fits.
    """
    path = folder / "config.json"
    changes = changes_since(path, dataclasses.asdict(config))
    wrong = [line for line in changes if line.startswith(_DECIDES_WEIGHTS)]
    if wrong:
        raise InputError(
            f"the run was begun with another network: {'; '.join(wrong)}",
            path=path,
            fix="Go on with the config it has, or name another --run_dir.",
        )
    if write:
        atomic_write(path, config.to_json())
    return changes


def check_or_write_settings(
    folder: Path, settings: Mapping[str, Any], *, write: bool = True
) -> list[str]:
    """Do the same for data and augmentation, whose changes are reported, never refused."""
    path = folder / "settings.json"
    changes = changes_since(path, settings, complete="data.")
    if write:
        atomic_write(path, json.dumps(settings, indent=2) + "\n")
    return changes


def changes_since(
    path: Path, now: Mapping[str, Any], *, complete: str | tuple[str, ...] = ()
) -> list[str]:
    """Return how fields differ from those in a JSON file, a line each; none if there is no such file.

    Args:
      path: the file.
      now: the fields of now, anything that JSON can hold.
      complete: prefixes of dotted names of which the file holds all fields, so that a new one counts as a change. Any
        other field that is newer than the file has the value that it always had.

    Raises:
      InputError: the file is damaged.
    """
    try:
        before = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read ({error})", path=path, fix="Delete it if it is damaged."
        ) from error
    if isinstance(before, dict):
        before = migrate(before)
    old, new = flatten(before), flatten(json.loads(json.dumps(now)))
    compared = old.keys() | {name for name in new if name.startswith(complete)}
    return [
        f"{name} was {old.get(name)}, is {new.get(name)}"
        for name in sorted(compared)
        if old.get(name) != new.get(name)
    ]


def flatten(value: Any, name: str = "") -> dict[str, Any]:
    """Flatten nested objects to one with dotted names."""
    if not isinstance(value, dict):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= flatten(item, f"{name}.{key}" if name else key)
    return flat


class MetricsLog:
    """Write metrics.jsonl of a run: a line for each report, {"step", "group", and the scalars}.

    The lines depend on the run alone, so a run that was killed and resumed has the very same ones.
    """

    def __init__(self, folder: Path):
        self.path = folder / "metrics.jsonl"

    def append(self, step: int, group: str, scalars: Mapping[str, float]) -> None:
        """Append a line.

        Raises:
          InputError: the file cannot be written.
        """
        line = json.dumps({"step": step, "group": group, **scalars})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(
                f"cannot be written ({reason_of(error)})",
                path=self.path,
                fix="Make room and start the command again: the run resumes from its last checkpoint.",
            ) from error

    def lines(self) -> list[dict[str, Any]]:
        """Return all whole lines; a killed process may leave the last one truncated."""
        try:
            text = self.path.read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        found = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                item = json.loads(line)
                if isinstance(item, dict) and isinstance(item.get("step"), int) and "group" in item:
                    found.append(item)
        return found

    def go_back(self, step: int) -> None:
        """Delete the lines after `step`, which will be written again."""
        kept = [line for line in self.lines() if line["step"] <= step]
        atomic_write(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def since_best(self, group: str, metric: str) -> tuple[float | None, int]:
        """Return the best value of a metric so far (larger is better), and the number of values since."""
        values = [line[metric] for line in self.lines() if line["group"] == group]
        if not values:
            return None, 0
        best = max(values)
        return best, len(values) - 1 - values.index(best)
