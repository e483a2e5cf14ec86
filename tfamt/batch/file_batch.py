"""Transcribe many recordings into files, several at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from tfamt.batch.options import FileResult, ModelSource, OutputOptions
from tfamt.batch.result_writer import ResultWriter
from tfamt.errors import InputError
from tfamt.transcription.jobs import TranscriptionJob, find, output_paths, plan
from tfamt.transcription.journal import Journal
from tfamt.transcription.resources import limit_arenas
from tfamt.utils.output_paths import make_folder


def transcribe_files(
    recordings: Iterable[str | os.PathLike[str]],
    outputs: OutputOptions = OutputOptions(),  # noqa: B008
    *,
    model: ModelSource = ModelSource(),  # noqa: B008
    journal: str | os.PathLike[str] | None = None,
    parallel: int = 2,
    listener: Callable[[FileResult, int, int], None] | None = None,
) -> list[FileResult]:
    """Transcribe recordings into files, as bin/transcribe does; a recording that fails does not stop the others.

    Args:
      recordings: files, folders (all recordings below them) and patterns such as "takes/**/*.wav".
      outputs: which files to write.
      model: which model to use.
      journal: file that records what is done. A batch with a journal resumes where it was interrupted: recordings whose
        file, model and options are unchanged, and whose results exist, are skipped.
      parallel: recordings at a time.
      listener: called in the caller's thread with each result, its number, and how many there will be.

    Returns:
      One result for each recording, and for each name without recordings, in completion order.

    Raises:
      InputError: no name was given, the folder or the journal cannot be written, or the model cannot be loaded.
    """
    names = [os.fspath(name) for name in recordings]
    if not names:
        raise InputError("no recording was given", fix="Name a file, a folder or a pattern.")
    limit_arenas()
    with _open_journal(journal, model, outputs) as entries:
        jobs, results = _plan(names, outputs, entries)
        for result in results:
            if listener:
                listener(result, 0, len(jobs))
        if jobs:
            results += _run(jobs, outputs, model, entries, parallel, listener)
    return results


@contextmanager
def _open_journal(
    path: str | os.PathLike[str] | None, model: ModelSource, outputs: OutputOptions
) -> Iterator[Journal | None]:
    if not path:
        yield None
        return
    settings = {
        **model.fingerprint(),
        "program": outputs.program,
        "kinds": sorted(outputs.endings),
    }
    journal = Journal(path, settings)
    try:
        yield journal
    finally:
        journal.close()


def _plan(
    names: list[str], outputs: OutputOptions, journal: Journal | None
) -> tuple[list[TranscriptionJob], list[FileResult]]:
    """Return the jobs to do, and results for what is done already or cannot be done."""
    found, problems = find(names)
    folder = os.fspath(outputs.folder) if outputs.folder else None
    if folder:
        make_folder(folder)
    done = {
        recording.path: output_paths(recording.stem(folder), outputs.endings)
        for recording in found
        if journal
        and journal.is_done(
            recording.path, output_paths(recording.stem(folder), outputs.endings).values()
        )
    }
    jobs, more = plan(
        found,
        outputs.endings,
        folder,
        done=frozenset(done),
        replaceable=journal.own() if journal else frozenset(),
        overwrite=outputs.overwrite,
    )
    for place in {job.outputs["mid"].parent for job in jobs}:
        make_folder(place)
    failed = [FileResult(Path(error.path or ""), {}, error=error) for error in problems + more]
    return jobs, failed + [FileResult(path, paths, skipped=True) for path, paths in done.items()]


def _run(
    jobs: list[TranscriptionJob],
    outputs: OutputOptions,
    model: ModelSource,
    journal: Journal | None,
    parallel: int,
    listener: Callable[[FileResult, int, int], None] | None,
) -> list[FileResult]:
    """Work on several recordings at a time with one model."""
    parallel = min(parallel, len(jobs))
    transcriber = model.load(parallel)
    stopping = threading.Event()
    results = []
    with (
        progress_bar(sum(job.duration for job in jobs)) as advance,
        ThreadPoolExecutor(parallel) as pool,
    ):
        writer = ResultWriter(transcriber, outputs, model.name_of(transcriber), journal)
        futures = {pool.submit(writer.transcribe, job, advance, stopping): job for job in jobs}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                job = futures[future]
                try:
                    result = FileResult(job.recording, job.outputs, future.result())
                except InputError as error:
                    result = FileResult(job.recording, {}, error=error)
                    if journal:
                        journal.failed(job.recording, str(error))
                results.append(result)
                if listener:
                    listener(result, number, len(jobs))
        except BaseException:
            stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
    return results


@contextmanager
def progress_bar(seconds: float) -> Iterator[Callable[[float], None]]:
    """Show a bar with the time left, on a terminal only; yield a function that adds seconds of audio to it."""
    form = "{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s, {remaining} left"
    with tqdm(total=round(seconds, 3), disable=None, leave=False, bar_format=form) as bar:
        lock = threading.Lock()

        def advance(more: float) -> None:
            with lock:
                bar.update(more)

        yield advance
