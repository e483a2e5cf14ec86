"""Describe a prepared data set as text and as a picture, from the shards' indices."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pipelines.preparation.index import read_manifest
from pipelines.readers.recordings import SPLITS
from tfamt.errors import InputError
from tfamt.notes.table import HIGHEST_PITCH, LOWEST_PITCH
from tfamt.utils.atomic_files import atomic_path

_BAR = 40
_MOST_POLYPHONY = 16
_COLOURS = {"train": "#2a6f97", "validation": "#e09f3e", "test": "#9e2a2b"}
_OCTAVE = 12


@dataclass
class Contents:
    """Sums over a split.

    Attributes:
      recordings: how many.
      seconds: of audio.
      pitches: number of notes by MIDI pitch.
      polyphony: seconds by number of notes that sound at once.
    """

    recordings: int = 0
    seconds: float = 0.0
    pitches: Counter[int] = field(default_factory=Counter)
    polyphony: dict[int, float] = field(default_factory=dict)

    @property
    def notes(self) -> int:
        """Return number of notes."""
        return self.pitches.total()

    @property
    def beyond_piano(self) -> int:
        """Return notes of pitches that a piano does not have: stored, but left out of piano rolls."""
        return sum(
            count
            for pitch, count in self.pitches.items()
            if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH
        )

    def add(self, index: dict[str, Any]) -> None:
        """Add a shard, of which this is the index."""
        self.recordings += len(index["recordings"])
        self.seconds += index["seconds"]
        self.pitches.update({int(pitch): count for pitch, count in index["pitches"].items()})
        for number, seconds in index["polyphony"].items():
            self.polyphony[int(number)] = self.polyphony.get(int(number), 0.0) + seconds


@dataclass(frozen=True)
class Description:
    """A prepared data set.

    Attributes:
      manifest: content of manifest.json.
      splits: those that have recordings.
    """

    manifest: dict[str, Any]
    splits: dict[str, Contents]


def read_description(folder: Path) -> Description:
    """Read manifest and indices of a prepared data set.

    Raises:
      InputError: the folder is no finished prepared data set.
    """
    manifest = read_manifest(folder)
    splits = {split: Contents() for split in SPLITS}
    for shard in manifest["shards"]:
        path = folder / shard.replace(".tfrecord", ".index.json")
        try:
            splits[shard.split("-")[0]].add(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"cannot be read ({error})", path=path) from error
    return Description(manifest, {name: item for name, item in splits.items() if item.recordings})


def format_text(description: Description) -> str:
    """Return tables of the splits, then histograms of pitches by octave and of polyphony."""
    manifest, splits = description.manifest, description.splits
    lines = [
        f"Data set {manifest['data_set']}, licence {', '.join(manifest['licence'])}; "
        f"{manifest['left_out']} files or recordings left out (report.txt)",
        "",
        f"{'split':<12}{'recordings':>12}{'hours':>10}{'notes':>12}{'notes/s':>9}",
    ]
    for name, item in splits.items():
        rate = item.notes / item.seconds
        lines.append(
            f"{name:<12}{item.recordings:>12}{item.seconds / 3600:>10.2f}{item.notes:>12}{rate:>9.1f}"
        )
        if item.beyond_piano:
            lines.append(
                f"{'':<12}{item.beyond_piano} of these notes lie outside pitches "
                f"{LOWEST_PITCH}..{HIGHEST_PITCH}: no piano roll has them"
            )
    lines += ["", "Pitches: share of notes by octave", *_bars(splits, _octaves)]
    lines += [
        "",
        "Polyphony: share of time by number of notes that sound",
        *_bars(splits, _polyphony),
    ]
    return "\n".join(lines)


def draw(description: Description, path: Path) -> None:
    """Write the histograms as a PNG.

    Raises:
      InputError: the file cannot be written.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    hours, pitch, polyphony = figure.subplot_mosaic(
        [["hours", "pitch"], ["hours", "polyphony"]], width_ratios=[1, 3]
    ).values()
    for number, (name, item) in enumerate(description.splits.items()):
        colour = _COLOURS[name]
        hours.bar(number, item.seconds / 3600, color=colour)
        label = f"{item.recordings} recordings\n{item.notes:,} notes"
        hours.annotate(label, (number, item.seconds / 3600), ha="center", va="bottom", fontsize=8)
        keys = range(LOWEST_PITCH, HIGHEST_PITCH + 1)
        shares = [100 * item.pitches[key] / max(item.notes, 1) for key in keys]
        pitch.step(keys, shares, where="mid", color=colour, label=name)
        numbers = range(_MOST_POLYPHONY + 1)
        time = [100 * share for share in _polyphony(item).values()]
        polyphony.plot(numbers, time, "o-", color=colour, label=name, markersize=4)
    hours.set_xticks(range(len(description.splits)), list(description.splits))
    hours.margins(y=0.15)
    hours.set(ylabel="hours", title=f"Data set {description.manifest['data_set']}")
    octaves = range(24, HIGHEST_PITCH + 1, _OCTAVE)
    pitch.set_xticks(octaves, [f"C{key // _OCTAVE - 1}" for key in octaves])
    pitch.set(xlabel="pitch", ylabel="% of notes", title="Pitches")
    ticks = [*map(str, range(_MOST_POLYPHONY)), f"{_MOST_POLYPHONY}+"]
    polyphony.set_xticks(range(_MOST_POLYPHONY + 1), ticks)
    polyphony.set(xlabel="notes that sound at once", ylabel="% of time", title="Polyphony")
    pitch.legend(frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _bars(splits: dict[str, Contents], shares: Any) -> list[str]:
    columns = {name: shares(item) for name, item in splits.items()}
    labels = list(next(iter(columns.values())))
    most = max(max(column.values()) for column in columns.values()) or 1.0
    lines = []
    for label in labels:
        for row, (name, column) in enumerate(columns.items()):
            bar = "#" * round(_BAR * column[label] / most)
            heading = label if row == 0 else ""
            lines.append(f"{heading:>5}  {name:<11}{column[label]:>7.2%}  {bar}".rstrip())
    return lines


def _octaves(item: Contents) -> dict[str, float]:
    octaves = range(LOWEST_PITCH // _OCTAVE, HIGHEST_PITCH // _OCTAVE + 1)
    counts = dict.fromkeys(octaves, 0)
    for key, count in item.pitches.items():
        # MusicNet has a few notes that no piano has.
        counts[min(max(key // _OCTAVE, octaves[0]), octaves[-1])] += count
    return {f"C{octave - 1}": counts[octave] / max(item.notes, 1) for octave in octaves}


def _polyphony(item: Contents) -> dict[str, float]:
    shares = {str(number): 0.0 for number in range(_MOST_POLYPHONY)} | {f"{_MOST_POLYPHONY}+": 0.0}
    for number, seconds in item.polyphony.items():
        label = str(number) if number < _MOST_POLYPHONY else f"{_MOST_POLYPHONY}+"
        shares[label] += seconds / item.seconds
    return shares
