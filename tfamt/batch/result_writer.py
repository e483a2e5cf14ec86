"""Transcribe one recording and deliver its files together."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfamt import plots
from tfamt.batch.options import FileResult, OutputOptions
from tfamt.errors import IncompleteError, InputError
from tfamt.notes.midi import write_midi
from tfamt.notes.sonify import write_wav
from tfamt.notes.table import Notes
from tfamt.notes.tables import Provenance, write_csv, write_json
from tfamt.plots.overview import Overview
from tfamt.transcription.jobs import TranscriptionJob
from tfamt.transcription.journal import Journal
from tfamt.transcription.transcriber import ModelOutput, Transcriber
from tfamt.utils.temporary import temporary_folder
from tfamt.version import __version__


class StoppedError(Exception):
    """The batch ends before this recording is done."""


@dataclass(frozen=True)
class ResultWriter:
    """Transcribe recordings and deliver their files."""

    transcriber: Transcriber
    options: OutputOptions
    model_name: str
    journal: Journal | None = None

    def transcribe(
        self, job: TranscriptionJob, advance: Callable[[float], None], stopping: threading.Event
    ) -> FileResult:
        """Transcribe one recording and deliver its files.

        Raises:
          InputError: the recording cannot be used, or breaks off and parts are not wanted; or a file cannot be written.
          StoppedError: `stopping` was set.
        """
        overview = Overview()
        done = last = 0.0

        def listener(output: ModelOutput) -> None:
            nonlocal done, last
            if stopping.is_set():
                raise StoppedError
            last = output.seconds
            seconds = min(last, job.duration)
            advance(seconds - done)
            done = seconds
            self.draw(overview, output)

        faults: list[IncompleteError] | None = [] if self.options.partial else None
        notes = self.transcriber.transcribe(job.recording, listener=listener, faults=faults)
        fault = faults[0] if faults else None
        if fault:
            job = dataclasses.replace(job, duration=fault.seconds)
        elif not 0 <= last - job.duration <= 1 / self.transcriber.grid.frames_per_second:
            # The header's estimate does not end within the last frame.
            job = dataclasses.replace(job, duration=last)
        self.deliver(notes, job, overview)
        if self.journal and fault:
            self.journal.failed(job.recording, str(fault))
        elif self.journal:
            self.journal.done(job.recording, job.outputs.values(), len(notes))
        return FileResult(job.recording, job.outputs, len(notes), fault)

    def draw(self, overview: Overview, output: ModelOutput) -> None:
        """Add the output of a window to the picture, if there will be one."""
        if not self.options.png:
            return
        if output.spectrogram is None:
            raise InputError("a picture needs the spectrogram, which this backend does not return")
        overview.add(output.spectrogram, output.rolls["pianoroll"])

    def deliver(self, notes: Notes, job: TranscriptionJob, overview: Overview) -> None:
        """Write all files beside each other, then move them to their places, so that none is there without the rest."""
        folder = job.outputs["mid"].parent
        try:
            with temporary_folder(folder) as temporary:
                # Not the names of the results, to which writers add their own letters.
                places = {
                    kind: temporary / f"notes{path.suffix}" for kind, path in job.outputs.items()
                }
                with _named_after(job.outputs, places):
                    self._write(notes, places, job, overview)
                # Another program may have written there meanwhile.
                job.check_outputs()
                if self.journal:
                    self.journal.started(job.recording, job.outputs.values())
                for kind, place in places.items():
                    os.replace(place, job.outputs[kind])
        except OSError as error:
            raise InputError(
                f"cannot be written to ({error.strerror or error})",
                path=folder,
                fix="Choose another folder with --output_dir.",
            ) from error

    def _write(
        self, notes: Notes, places: dict[str, Path], job: TranscriptionJob, overview: Overview
    ) -> None:
        write_midi(notes, places["mid"], program=self.options.program)
        if "csv" in places:
            write_csv(notes, places["csv"])
        if "json" in places:
            decoding = dataclasses.asdict(self.transcriber.config.decoding)
            provenance = Provenance(
                job.recording.name, job.duration, self.model_name, __version__, decoding
            )
            write_json(notes, places["json"], provenance)
        if "png" in places:
            plots.write_png(
                notes,
                places["png"],
                spectrogram=overview.spectrogram,
                pianoroll=overview.pianoroll,
                frames_per_second=self.transcriber.grid.frames_per_second,
                frames_per_column=overview.frames_per_column,
                title=job.recording.name,
            )
        if "wav" in places:
            write_wav(notes, places["wav"], duration=job.duration)


@contextlib.contextmanager
def _named_after(outputs: dict[str, Path], places: dict[str, Path]) -> Iterator[None]:
    """Let errors of files at temporary places name the results that they were to become."""
    try:
        yield
    except InputError as error:
        for kind, place in places.items():
            if error.path == str(place):
                raise InputError(error.problem, path=outputs[kind], fix=error.fix) from error
        raise
