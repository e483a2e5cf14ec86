"""Find what recordings can be rendered from: MIDI files, SoundFonts, room responses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from pipelines.readers import maestro
from pipelines.readers.recordings import SPLITS, LeftOut, Recording, Source
from pipelines.readers.sources import find_sources
from pipelines.rendering.fluidsynth import check_soundfont
from tfamt.errors import InputError
from tfamt.notes.midi import MIDI_SUFFIXES

SOUNDFONT_SUFFIXES = (".sf2", ".sf3")
NEED_SOUNDFONTS = (
    "Debian and Ubuntu: apt-get install timgm6mb-soundfont fluid-soundfont-gm "
    "(in /usr/share/sounds/sf2)."
)


def find_midi(
    root: str, split: str | None, *, follow_links: bool = False
) -> tuple[list[Recording], list[LeftOut]]:
    """Return recordings without a piano yet: of one split, or of all splits of MAESTRO's table; and the rest."""
    sources, links = find_sources(root, follow_links=follow_links)
    if any(source.name.name.startswith("maestro-v") for source in sources):
        found, left_out = _find_maestro(root, follow_links)
        return [item for item in found if split in (None, item.split)], left_out
    midi = [source for source in sources if source.suffix in MIDI_SUFFIXES]
    return [
        Recording(
            id=_id(root, source),
            split=split or "train",
            piece=source.stem,
            group="",
            audio=source,
            labels=source,
            licence="unknown",
        )
        for source in midi
    ], links


def _find_maestro(root: str, follow_links: bool) -> tuple[list[Recording], list[LeftOut]]:
    table = maestro.read_performances(root, follow_links=follow_links)
    found: list[Recording] = []
    missing: list[LeftOut] = []
    for item in table.performances:
        if item.midi is None:
            missing.append(LeftOut(item.id, "its MIDI file is missing"))
            continue
        piece = f"{item.row.canonical_composer}: {item.row.canonical_title}"
        found.append(
            Recording(item.id, item.row.split, piece, "", item.midi, item.midi, maestro.LICENCE)
        )
    return found, [*missing, *table.left_out]


def _id(root: str, source: Source) -> str:
    place = source.name if source.member else source.name.relative_to(root)
    return str(place.with_suffix("")).replace("/", "_")


def choose_some(recordings: Sequence[Recording], pieces: int, seed: int) -> list[Recording]:
    """Return at most `pieces` of each split, by a hash: the choice of more holds the choice of fewer."""
    if pieces < 1:
        raise InputError(f"at least one piece must be rendered. Received: {pieces}")
    chosen: list[Recording] = []
    for split in SPLITS:
        members = [item for item in recordings if item.split == split]
        chosen += sorted(members, key=lambda item: hash_of(seed, "choice", item.id))[:pieces]
    return chosen


def find_files(
    paths: Sequence[str], suffixes: tuple[str, ...], kind: str, *, follow_links: bool = False
) -> tuple[list[str], list[LeftOut]]:
    """Find the files of these suffixes in folders, and named files.

    Args:
      paths: files and folders.
      suffixes: of the files in folders.
      kind: what they are, for messages.
      follow_links: whether symbolic links that lead out of a folder are followed.

    Returns:
      The files, and the links that were not followed.

    Raises:
      InputError: a file or folder does not exist.
    """
    found: list[str] = []
    left_out: list[LeftOut] = []
    for path in paths:
        if os.path.isdir(path):
            sources, links = find_sources(path, follow_links=follow_links)
            found += [
                source.path
                for source in sources
                if source.member is None and source.path.lower().endswith(suffixes)
            ]
            left_out += links
        elif os.path.isfile(path):
            found.append(path)
        else:
            raise InputError(f"there is no such {kind}", path=path)
    # By name, so that the choice does not depend on where the files lie.
    real = {os.path.realpath(file) for file in found}
    return sorted(real, key=lambda file: (Path(file).name, file)), left_out


def usable_soundfonts(soundfonts: Sequence[str]) -> tuple[dict[str, float], list[LeftOut]]:
    """Return the SoundFonts of which every key sounds, with their lag, and the others."""
    usable: dict[str, float] = {}
    useless: list[LeftOut] = []
    for font in soundfonts:
        lag, silent = check_soundfont(font)
        if silent:
            keys = ", ".join(map(str, silent))
            useless.append(LeftOut(font, f"these keys make no sound: {keys}"))
        else:
            usable[font] = round(lag, 6)
    if not usable:
        raise InputError("there is no usable SoundFont (.sf2, .sf3)", fix=NEED_SOUNDFONTS)
    return usable, useless


def hash_of(seed: int, purpose: str, name: str) -> int:
    """Return a number below 2^64 for a purpose, from seed and name alone."""
    text = f"{seed}/{purpose}/{name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
