"""Plan what a batch does: which recordings, and where their results go."""

from __future__ import annotations

import codecs
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfamt import audio
from tfamt.errors import InputError, printable
from tfamt.transcription.recording_search import FoundRecording
from tfamt.utils.output_paths import check_output_path
from tfamt.utils.unicode_names import composed, existing_form

_MAX_DETAIL = 300
"""Characters of an unexpected error that are shown: some print whole tensors."""


@dataclass(frozen=True)
class TranscriptionJob:
    """A recording and its results.

    Attributes:
      recording: its file.
      duration: its length in seconds, an estimate where its header states none.
      outputs: its results by kind ("mid", "csv", "json", "png", "wav").
      irreplaceable: those of them that must not exist.
    """

    recording: Path
    duration: float
    outputs: dict[str, Path]
    irreplaceable: frozenset[Path]

    def check_outputs(self) -> None:
        """Refuse results that must not be written.

        Raises:
          InputError: as `check_output_path`.
        """
        for path in self.outputs.values():
            check_output_path(path, overwrite=path not in self.irreplaceable)


def read_list(path: str | os.PathLike[str]) -> list[str]:
    """Read the names in a file that holds one in each line, in any encoding of names; empty lines are skipped.

    Raises:
      InputError: it cannot be read, is no text, or holds no name.
    """
    try:
        content = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error
    if b"\0" in content:
        raise InputError(
            "is no list of names", path=path, fix="Write one name in each line, as UTF-8 text."
        )
    # Not splitlines, which also divides at characters that names may hold.
    lines = [os.fsdecode(line.removesuffix(b"\r")) for line in content.split(b"\n")]
    names = [line if os.path.lexists(line) else line.strip() for line in lines]
    if not any(names):
        raise InputError("names no recordings", path=path, fix="Write one name in each line.")
    return [name for name in names if name]


def plan(
    recordings: list[FoundRecording],
    endings: Mapping[str, str],
    output_dir: str | None,
    *,
    done: frozenset[Path] = frozenset(),
    replaceable: frozenset[str] = frozenset(),
    overwrite: bool = False,
) -> tuple[list[TranscriptionJob], dict[Path, InputError]]:
    """Plan the output files, and find what cannot be done, before any work is done.

    Args:
      recordings: what is to be transcribed.
      endings: of the results' names, by kind.
      output_dir: where results go; None: beside each recording.
      done: recordings that need not be transcribed.
      replaceable: files (absolute paths in NFC) that may be replaced, even without `overwrite`.
      overwrite: whether existing files may be replaced.

    Returns:
      The jobs, and the problems by recording.
    """
    inputs = frozenset(composed(os.path.abspath(found.path)) for found in recordings)
    sharing: dict[str, list[Path]] = defaultdict(list)
    for found in recordings:
        sharing[composed(os.path.abspath(found.stem(output_dir)))].append(found.path)
    jobs: list[TranscriptionJob] = []
    problems: dict[Path, InputError] = {}
    for found in recordings:
        if found.path in done:
            continue
        stem = found.stem(output_dir)
        try:
            _require_own_name(found.path, sharing[composed(os.path.abspath(stem))])
            outputs = output_paths(stem, endings)
            names = {path: composed(os.path.abspath(path)) for path in outputs.values()}
            _spare_recordings(found.path, names, inputs)
            irreplaceable = frozenset(
                path for path, name in names.items() if not overwrite and name not in replaceable
            )
            info = audio.probe(found.path)
            job = TranscriptionJob(found.path, info.duration, outputs, irreplaceable)
            job.check_outputs()
        except ImportError:
            # Ctrl-C while a native module is being loaded comes out as one.
            raise
        except Exception as error:
            problems[found.path] = failure(found.path, error)
        else:
            jobs.append(job)
    return jobs, problems


def _require_own_name(recording: Path, sharing: list[Path]) -> None:
    if len(sharing) > 1:
        other = next(path for path in sharing if path != recording)
        raise InputError(
            f"shares its name with {printable(other)}: their results would collide",
            path=recording,
            fix="Transcribe them in separate calls into different folders.",
        )


def _spare_recordings(recording: Path, names: Mapping[Path, str], inputs: frozenset[str]) -> None:
    """Refuse results in the place of recordings, which `overwrite` does not mean."""
    for path, name in names.items():
        if name in inputs:
            raise InputError(
                f"would put a result in the place of the recording {printable(path)}",
                path=recording,
                fix="Choose another folder with --output_dir.",
            )


def output_paths(stem: Path, endings: Mapping[str, str]) -> dict[str, Path]:
    """Return the output files by kind, under the names (NFC or NFD) that they have if they exist."""
    return {
        kind: existing_form(stem.with_name(stem.name + ending)) for kind, ending in endings.items()
    }


def failure(recording: Path, error: Exception) -> InputError:
    """Return the report of any exception that ended the work on one recording."""
    if isinstance(error, InputError):
        return error if error.path else InputError(error.problem, path=recording, fix=error.fix)
    detail = " ".join(str(error).split())[:_MAX_DETAIL]
    cause = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
    report = InputError(f"cannot be transcribed ({cause})", path=recording)
    report.__cause__ = error
    return report
