"""Transcribe a stream of bytes, such as standard input, into files."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

from tfamt.audio.read_ahead import read_ahead
from tfamt.audio.stream import NAME, open_stream
from tfamt.batch.options import FileResult, ModelSource, OutputOptions
from tfamt.batch.result_writer import ResultWriter
from tfamt.errors import IncompleteError
from tfamt.notes.table import Notes, Row
from tfamt.plots.overview import Overview
from tfamt.transcription.jobs import TranscriptionJob, output_paths
from tfamt.transcription.streaming import StreamingTranscriber
from tfamt.utils.output_paths import make_folder
from tfamt.utils.temporary import remove_leftovers


def transcribe_stream(
    stream: BufferedReader,
    outputs: OutputOptions = OutputOptions(),  # noqa: B008
    *,
    model: ModelSource = ModelSource(),  # noqa: B008
    listener: Callable[[Notes], None] | None = None,
) -> FileResult:
    """Transcribe audio from a stream of bytes into files named "stdin", as `bin/transcribe -` does.

    Where there are such files, and they may not be replaced, the names are "stdin-2", "stdin-3" and so on. The stream
    is read from the beginning of this call, while the model is being loaded.

    Args:
      stream: a wav is transcribed as it comes, other kinds after their end.
      outputs: which files to write.
      model: which model to use.
      listener: called with notes as soon as they are final.

    Raises:
      InputError: the stream is no audio, a file exists already, or the model cannot be loaded.
      IncompleteError: the stream breaks off, and `outputs.partial` is false.
    """
    with read_ahead(stream) as ahead:
        return _transcribe(ahead, outputs, model, listener)


def _transcribe(
    stream: BufferedReader,
    outputs: OutputOptions,
    model: ModelSource,
    listener: Callable[[Notes], None] | None,
) -> FileResult:
    if outputs.folder:
        make_folder(outputs.folder)
    paths = _output_paths(outputs)
    irreplaceable = frozenset() if outputs.overwrite else frozenset(paths.values())
    job = TranscriptionJob(Path(NAME), 0.0, paths, irreplaceable)
    job.check_outputs()
    remove_leftovers(outputs.folder or ".")
    transcriber, overview = model.load(), Overview()
    writer = ResultWriter(transcriber, outputs, model.name_of(transcriber))
    rows: list[Row] = []
    samples = 0
    fault: IncompleteError | None = None

    def receive(notes: Notes) -> None:
        rows.extend(notes)
        if listener:
            listener(notes)

    with open_stream(stream) as source:
        streaming = StreamingTranscriber(
            transcriber,
            sample_rate=source.sample_rate,
            listener=lambda output: writer.draw(overview, output),
        )
        try:
            for chunk in source.chunks:
                samples += len(chunk)
                receive(streaming.push(chunk))
        except IncompleteError as error:
            if not outputs.partial:
                raise
            fault = error
        receive(streaming.finish())
    job = dataclasses.replace(job, duration=samples / source.sample_rate)
    writer.deliver(Notes.from_rows(rows), job, overview)
    return FileResult(job.recording, paths, len(rows), fault)


def _output_paths(outputs: OutputOptions) -> dict[str, Path]:
    """Return the files by kind, under the first number that no file has."""
    for number in itertools.count(1):
        name = "stdin" if number == 1 else f"stdin-{number}"
        paths = output_paths(Path(outputs.folder or ".", name), outputs.endings)
        if outputs.overwrite or not any(map(os.path.lexists, paths.values())):
            break
    return paths
