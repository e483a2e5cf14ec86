"""Test evaluation reports: summaries by group, JSON round trip, tables."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.pipelines.commands.test_evaluate import REFERENCE, TRANSCRIBED
from tfamt.errors import InputError
from tfamt.evaluation.metrics import score
from tfamt.evaluation.report import format_csv, format_markdown, format_text
from tfamt.evaluation.results import Evaluation, Piece, name_empty, read_evaluation
from tfamt.notes.table import Notes
from tfamt.plots.report_figures import EXTRA, HIT, MISSED, SILENT, overlay


def evaluation() -> Evaluation:
    def piece(f1: float, group: str, hits: int) -> Piece:
        scores = {f"note_{name}": f1 for name in ("precision", "recall", "f1")}
        return Piece(scores | {"average_precision": f1 / 2}, {"hits": hits}, group, {"seconds": 2})

    return Evaluation(
        {"a": piece(0.5, "x", 1), "b": piece(1.0, "x", 2), "c": piece(0.0, "y", 4)},
        {"weights": "w.npz"},
        {"average_precision": 0.25},
        ("something",),
    )


def test_groups_are_summed_up_apart(tmp_path: Path) -> None:
    content = json.loads(evaluation().to_json())
    assert content["mean"]["note_f1"] == 0.5
    assert content["groups"]["x"]["mean"]["note_f1"] == 0.75
    assert content["groups"]["x"]["standard_deviation"]["note_f1"] == 0.25
    assert content["groups"]["x"]["errors"] == {"hits": 3}
    assert content["groups"]["y"]["mean"]["average_precision"] == 0.0
    assert content["errors"] == {"hits": 7}
    assert content["pieces"]["c"]["group"] == "y" and content["pieces"]["c"]["seconds"] == 2
    path = tmp_path / "e.json"
    path.write_text(evaluation().to_json())
    again = read_evaluation(path)
    assert again.to_json() == evaluation().to_json()


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    with pytest.raises(InputError, match="cannot be read"):
        read_evaluation(path)
    for text in ("", "[]", "{}", '{"format": "tfamt evaluation 1", "pieces": {}}', '{"format": 3}'):
        path.write_text(text)
        with pytest.raises(InputError, match="is no evaluation"):
            read_evaluation(path)


def test_text_has_groups_and_average_precision() -> None:
    assert format_text(evaluation()).splitlines() == [
        "                     note                  average",
        "piece                P      R      F1      precision",
        "a                    0.500  0.500  0.500   0.250",
        "b                    1.000  1.000  1.000   0.500",
        "c                    0.000  0.000  0.000   0.000",
        "----------------------------------------------------",
        "mean of x            0.750  0.750  0.750   0.375",
        "mean of y            0.000  0.000  0.000   0.000",
        "mean                 0.500  0.500  0.500   0.250",
        "standard deviation   0.408  0.408  0.408   0.204",
        "",
        "notes: 7 hits",
    ]


def test_pieces_without_notes_are_named_beside_their_figures(tmp_path: Path) -> None:
    none = Notes.empty()
    pairs = {
        "a": (none, none),
        "b": (REFERENCE, none),
        "c": (none, REFERENCE),
        "d": (REFERENCE,) * 2,
    }
    pieces = {
        name: Piece(score(*pair, velocity=False), details=name_empty(*pair))
        for name, pair in pairs.items()
    }
    scored = Evaluation(pieces, warnings=("x.mid: something",))
    beside = {
        "a": "1.000 (reference and estimate without notes)",
        "b": "0.000 (estimate without notes)",
        "c": "0.000 (reference without notes)",
        "d": "1.000",
    }
    rows = {line.split()[0]: line for line in format_text(scored).splitlines()[2:6]}
    assert [rows[name].endswith(text) for name, text in beside.items()] == [True] * 4
    markdown = format_markdown(scored)
    assert "| b (estimate without notes) | 0.000 |" in markdown and "| d | 1.000 |" in markdown
    assert markdown.endswith("## Warnings\n\n- x.mid: something\n")
    table = csv.DictReader(io.StringIO(format_csv(scored)))
    assert [row["empty"] for row in table] == [
        "reference and estimate",
        "estimate",
        "reference",
        "",
    ]
    path = tmp_path / "e.json"
    path.write_text(scored.to_json())
    again = read_evaluation(path)
    assert (again.warnings, again.pieces["b"].details) == (scored.warnings, {"empty": "estimate"})
    # Evaluations of before have no warnings.
    content = json.loads(scored.to_json())
    del content["warnings"]
    path.write_text(json.dumps(content))
    assert read_evaluation(path).warnings == ()


def test_text_leaves_out_velocity_that_no_piece_has() -> None:
    table = format_text(Evaluation({"a": Piece(score(REFERENCE, TRANSCRIBED, velocity=False))}))
    assert "velocity" not in table and table.splitlines()[2].split()[0] == "a"
    assert len(table.splitlines()[2].split()) == 10


def test_markdown_and_csv() -> None:
    lines = format_markdown(evaluation()).splitlines()
    assert "| mean ± standard deviation over pieces | all 3 pieces | x (2) | y (1) |" in lines
    assert "| `note_f1` | 0.500 ± 0.408 | 0.750 ± 0.250 | 0.000 ± 0.000 |" in lines
    assert "| hits | 7 | 3 | 4 |" in lines
    assert "| b | 1.000 | 0.500 |" in lines
    assert "All pieces pooled: `average_precision` 0.2500." in lines
    rows = list(csv.DictReader(io.StringIO(format_csv(evaluation()))))
    assert [row["piece"] for row in rows] == ["a", "b", "c"]
    assert rows[1] == {
        "piece": "b", "group": "x", "note_precision": "1.0", "note_recall": "1.0", "note_f1": "1.0",
        "average_precision": "0.5", "errors_hits": "2", "empty": "",
    }  # fmt: skip


def test_overlay_colours() -> None:
    colours = overlay(REFERENCE, TRANSCRIBED, 0.0, 1.92)
    assert colours.shape == (60, 128, 3)
    # Played in frames 0..9 and transcribed in 1..9.
    assert tuple(colours[0, 60]) == MISSED and tuple(colours[9, 60]) == HIT
    assert tuple(colours[10, 60]) == SILENT == tuple(colours[0, 61])
    # Played in frames 20..39 and transcribed in 20..49.
    assert [tuple(colours[t, 64]) for t in (20, 39, 40, 49, 50)] == [HIT, HIT, EXTRA, EXTRA, SILENT]
    later = overlay(REFERENCE, TRANSCRIBED, 0.64, 0.32)
    assert (later == colours[20:30]).all()
