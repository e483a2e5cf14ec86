"""Transcribe any number of recordings on a cluster: a Beam pipeline from files to MIDI files.

Recordings are matched, read and their notes written through Beam's file systems, so they may lie wherever Beam can read
(a shared folder, gs://, s3://, hdfs://). Every worker process loads the model once.
"""

from __future__ import annotations

import json
import posixpath
import re
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

import apache_beam
from apache_beam.io import fileio, filesystems
from apache_beam.utils import shared

from tfamt.errors import InputError
from tfamt.notes.midi import write_midi
from tfamt.transcription.transcriber import Transcriber

# Parts of Beam's own code come without types.
beam: Any = apache_beam
FileSystems: Any = filesystems.FileSystems
Shared: Any = shared.Shared


class Result(TypedDict):
    """What became of a recording: how many notes it has, that it was done before, or what is wrong with it."""

    recording: str
    state: str
    notes: int
    problem: str


class TranscribeFiles(apache_beam.DoFn):
    """Recordings to MIDI files; gives a `Result` each and never fails for a recording's sake.

    Args:
      base: the part of the recordings' names that their results' names lack.
      output: the folder of the results, in any of Beam's file systems.
      weights: a weights file that workers can read; None: the model in the package.
      overwrite: whether recordings whose results are there are transcribed again.
    """

    def __init__(self, base: str, output: str, weights: str | None, overwrite: bool):
        self._base = base
        self._output = output
        self._weights = weights
        self._overwrite = overwrite
        self._shared = Shared()

    def setup(self) -> None:
        """Load the model, if no other thread of this process has."""
        self._transcriber = self._shared.acquire(lambda: Transcriber.load(self._weights))

    def process(self, recording: str) -> Iterator[Result]:
        """Transcribe one recording."""
        target = target_of(recording, self._base, self._output)
        try:
            if not self._overwrite and FileSystems.exists(target):
                yield Result(recording=recording, state="there already", notes=0, problem="")
                return
            with FileSystems.open(recording, compression_type="uncompressed") as file:
                content = file.read()
            notes = self._transcriber.transcribe(content)
            with tempfile.TemporaryDirectory() as folder:
                write_midi(notes, Path(folder, "notes.mid"))
                _deliver(Path(folder, "notes.mid").read_bytes(), target)
        except (InputError, OSError) as error:
            problem = str(error).removeprefix("<bytes>: ")
            yield Result(recording=recording, state="failed", notes=0, problem=problem)
        else:
            yield Result(recording=recording, state="done", notes=len(notes), problem="")


def target_of(recording: str, base: str, output: str) -> str:
    """Return the place of a recording's MIDI file: its name with its ending, so that a.wav and a.mp3 do not collide."""
    path: str = FileSystems.join(
        output, *f"{recording.removeprefix(base)}.mid".strip("/").split("/")
    )
    return path


def _deliver(content: bytes, target: str) -> None:
    """Write a file whole or not at all: workers may be lost, and runners may give an item to two of them."""
    temporary = f"{target}.{uuid.uuid4().hex}.part"
    folder = posixpath.dirname(target)
    if not FileSystems.exists(folder):
        try:
            FileSystems.mkdirs(folder)
        except OSError:
            # Another worker was first, or there is no such thing as a folder.
            if not FileSystems.exists(folder):
                raise
    with FileSystems.create(temporary, "application/octet-stream", "uncompressed") as file:
        file.write(content)
    if FileSystems.exists(target):
        FileSystems.delete([target])
    FileSystems.rename([temporary], [target])


def steps(
    pattern: str, output: str, report: str, *, weights: str | None = None, overwrite: bool = False
) -> Any:
    """Return the pipeline from files of a pattern to MIDI files in `output` and `Result`s as JSON in `report`-*."""
    base = base_of(pattern)
    return (
        fileio.MatchFiles(pattern, fileio.EmptyMatchTreatment.DISALLOW)
        | beam.Map(lambda match: match.path)
        # Without it a runner may fuse the steps and give all recordings to one worker.
        | beam.Reshuffle()
        | beam.ParDo(TranscribeFiles(base, output, weights, overwrite))
        | beam.Map(json.dumps)
        | beam.io.WriteToText(report, file_name_suffix=".jsonl")
    )


def base_of(pattern: str) -> str:
    """Return the folder above the first part of a name that is a pattern."""
    plain = re.split(r"[*?\[{]", pattern, maxsplit=1)[0]
    return plain[: plain.rfind("/") + 1]


def matching(pattern: str) -> list[str]:
    """Return the files that match a pattern."""
    return [file.path for match in FileSystems.match([pattern]) for file in match.metadata_list]


def read_report(report: str) -> Sequence[Result]:
    """Return the results of `steps`, failures first, then by name."""
    results: list[Result] = []
    for path in matching(f"{report}-*.jsonl"):
        with FileSystems.open(path) as file:
            results += [json.loads(line) for line in file.read().splitlines()]
    return sorted(results, key=lambda result: (result["state"] != "failed", result["recording"]))
