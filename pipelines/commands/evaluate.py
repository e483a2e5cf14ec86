"""Score transcriptions against reference notes, or a model on a prepared data set.

Usage: bin/evaluate --reference=FILE_OR_FOLDER --estimate=FILE_OR_FOLDER [flags]
       bin/evaluate --run=FOLDER --data=FOLDER --split=validation [flags]

In the first form files are MIDI (.mid, .midi, .rmi, .kar), MAPS .txt, MusicNet .csv or the .csv of bin/transcribe.
Files in folders, however deep, belong together if their names agree up to the suffix; where a folder has several
label files of one name, MIDI is taken before .txt and .csv. In the second form the model of a run (or --weights)
transcribes a split of a data set that bin/prepare made; of a model with a second pass both piano rolls are scored.

The table shows precision, recall and F1 per piece, their mean and standard deviation: of notes (onset within 50 ms),
notes with offset (and offset within 50 ms or 20 % of the length), with velocity as well (where the reference has
any), and of frames (31.25 per second). docs/evaluation.md defines every figure.

Exit code 1 if a file had no partner or could not be read; the rest is scored all the same. What was repaired or
ignored in a file that is scored is a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

from pipelines import scoring
from tfamt import evaluation, network, plots
from tfamt.commands.app import refuse_arguments, report, required, run, warn
from tfamt.errors import InputError
from tfamt.utils.output_paths import check_output_path, new_file

if TYPE_CHECKING:
    from tfamt.evaluation.results import ScoredNotes

_REFERENCE = flags.DEFINE_string("reference", None, "Label file, or folder of label files.")
_ESTIMATE = flags.DEFINE_string("estimate", None, "Transcription, or folder of transcriptions.")
_RUN = flags.DEFINE_string("run", None, "Folder of a run of bin/train, whose weights are scored.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file to score, instead of --run.")
_DATA = flags.DEFINE_list(
    "data", None, "Folders of prepared data sets (bin/prepare), separated by commas."
)
_SPLIT = flags.DEFINE_enum("split", "validation", ["validation", "test"], "What to score on.")
_DECODING = flags.DEFINE_string("decoding", None, "Decoding config that bin/tune wrote.")
_WHOLE = flags.DEFINE_bool(
    "whole_recordings",
    False,
    "With a model: each recording is scaled and transcribed in one call, not in windows; memory grows with it.",
)
_SHIFT = flags.DEFINE_string(
    "label_shift_ms",
    "0",
    "Shift in ms at which labels are scored as well; auto measures it for each piece.",
)
_JSON = flags.DEFINE_string("json", None, "File to write all figures to.")
_MARKDOWN = flags.DEFINE_string("markdown", None, "File to write the figures to as Markdown.")
_CSV = flags.DEFINE_string("csv", None, "File to write the figures to, a row per piece.")
_PNG = flags.DEFINE_string("png", None, "Picture of F1 by piece.")
_OVERLAY = flags.DEFINE_string(
    "overlay_png", None, "Picture of one piece's hits, misses and extras as a piano roll."
)
_OVERLAY_PIECE = flags.DEFINE_string(
    "overlay_piece", None, "Piece to draw; that with the median note F1 if not given."
)
_OVERLAY_START = flags.DEFINE_float("overlay_start", 0.0, "Where the picture begins, seconds.", 0.0)
_OVERLAY_SECONDS = flags.DEFINE_float("overlay_seconds", 30.0, "How much it shows.", 0.1)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether an existing file may be replaced.")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    refuse_arguments(argv)
    for path in (_JSON, _MARKDOWN, _CSV, _PNG, _OVERLAY):
        if path.value:
            check_output_path(path.value, overwrite=_OVERWRITE.value)
    shift = _label_shift()
    model = _RUN.value or _WEIGHTS.value or _DATA.value
    if model and (_REFERENCE.value or _ESTIMATE.value):
        raise InputError("give either --reference and --estimate or --run (--weights) and --data")
    result = _score_model(shift) if model else _score_files(shift)
    if _OVERLAY_PIECE.value and _OVERLAY_PIECE.value not in result.notes:
        raise InputError(f"--overlay_piece names no piece. Received: {_OVERLAY_PIECE.value}")
    _deliver(result)
    return 1 if result.evaluation.problems else 0


def _label_shift() -> float | str:
    """Return seconds, or "auto"."""
    if _SHIFT.value == "auto":
        return "auto"
    try:
        return float(_SHIFT.value) / 1000.0
    except ValueError as error:
        raise InputError(
            f"--label_shift_ms must be a number or auto. Received: {_SHIFT.value}"
        ) from error


def _score_files(shift: float | str) -> ScoredNotes:
    """Score files against files, and report those that could not be scored."""
    scored = evaluation.evaluate_files(required(_REFERENCE), required(_ESTIMATE), label_shift=shift)
    for warning in scored.evaluation.warnings:
        warn(warning)
    for problem in scored.evaluation.problems:
        report(problem)
    return scored


def _score_model(shift: float | str) -> ScoredNotes:
    return scoring.evaluate_model(
        network.weights_path(_RUN.value, _WEIGHTS.value),
        required(_DATA),
        _SPLIT.value,
        decoding=scoring.read_decoding(_DECODING.value) if _DECODING.value else None,
        whole_recordings=_WHOLE.value,
        label_shift=shift,
        show_progress=True,
    )


def _deliver(result: ScoredNotes) -> None:

    scored = result.evaluation
    print(evaluation.format_text(scored))
    for path, text in (
        (_JSON, scored.to_json),
        (_MARKDOWN, lambda: evaluation.format_markdown(scored)),
        (_CSV, lambda: evaluation.format_csv(scored)),
    ):
        if path.value:
            with new_file(path.value, overwrite=_OVERWRITE.value) as temporary:
                temporary.write_text(text(), "utf-8", "backslashreplace")
    if _PNG.value:
        plots.write_metrics_png(scored, _PNG.value, overwrite=_OVERWRITE.value)
    if _OVERLAY.value:
        _draw_overlay(result)


def _draw_overlay(result: ScoredNotes) -> None:

    pieces = result.evaluation.pieces
    by_score = sorted(pieces, key=lambda name: pieces[name].scores["note_f1"])
    name = _OVERLAY_PIECE.value or by_score[len(by_score) // 2]
    assert _OVERLAY.value is not None, "checked by the caller"
    plots.write_overlay_png(
        *result.notes[name],
        _OVERLAY.value,
        start=_OVERLAY_START.value,
        seconds=_OVERLAY_SECONDS.value,
        title=f"{name}: note F1 {pieces[name].scores['note_f1']:.3f}",
        overwrite=_OVERWRITE.value,
    )


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
