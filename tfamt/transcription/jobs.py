"""Find the recordings of a batch, and plan where their results go."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfamt import audio
from tfamt.audio.formats import AUDIO_SUFFIXES
from tfamt.errors import InputError
from tfamt.utils.output_paths import check_output_path


@dataclass(frozen=True)
class FoundRecording:
    """A recording that was asked for.

    Attributes:
      path: where it is.
      place: where its results go below an output folder, without suffix: its name, or its path within the folder
        that was searched.
    """

    path: Path
    place: Path

    def stem(self, output_dir: str | None) -> Path:
        """Return the path of its results without endings: in the output folder, or beside the recording."""
        return Path(output_dir, self.place) if output_dir else self.path.with_suffix("")


@dataclass(frozen=True)
class TranscriptionJob:
    """A recording of `duration` seconds, and its results by kind ("mid", "csv", "json", "png", "wav")."""

    recording: Path
    duration: float
    outputs: dict[str, Path]


def find(names: Iterable[str]) -> tuple[list[FoundRecording], list[InputError]]:
    """Return the recordings of names: files, folders (all recordings below them), patterns (with **).

    Returns:
      Recordings in the order of the names, those of a folder or pattern sorted; and what was wrong with names that
      stand for none.
    """
    found: list[FoundRecording] = []
    problems: list[InputError] = []
    for name in names:
        recordings = list(_find_one(name))
        if not recordings:
            problems.append(
                InputError(
                    "holds no recordings" if os.path.isdir(name) else "matches no file",
                    path=name,
                    fix=f"Recordings are files ending in {', '.join(AUDIO_SUFFIXES)}.",
                )
            )
        found += recordings
    return found, problems


def _find_one(name: str) -> Iterator[FoundRecording]:
    path = Path(name)
    if not name:
        return
    # A file such as "take[1].wav" is itself, not a pattern.
    if path.is_dir() and path.suffix.lower() not in AUDIO_SUFFIXES:
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file():
                yield FoundRecording(file, file.relative_to(path).with_suffix(""))
    elif glob.has_magic(name) and not path.exists():
        for match in sorted(glob.glob(name, recursive=True)):
            if os.path.isfile(match):
                yield FoundRecording(Path(match), Path(Path(match).stem))
    else:
        yield FoundRecording(path, Path(path.stem))


def read_list(path: str | os.PathLike[str]) -> list[str]:
    """Read the names in a file that holds one in each line; empty lines are skipped.

    Raises:
      InputError: it cannot be read, is no text, or holds no name.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"cannot be read ({reason})", path=path) from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError("names no recordings", path=path, fix="Write one name in each line.")
    return names


def plan(
    recordings: list[FoundRecording],
    endings: Mapping[str, str],
    output_dir: str | None,
    *,
    done: frozenset[Path] = frozenset(),
    replaceable: frozenset[str] = frozenset(),
    overwrite: bool = False,
) -> tuple[list[TranscriptionJob], list[InputError]]:
    """Plan the output files, and find what cannot be done, before any work is done.

    Args:
      recordings: what is to be transcribed.
      endings: of the results' names, by kind.
      output_dir: where results go; None: beside each recording.
      done: recordings that need not be transcribed.
      replaceable: files (absolute paths) that may be replaced, even without `overwrite`.
      overwrite: whether existing files may be replaced.
    """
    stems = [found.stem(output_dir) for found in recordings]
    count = Counter(stems)
    jobs: list[TranscriptionJob] = []
    problems: list[InputError] = []
    for found, stem in zip(recordings, stems, strict=True):
        if found.path in done:
            continue
        paths = output_paths(stem, endings)
        try:
            if count[stem] > 1:
                raise InputError(
                    "shares its name with another recording: their results would collide",
                    path=found.path,
                    fix="Transcribe them in separate calls into different folders.",
                )
            duration = audio.probe(found.path).duration
            for path in paths.values():
                check_output_path(path, overwrite=overwrite or os.path.abspath(path) in replaceable)
        except InputError as error:
            problems.append(error)
        else:
            jobs.append(TranscriptionJob(found.path, duration, paths))
    return jobs, problems


def output_paths(stem: Path, endings: Mapping[str, str]) -> dict[str, Path]:
    """Return the output files by kind."""
    return {kind: stem.with_name(stem.name + ending) for kind, ending in endings.items()}
