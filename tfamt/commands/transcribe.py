"""Transcribe recordings of piano into MIDI.

Usage: bin/transcribe [flags] RECORDING [RECORDING ...]

A RECORDING is an audio or video file (wav, flac, mp3, m4a, ogg, opus, mp4 and others), a folder, a pattern such as
"takes/**/*.wav", or - for standard input. Writes RECORDING.mid beside each recording, or into --output_dir; more with
--csv, --json, --png and --wav. Existing files are replaced with --overwrite only.

With --journal=FILE an interrupted batch resumes when it is started again: recordings that FILE records as
done are skipped, unless recording, weights or settings have changed since. Results that FILE records are replaced.

Standard input: a wav is transcribed as it comes, other kinds after their end. Each note is written to standard output
as soon as it is final, a line "onset,offset,pitch,velocity", and all notes into stdin.mid, or stdin-2.mid and so on if
that exists; --window_frames=128 gives notes sooner. Velocity is relative to the loudness so far, with files to that of
the whole recording.

A folder stands for all recordings below it. In folders and patterns, hidden files and the sound that --wav made are no
recordings, and links to folders are not followed. A file that several names stand for is transcribed once.

Exit code 1 if a recording could not be transcribed; the others are transcribed all the same. A recording that is
truncated or damaged is one of them; with --partial it is transcribed up to there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from absl import flags

from tfamt import batch
from tfamt.batch.options import FileResult, ModelSource, OutputOptions
from tfamt.commands.app import report, run
from tfamt.errors import IncompleteError, InputError, printable
from tfamt.transcription.jobs import read_list

if TYPE_CHECKING:
    from io import BufferedReader

    from tfamt.notes.table import Notes

_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Folder for the results, made if missing. Default: beside each recording."
)
_LIST = flags.DEFINE_string("list", None, "File that names recordings, one in each line.")
_JOURNAL = flags.DEFINE_string(
    "journal", None, "File that records what is done, so that an interrupted batch can resume."
)
flags.DEFINE_alias("manifest", "journal")
_PARALLEL = flags.DEFINE_integer("parallel", 2, "Recordings to transcribe at a time.", 1)
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file. Default: the model in the package.")
_PRECISION = flags.DEFINE_string(
    "precision",
    "auto",
    "Number format of the network: float32, mixed_bfloat16, or auto for the faster one on this processor.",
)
_SERVER = flags.DEFINE_string(
    "server",
    None,
    "Run the model on TensorFlow Serving: grpc://HOST:PORT/MODEL or http://HOST:PORT/MODEL.",
)
_SERVER_TIMEOUT = flags.DEFINE_float(
    "server_timeout", 60.0, "Seconds to wait for each answer of --server.", lower_bound=0.1
)
_WINDOW = flags.DEFINE_integer(
    "window_frames", None, "Frames per window. Default: the number in the model's config.", 1
)
_PROGRAM = flags.DEFINE_integer("program", 0, "General MIDI program of the track.", 0, 127)
_CSV = flags.DEFINE_bool("csv", False, "Also write the notes as .csv.")
_JSON = flags.DEFINE_bool("json", False, "Also write the notes and their provenance as .json.")
_PNG = flags.DEFINE_bool("png", False, "Also draw spectrogram, piano roll and notes as .png.")
_WAV = flags.DEFINE_bool("wav", False, "Also synthesise the notes into a .notes.wav.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace existing files.")

_PARTIAL = flags.DEFINE_bool(
    "partial", False, "Transcribe recordings that break off up to there; the exit code is still 1."
)

STDIN = "-"


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    names = argv[1:] + (read_list(_LIST.value) if _LIST.value else [])
    if not names:
        raise InputError("no recording was given", fix="Usage: bin/transcribe RECORDING ...")
    own = (flags.FLAGS[name] for name in ("weights", "window_frames", "precision"))
    if _SERVER.value and (_PNG.value or any(flag.present for flag in own)):
        raise InputError(
            "--server goes without --weights, --window_frames and --precision, since the server has its own, and "
            "without --png, since it sends no spectrogram"
        )
    model = ModelSource(
        _WEIGHTS.value,
        _WINDOW.value,
        _PRECISION.value,
        _SERVER.value,
        _SERVER_TIMEOUT.value,
    )
    kinds = {flag.name: flag.value for flag in (_CSV, _JSON, _PNG, _WAV)}
    outputs = OutputOptions(
        _OUTPUT_DIR.value,
        program=_PROGRAM.value,
        overwrite=_OVERWRITE.value,
        partial=_PARTIAL.value,
        **kinds,
    )
    if STDIN in names:
        return _transcribe_stdin(names, outputs, model)
    results = batch.transcribe_files(
        names,
        outputs,
        model=model,
        journal=_JOURNAL.value,
        parallel=_PARALLEL.value,
        listener=_show,
    )
    skipped = sum(result.skipped for result in results)
    if skipped:
        print(f"{skipped} done already", flush=True)
    return 1 if any(result.error for result in results) else 0


def _show(result: FileResult, number: int, total: int) -> None:
    """Print what became of a recording."""
    recording = printable(result.recording)
    if result.error:
        place = result.error.path
        about_recording = not place or Path(place) == result.recording
        report(result.error if about_recording else f"{recording}: {result.error}")
    if result.left_out:
        print(f"{recording}: {result.left_out}", flush=True)
    elif result.outputs and not result.skipped:
        label = f"[{number}/{total}] " if total > 1 else ""
        print(f"{label}{recording}: {_summary(result)}", flush=True)


def _summary(result: FileResult) -> str:
    """Return how many notes were written, of which part, and where."""
    part = (
        f" until {result.error.seconds:.3f} s" if isinstance(result.error, IncompleteError) else ""
    )
    return f"{result.notes} notes{part} -> {printable(result.outputs['mid'])}"


def _transcribe_stdin(names: list[str], outputs: OutputOptions, model: ModelSource) -> int:
    if names != [STDIN] or _JOURNAL.value:
        raise InputError("standard input (-) goes alone, and without --journal")
    if sys.stdin is None:
        raise InputError("standard input is closed", fix="Pipe a recording into this command.")
    print(
        "listening to standard input while the model is being loaded", file=sys.stderr, flush=True
    )

    def write(notes: Notes) -> None:
        for onset, offset, pitch, velocity in notes:
            print(f"{onset:.6f},{offset:.6f},{pitch},{velocity}", flush=True)

    result = batch.transcribe_stream(
        cast("BufferedReader", sys.stdin.buffer), outputs, model=model, listener=write
    )
    if result.error:
        report(result.error)
    print(_summary(result), file=sys.stderr)
    return 1 if result.error else 0


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
