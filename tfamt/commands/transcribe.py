"""Turns recordings of piano into MIDI.

Usage: bin/transcribe [flags] RECORDING [RECORDING ...]

A RECORDING is a file (wav, flac, ogg or mp3 of any rate and number of channels), a folder, a pattern such as
"takes/**/*.wav", or - for standard input. Writes RECORDING.mid beside each recording, or into --output_dir; more with
--csv, --json, --png and --wav. Nothing that exists is replaced without --overwrite.

A batch of recordings with --manifest=FILE goes on where it was interrupted when it is started again: what FILE says is
done is skipped, unless recording, weights or settings have changed since. Results that FILE knows are replaced.

Standard input: a wav is transcribed as it comes, other kinds after their end. Each note is written to standard output
as soon as it is certain, "onset,offset,pitch,velocity" in a line, and all into stdin.mid; --window_frames=128 brings
them sooner. How hard keys were struck is told by the loudness so far, with files by that of the whole recording.

Exit code 1 if a recording could not be transcribed; the others are done all the same.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from absl import flags

from tfamt.batch import Job, find, plan, read_list, targets_of
from tfamt.commands.app import report, run
from tfamt.errors import InputError
from tfamt.heaps import share_heaps

if TYPE_CHECKING:
    from io import BufferedReader

    from tfamt.manifest import Manifest
    from tfamt.notes import Notes
    from tfamt.outputs import Overview
    from tfamt.transcription import Frames, Transcriber

_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder for the results; made if missing.")
_LIST = flags.DEFINE_string("list", None, "File that names recordings, one in each line.")
_MANIFEST = flags.DEFINE_string("manifest", None, "File that keeps what is done; see above.")
_PARALLEL = flags.DEFINE_integer("parallel", 2, "Recordings to work on at a time.", 1)
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file; default: the model in the package.")
_PRECISION = flags.DEFINE_string(
    "precision",
    "auto",
    "What the network computes in here: float32, mixed_bfloat16, or auto for the faster one on this processor.",
)
_SERVER = flags.DEFINE_string(
    "server",
    None,
    "Let a model run on a server with TensorFlow Serving: grpc://HOST:PORT/MODEL or http://HOST:PORT/MODEL.",
)
_SERVER_TIMEOUT = flags.DEFINE_float(
    "server_timeout", 60.0, "Seconds to wait for each answer of --server.", lower_bound=0.1
)
_WINDOW = flags.DEFINE_integer(
    "window_frames", None, "Frames the network sees at once, if not as many as its config says.", 1
)
_PROGRAM = flags.DEFINE_integer("program", 0, "General MIDI program of the track.", 0, 127)
_CSV = flags.DEFINE_bool("csv", False, "Also write the notes as .csv.")
_JSON = flags.DEFINE_bool("json", False, "Also write the notes, and how they were made, as .json.")
_PNG = flags.DEFINE_bool("png", False, "Also draw spectrogram, piano roll and notes as .png.")
_WAV = flags.DEFINE_bool("wav", False, "Also play the notes into a .notes.wav.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether existing files may be replaced.")

STDIN = "-"


def main(argv: list[str]) -> int:
    """The command; returns its exit code."""
    names = argv[1:] + (read_list(_LIST.value) if _LIST.value else [])
    if not names:
        raise InputError("no recording was given", fix="Usage: bin/transcribe RECORDING ...")
    own = (flags.FLAGS[name] for name in ("weights", "window_frames", "precision"))
    if _SERVER.value and (_PNG.value or any(flag.present for flag in own)):
        raise InputError(
            "--server goes without --weights, --window_frames and --precision, since the server has its "
            "own, and without --png, since it sends no spectrogram"
        )
    share_heaps()
    if STDIN in names:
        if names != [STDIN] or _MANIFEST.value:
            raise InputError("standard input (-) goes alone, and without --manifest")
        return _transcribe_stdin()
    with _manifest() as manifest:
        jobs, skipped, problems = _plan(names, manifest)
        for problem in problems:
            report(problem)
        if skipped:
            print(f"{skipped} done already", flush=True)
        failed = len(problems) + (_transcribe_all(jobs, manifest) if jobs else 0)
    return 1 if failed else 0


@contextmanager
def _manifest() -> Iterator[Manifest | None]:
    if not _MANIFEST.value:
        yield None
        return
    from tfamt.manifest import Manifest, file_digest
    from tfamt.version import __version__
    from tfamt.weights import shipped_weights

    settings = {
        "version": __version__,
        "weights": _SERVER.value or file_digest(_WEIGHTS.value or shipped_weights()),
        "precision": _PRECISION.value,
        "window_frames": _WINDOW.value,
        "program": _PROGRAM.value,
        "kinds": sorted(_endings()),
    }
    manifest = Manifest(_MANIFEST.value, settings)
    try:
        yield manifest
    finally:
        manifest.close()


def _plan(names: list[str], manifest: Manifest | None) -> tuple[list[Job], int, list[InputError]]:
    """The jobs to do, how many are done already, and what cannot be done."""
    from tfamt.targets import make_folder

    found, problems = find(names)
    if _OUTPUT_DIR.value:
        make_folder(_OUTPUT_DIR.value)
    own = manifest.own() if manifest else frozenset()
    done: frozenset[Path] = frozenset()
    if manifest:
        done = frozenset(
            recording.path
            for recording in found
            if manifest.is_done(
                recording.path, targets_of(recording.stem(_OUTPUT_DIR.value), _endings()).values()
            )
        )
    jobs, more = plan(
        found, _endings(), _OUTPUT_DIR.value, done=done, replaceable=own, overwrite=_OVERWRITE.value
    )
    for folder in {job.targets["mid"].parent for job in jobs}:
        make_folder(folder)
    return jobs, len(done), problems + more


def _endings() -> dict[str, str]:
    kinds = (("csv", _CSV), ("json", _JSON), ("png", _PNG))
    endings = {"mid": ".mid", **{kind: f".{kind}" for kind, flag in kinds if flag.value}}
    # The recording itself may be a .wav.
    return endings | ({"wav": ".notes.wav"} if _WAV.value else {})


def _load(recordings: int = 1) -> Transcriber:
    """What transcribes so many recordings at a time."""
    if _SERVER.value:
        from tfamt.serving_client import remote_transcriber

        return remote_transcriber(_SERVER.value, timeout=_SERVER_TIMEOUT.value)
    from tfamt.backends import share_cores
    from tfamt.transcription import Transcriber

    share_cores(recordings)
    return Transcriber.load(
        _WEIGHTS.value,
        window_frames=_WINDOW.value,
        precision=_PRECISION.value,
    )


def _transcribe_all(jobs: list[Job], manifest: Manifest | None) -> int:
    """Works on several recordings at a time with one model; returns how many could not be transcribed."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    at_a_time = min(_PARALLEL.value, len(jobs))
    transcriber = _load(at_a_time)
    stopping = threading.Event()
    failed = 0
    with (
        _progress(sum(job.duration for job in jobs)) as advance,
        ThreadPoolExecutor(at_a_time) as pool,
    ):

        def work(job: Job) -> str:
            notes = _transcribe(transcriber, job, manifest, advance, stopping)
            return f"{job.recording}: {len(notes)} notes -> {job.targets['mid']}"

        futures = {pool.submit(work, job): job for job in jobs}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                try:
                    label = f"[{number}/{len(jobs)}] " if len(jobs) > 1 else ""
                    print(f"{label}{future.result()}", flush=True)
                except InputError as error:
                    report(error)
                    failed += 1
                    if manifest:
                        manifest.failed(futures[future].recording, str(error))
        except BaseException:
            stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
    return failed


class _StoppedError(Exception):
    """The command ends before this recording is done."""


def _transcribe(
    transcriber: Transcriber,
    job: Job,
    manifest: Manifest | None,
    advance: Callable[[float], None],
    stopping: threading.Event,
) -> Notes:
    from tfamt.outputs import Overview

    overview = Overview()
    done = 0.0

    def listen(frames: Frames) -> None:
        nonlocal done
        if stopping.is_set():
            raise _StoppedError
        seconds = min(frames.seconds, job.duration)
        advance(seconds - done)
        done = seconds
        _draw(overview, frames)

    notes = transcriber.transcribe(job.recording, listener=listen)
    with _delivered_together(job, manifest) as places:
        _write(notes, places, transcriber, job, overview)
    if manifest:
        manifest.done(job.recording, job.targets.values(), len(notes))
    return notes


def _draw(overview: Overview, frames: Frames) -> None:
    if not _PNG.value:
        return
    if frames.spectrogram is None:
        raise InputError("a picture needs the spectrogram, which this backend does not tell")
    overview.add(frames.spectrogram, frames.rolls["pianoroll"])


def _transcribe_stdin() -> int:
    from tfamt.audio_stream import NAME, open_stream
    from tfamt.notes import Notes, Row
    from tfamt.outputs import Overview
    from tfamt.streaming import StreamingTranscriber
    from tfamt.targets import check_target, make_folder

    if _OUTPUT_DIR.value:
        make_folder(_OUTPUT_DIR.value)
    targets = targets_of(Path(_OUTPUT_DIR.value or ".", "stdin"), _endings())
    for target in targets.values():
        check_target(target, overwrite=_OVERWRITE.value)
    transcriber, overview = _load(), Overview()
    rows: list[Row] = []
    samples = 0

    def give(notes: Notes) -> None:
        rows.extend(notes)
        for onset, offset, pitch, velocity in notes:
            print(f"{onset:.6f},{offset:.6f},{pitch},{velocity}", flush=True)

    with open_stream(cast("BufferedReader", sys.stdin.buffer)) as stream:
        streaming = StreamingTranscriber(
            transcriber,
            sample_rate=stream.sample_rate,
            listener=lambda frames: _draw(overview, frames),
        )
        for chunk in stream.chunks:
            samples += len(chunk)
            give(streaming.push(chunk))
        give(streaming.finish())
    job = Job(Path(NAME), samples / stream.sample_rate, targets)
    with _delivered_together(job, None) as places:
        _write(Notes.from_rows(rows), places, transcriber, job, overview)
    print(f"{len(rows)} notes -> {targets['mid']}", file=sys.stderr)
    return 0


def _write(
    notes: Notes,
    places: dict[str, Path],
    transcriber: Transcriber,
    job: Job,
    overview: Overview,
) -> None:
    from tfamt import outputs
    from tfamt.midi import write_midi
    from tfamt.version import __version__

    write_midi(notes, places["mid"], program=_PROGRAM.value)
    if "csv" in places:
        outputs.write_csv(notes, places["csv"])
    if "json" in places:
        decoding = dataclasses.asdict(transcriber.config.decoding)
        model = Path(_WEIGHTS.value).name if _WEIGHTS.value else transcriber.config.name
        about = outputs.Provenance(job.recording.name, job.duration, model, __version__, decoding)
        outputs.write_json(notes, places["json"], about)
    if "png" in places:
        outputs.write_png(
            notes,
            places["png"],
            spectrogram=overview.spectrogram,
            pianoroll=overview.pianoroll,
            frames_per_second=transcriber.grid.frames_per_second,
            frames_per_column=overview.frames_per_column,
            title=job.recording.name,
        )
    if "wav" in places:
        outputs.write_wav(notes, places["wav"], duration=job.duration)


@contextmanager
def _delivered_together(job: Job, manifest: Manifest | None) -> Iterator[dict[str, Path]]:
    """Places to write to; moved to the job's targets when all are written, so that none is there without the others."""
    folder = job.targets["mid"].parent
    try:
        with tempfile.TemporaryDirectory(prefix=".tfamt-", dir=folder) as temporary:
            places = {kind: Path(temporary) / target.name for kind, target in job.targets.items()}
            yield places
            if manifest:
                manifest.started(job.recording, job.targets.values())
            for kind, place in places.items():
                os.replace(place, job.targets[kind])
    except OSError as error:
        raise InputError(
            f"cannot be written to ({error.strerror or error})",
            path=folder,
            fix="Choose another folder with --output_dir.",
        ) from error


@contextmanager
def _progress(seconds: float) -> Iterator[Callable[[float], None]]:
    """A bar with the time left, on a terminal only; gives a function that takes how many seconds more are done."""
    from tqdm import tqdm

    form = "{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s, {remaining} left"
    with tqdm(total=round(seconds, 3), disable=None, leave=False, bar_format=form) as bar:
        lock = threading.Lock()

        def advance(more: float) -> None:
            with lock:
                bar.update(more)

        yield advance


def cli() -> None:
    """Entry point of the console script."""
    run(main)


if __name__ == "__main__":
    cli()
