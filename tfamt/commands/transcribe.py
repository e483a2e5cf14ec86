"""Turns recordings of piano into MIDI.

Usage: bin/transcribe [flags] RECORDING [RECORDING ...]

Reads wav, flac, ogg and mp3 of any rate and number of channels. Writes RECORDING.mid beside each recording, or into
--output_dir; more with --csv, --json, --png and --wav. Nothing that exists is replaced without --overwrite.

Exit code 1 if a recording could not be transcribed; the others are done all the same.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from tfamt.commands.app import report, run
from tfamt.errors import InputError

if TYPE_CHECKING:
    from tfamt.notes import Notes
    from tfamt.transcription import Frames, Transcriber

_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder for the results; made if missing.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file; default: the model in the package.")
_SERVER = flags.DEFINE_string(
    "server",
    None,
    "Let a model run on a server with TensorFlow Serving: grpc://HOST:PORT/MODEL or http://HOST:PORT/MODEL.",
)
_SERVER_TIMEOUT = flags.DEFINE_float(
    "server_timeout", 60.0, "Seconds to wait for each answer of --server.", lower_bound=0.1
)
_PROGRAM = flags.DEFINE_integer("program", 0, "General MIDI program of the track.", 0, 127)
_CSV = flags.DEFINE_bool("csv", False, "Also write the notes as .csv.")
_JSON = flags.DEFINE_bool("json", False, "Also write the notes, and how they were made, as .json.")
_PNG = flags.DEFINE_bool("png", False, "Also draw spectrogram, piano roll and notes as .png.")
_WAV = flags.DEFINE_bool("wav", False, "Also play the notes into a .notes.wav.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether existing files may be replaced.")


@dataclasses.dataclass(frozen=True)
class Job:
    """A recording of `duration` seconds, and its results by kind ("mid", "csv", "json", "png", "wav")."""

    recording: Path
    duration: float
    targets: dict[str, Path]


def main(argv: list[str]) -> int:
    """The command; returns its exit code."""
    recordings = [Path(name) for name in argv[1:]]
    if not recordings:
        raise InputError("no recording was given", fix="Usage: bin/transcribe RECORDING ...")
    if _SERVER.value and (_WEIGHTS.value or _PNG.value):
        raise InputError(
            "--server goes without --weights, since the server has its own, and without --png, since it sends no "
            "spectrogram"
        )
    jobs, problems = plan(recordings)
    for problem in problems:
        report(problem)
    failed = len(problems)
    if not jobs:
        return 1
    transcriber = _load_transcriber()
    for number, job in enumerate(jobs, start=1):
        try:
            notes = _transcribe(
                transcriber, job, f"[{number}/{len(jobs)}] " if len(jobs) > 1 else ""
            )
            print(f"{job.recording}: {len(notes)} notes -> {job.targets['mid']}", flush=True)
        except InputError as error:
            report(error)
            failed += 1
    return 1 if failed else 0


def _load_transcriber() -> Transcriber:
    if _SERVER.value:
        from tfamt.serving_client import remote_transcriber

        return remote_transcriber(_SERVER.value, timeout=_SERVER_TIMEOUT.value)
    from tfamt.transcription import Transcriber

    return Transcriber.load(_WEIGHTS.value)


def plan(recordings: list[Path]) -> tuple[list[Job], list[InputError]]:
    """Finds out where everything goes, and what cannot be done, before any work is done."""
    from tfamt.audio import probe
    from tfamt.targets import check_target, make_folder

    stems = Counter(_stem(recording) for recording in recordings)
    if _OUTPUT_DIR.value:
        make_folder(_OUTPUT_DIR.value)
    jobs: list[Job] = []
    problems: list[InputError] = []
    for recording in recordings:
        stem = _stem(recording)
        targets = {kind: stem.with_name(stem.name + end) for kind, end in _endings()}
        try:
            if stems[stem] > 1:
                raise InputError(
                    "shares its name with another recording: their results would collide",
                    path=recording,
                    fix="Transcribe them in separate calls into different folders.",
                )
            duration = probe(recording).duration
            for target in targets.values():
                check_target(target, overwrite=_OVERWRITE.value)
        except InputError as error:
            problems.append(error)
        else:
            jobs.append(Job(recording, duration, targets))
    return jobs, problems


def _stem(recording: Path) -> Path:
    """What the names of a recording's results begin with."""
    folder = Path(_OUTPUT_DIR.value) if _OUTPUT_DIR.value else recording.parent
    return folder / recording.stem


def _endings() -> Iterator[tuple[str, str]]:
    yield "mid", ".mid"
    for kind, flag in (("csv", _CSV), ("json", _JSON), ("png", _PNG)):
        if flag.value:
            yield kind, f".{kind}"
    if _WAV.value:
        # The recording itself may be a .wav.
        yield "wav", ".notes.wav"


def _transcribe(transcriber: Transcriber, job: Job, label: str) -> Notes:
    stretches: list[Frames] = []
    with _progress(f"{label}{job.recording.name}", job.duration) as advance:

        def listen(frames: Frames) -> None:
            advance(min(frames.seconds, job.duration))
            if _PNG.value:
                stretches.append(frames)

        notes = transcriber.transcribe(job.recording, listener=listen)
    with _delivered_together(job) as places:
        _write(notes, places, transcriber, job, stretches)
    return notes


def _write(
    notes: Notes,
    places: dict[str, Path],
    transcriber: Transcriber,
    job: Job,
    stretches: list[Frames],
) -> None:
    import numpy as np

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
            spectrogram=np.concatenate([frames.spectrogram for frames in stretches]),
            pianoroll=np.concatenate([frames.rolls["pianoroll"] for frames in stretches]),
            frames_per_second=transcriber.grid.frames_per_second,
            title=job.recording.name,
        )
    if "wav" in places:
        outputs.write_wav(notes, places["wav"], duration=job.duration)


@contextmanager
def _delivered_together(job: Job) -> Iterator[dict[str, Path]]:
    """Places to write to; moved to the job's targets when all are written, so that none is there without the others."""
    folder = job.targets["mid"].parent
    try:
        with tempfile.TemporaryDirectory(prefix=".tfamt-", dir=folder) as temporary:
            places = {kind: Path(temporary) / target.name for kind, target in job.targets.items()}
            yield places
            for kind, place in places.items():
                os.replace(place, job.targets[kind])
    except OSError as error:
        raise InputError(
            f"cannot be written to ({error.strerror or error})",
            path=folder,
            fix="Choose another folder with --output_dir.",
        ) from error


@contextmanager
def _progress(label: str, seconds: float) -> Iterator[Callable[[float], None]]:
    """A bar with the time left, on a terminal only; gives a function that takes the seconds done."""
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s, {remaining} left"
    with tqdm(
        total=round(seconds, 3), desc=label, disable=None, leave=False, bar_format=form
    ) as bar:

        def advance(done: float) -> None:
            bar.update(done - bar.n)

        yield advance


def cli() -> None:
    """Entry point of the console script."""
    run(main)


if __name__ == "__main__":
    cli()
