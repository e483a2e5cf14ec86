"""Find the recordings that names stand for: files, folders and patterns."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfamt import notes
from tfamt.audio.formats import AUDIO_SUFFIXES
from tfamt.errors import InputError, printable
from tfamt.utils.unicode_names import composed, existing_form

SOUND_ENDING = ".notes.wav"
"""Of notes that were synthesised beside their recording, which may be a .wav itself."""
_RESULT_SUFFIXES = (".mid", ".csv", ".json", ".png")
"""Of the other results, which a pattern such as "takes/*" matches too."""


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
        return Path(output_dir, self.place) if output_dir else without_suffix(self.path)


@dataclass(frozen=True)
class SearchResult:
    """What names stand for.

    Attributes:
      recordings: in the order of the names, those of a folder or pattern sorted; each file once.
      problems: what is wrong with names and folders.
      left_out: files and folders that are not transcribed though nothing is wrong with them, and why.
    """

    recordings: list[FoundRecording] = field(default_factory=list)
    problems: list[InputError] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)


def find(names: Iterable[str]) -> SearchResult:
    """Return the recordings of names: files, folders (all recordings below them), patterns (with **).

    Hidden files and folders count only where a name or a pattern spells their dot. Links to files are followed, links
    to folders only where they are named.
    """
    result = SearchResult()
    first: dict[object, Path] = {}
    names = list(names)
    for name in names:
        problems = len(result.problems)
        recordings = list(_find_one(name, result))
        if not recordings and problems == len(result.problems):
            result.problems.append(_nothing_found(name))
        for recording in recordings:
            known = first.setdefault(_identity(recording.path), recording.path)
            if known is recording.path:
                result.recordings.append(recording)
            elif os.path.abspath(known) != os.path.abspath(recording.path):
                result.left_out[recording.path] = f"is the same file as {printable(known)}"
    # What is left out of a folder may be named by itself.
    folders = [path for path in map(existing_form, names) if os.path.isdir(path)]
    for path in [*folders, *(recording.path for recording in result.recordings)]:
        result.left_out.pop(path, None)
    return result


def without_suffix(path: Path) -> Path:
    """Return a path without the suffix of audio files. "Sonata No.1" has none: the dot belongs to the name."""
    if path.suffix.lower() not in AUDIO_SUFFIXES or not path.stem.strip("."):
        return path
    return path.with_suffix("")


def _nothing_found(name: str) -> InputError:
    return InputError(
        "holds no recordings" if os.path.isdir(name) else "matches no file",
        path=name,
        fix=f"Recordings are files ending in {', '.join(AUDIO_SUFFIXES)}.",
    )


def _identity(path: Path) -> object:
    """Return a key that the names of one file share: its path behind all links, or its number among several names."""
    try:
        status = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    except ValueError:  # No name of a file.
        return os.fspath(path)
    return (status.st_dev, status.st_ino) if status.st_nlink > 1 else os.path.realpath(path)


def _find_one(name: str, result: SearchResult) -> Iterator[FoundRecording]:
    if not name:
        return
    path = existing_form(name)
    if os.path.isdir(path):
        # Files come before links, so that a recording keeps the name of its file.
        for file in sorted(_files_below(path, result), key=lambda file: (file.is_symlink(), file)):
            if file.suffix.lower() in AUDIO_SUFFIXES and not _is_own_sound(file, result):
                yield FoundRecording(file, without_suffix(file.relative_to(path)))
    # A file such as "take[1].wav" is itself, not a pattern.
    elif glob.has_magic(name) and not os.path.lexists(path):
        anchor, parts = path.anchor, path.parts[1:] if path.anchor else path.parts
        for file in sorted(set(_matches(Path(anchor), parts, result))):
            if file.suffix.lower() not in _RESULT_SUFFIXES and not _is_own_sound(file, result):
                yield FoundRecording(file, without_suffix(Path(file.name)))
    else:
        yield FoundRecording(path, without_suffix(Path(path.name)))


def _is_own_sound(path: Path, result: SearchResult) -> bool:
    """Return whether a file is an output of --wav, not a recording; record why if that is no more than likely."""
    if not path.name.lower().endswith(SOUND_ENDING) or not path.is_file():
        return False
    if notes.is_synthesised(path):
        return True
    stem = os.fspath(path)[: -len(SOUND_ENDING)]
    for suffix in AUDIO_SUFFIXES:
        for recording in (Path(stem + suffix), Path(stem + suffix.upper())):
            if recording.is_file():
                result.left_out[path] = (
                    f"is taken for the notes of {printable(recording)} as sound; name the file itself to transcribe it"
                )
                return True
    return False


def _files_below(folder: Path, result: SearchResult) -> Iterator[Path]:
    for place, _, files in _walk(folder, result):
        yield from (Path(place, name) for name in files if not name.startswith("."))


def _walk(folder: Path, result: SearchResult) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield visible folders, themselves first, as os.walk does; record what is not entered."""
    for place, folders, files in os.walk(folder, onerror=_reporter(result)):
        visible = [name for name in folders if not name.startswith(".")]
        links = {name for name in visible if os.path.islink(os.path.join(place, name))}
        for name in sorted(links):
            result.left_out[Path(place, name)] = (
                "is a link to a folder; name it to transcribe the recordings there"
            )
        folders[:] = [name for name in visible if name not in links]
        yield place, folders, files


def _matches(folder: Path, parts: Sequence[str], result: SearchResult) -> Iterator[Path]:
    """Yield the files below a folder whose paths match a pattern, part by part."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        for place, _, _ in _walk(folder, result):
            yield from _matches(Path(place), rest or ("*",), result)
        return
    for name in _matching_names(folder, part, result) if glob.has_magic(part) else [part]:
        path = folder / name
        if not rest:
            yield from [path] if os.path.lexists(path) and not os.path.isdir(path) else []
        elif os.path.isdir(path):
            yield from _matches(path, rest, result)


def _matching_names(folder: Path, pattern: str, result: SearchResult) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        _reporter(result)(error)
        return []
    # Names that macOS gives to the metadata of files begin with "._"; no pattern means them.
    hidden = "._" if pattern.startswith(".") else "."
    return [
        name
        for name in names
        if not name.startswith(hidden) and fnmatch.fnmatchcase(composed(name), composed(pattern))
    ]


def _reporter(result: SearchResult) -> Callable[[OSError], None]:
    def record(error: OSError) -> None:
        problem = InputError(
            f"cannot be searched ({error.strerror})",
            path=error.filename,
            fix="Check the permissions of the folder.",
        )
        result.problems.append(problem)

    return record
