"""Test the text of bin/prepare --describe on an index written by hand."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.preparation.description import format_text, read_description


def test_figures_of_an_index(tmp_path: Path) -> None:
    shard = "train-00000-of-00001"
    index = {
        "recordings": [{}, {}],
        "seconds": 7200.0,
        "pitches": {"15": 2, "60": 27, "110": 1},
        "polyphony": {"0": 1800.0, "2": 3600.0, "20": 1800.0},
    }
    manifest = {
        "data_set": "mine",
        "licence": ["CC0-1.0"],
        "left_out": 3,
        "shards": [f"{shard}.tfrecord"],
    }
    (tmp_path / f"{shard}.index.json").write_text(json.dumps(index))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    lines = format_text(read_description(tmp_path)).split("\n")
    assert lines[0] == "Data set mine, licence CC0-1.0; 3 files or recordings left out (report.txt)"
    assert lines[3].split() == ["train", "2", "2.00", "30", "0.0"]
    assert (
        lines[4].strip() == "3 of these notes lie outside pitches 21..108: no piano roll has them"
    )
    shares = {
        words[0]: words[2]
        for line in lines[5:]
        if len(words := line.split()) > 2 and "%" in words[2]
    }
    assert (shares["C4"], shares["2"], shares["16+"], shares["1"]) == (
        "90.00%",
        "50.00%",
        "25.00%",
        "0.00%",
    )
