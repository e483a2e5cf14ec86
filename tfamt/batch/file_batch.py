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
from tfamt.transcription.jobs import TranscriptionJob, failure, output_paths, plan
from tfamt.transcription.journal import Journal
from tfamt.transcription.recording_search import FoundRecording, find
from tfamt.transcription.resources import limit_arenas
from tfamt.utils.output_paths import make_folder
from tfamt.utils.temporary import remove_leftovers


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

    What a killed batch has left in the folders of the results is deleted; what a running one uses is not.

    Args:
      recordings: files, folders (all recordings below them) and patterns such as "takes/**/*.wav". A file that several
        names stand for is transcribed once.
      outputs: which files to write.
      model: which model to use.
      journal: file that records what is done. A batch with a journal resumes where it was interrupted: recordings whose
        file, model and options are unchanged, and whose results exist, are skipped.
      parallel: recordings at a time.
      listener: called in the caller's thread with each result, its number, and how many there will be.

    Returns:
      One result for each recording, for each name without recordings, and for each file and folder that is left out, in
      completion order.

    Raises:
      InputError: no name was given, the folder or the journal cannot be written, or the model cannot be loaded.
    """
    names = [os.fspath(name) for name in recordings]
    if not names:
        raise InputError("no recording was given", fix="Name a file, a folder or a pattern.")
    limit_arenas()
    if outputs.folder:
        # Before the journal, which may be in it.
        make_folder(outputs.folder)
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
    """Return the jobs to do, and results for what is done already, cannot be done, or is left out."""
    search = find(names)
    folder = os.fspath(outputs.folder) if outputs.folder else None
    done = _done(search.recordings, outputs, folder, journal) if journal else {}
    jobs, problems = plan(
        search.recordings,
        outputs.endings,
        folder,
        done=frozenset(done),
        replaceable=journal.own() if journal else frozenset(),
        overwrite=outputs.overwrite,
    )
    for place in {found.stem(folder).parent for found in search.recordings}:
        remove_leftovers(place)
    problems |= _make_folders(jobs)
    results = [FileResult(Path(error.path or ""), {}, error=error) for error in search.problems]
    results += [FileResult(path, {}, error=error) for path, error in problems.items()]
    results += [FileResult(path, {}, left_out=why) for path, why in search.left_out.items()]
    jobs = [job for job in jobs if job.recording not in problems]
    return jobs, results + [FileResult(path, paths, skipped=True) for path, paths in done.items()]


def _make_folders(jobs: list[TranscriptionJob]) -> dict[Path, InputError]:
    """Make the folders of all results; return the problems by recording."""
    problems = {}
    for job in jobs:
        try:
            make_folder(job.outputs["mid"].parent)
        except InputError as error:
            problems[job.recording] = error
    return problems


def _done(
    recordings: list[FoundRecording],
    outputs: OutputOptions,
    folder: str | None,
    journal: Journal,
) -> dict[Path, dict[str, Path]]:
    """Return the results of the recordings that are done, according to the journal."""
    results = {
        found.path: output_paths(found.stem(folder), outputs.endings) for found in recordings
    }
    return {path: paths for path, paths in results.items() if journal.is_done(path, paths.values())}


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
                    result = future.result()
                # One recording may exhaust the memory, or find a fault of a library.
                except Exception as error:
                    report = failure(job.recording, error)
                    result = FileResult(job.recording, {}, error=report)
                    if journal:
                        journal.failed(job.recording, str(report))
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
