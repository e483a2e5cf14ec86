"""Test `tfamt.transcribe_files` against bin/transcribe."""

from __future__ import annotations

from pathlib import Path

import pytest

import tfamt
from tests.tfamt.commands.test_transcribe import noise, run, write
from tfamt.errors import InputError
from tfamt.notes.label_files import read_labels


def test_the_same_files_as_the_command(root: Path, tmp_path: Path) -> None:
    recording = root / "examples" / "prelude.ogg"
    done = run("--output_dir", tmp_path / "command", "--csv", "--precision=float32", recording)
    assert (done.returncode, done.stderr) == (0, "")
    (result,) = tfamt.transcribe_files(
        [recording],
        tfamt.OutputOptions(folder=tmp_path / "python", csv=True),
        model=tfamt.ModelSource(precision="float32"),
    )
    assert result.error is None and result.recording == recording
    assert result.outputs["mid"] == tmp_path / "python" / "prelude.mid"
    ours, theirs = (read_labels(tmp_path / by / "prelude.csv") for by in ("python", "command"))
    # Tables hold microseconds; another process may round the last bit of a probability another way.
    assert ours.onset.tolist() == pytest.approx(theirs.onset.tolist(), abs=5e-6)
    assert ours.offset.tolist() == pytest.approx(theirs.offset.tolist(), abs=5e-6)
    assert ours.pitch.tolist() == theirs.pitch.tolist()
    assert ours.velocity.tolist() == theirs.velocity.tolist()


def test_a_bad_recording_is_a_result_with_an_error(tmp_path: Path) -> None:
    good = write(tmp_path / "good.wav", noise(1.0))
    (tmp_path / "bad.wav").write_text("no sound")
    seen = []
    results = tfamt.transcribe_files(
        [tmp_path / "bad.wav", good, tmp_path / "missing.wav"],
        tfamt.OutputOptions(folder=tmp_path / "out"),
        journal=tmp_path / "out" / "journal.jsonl",
        listener=lambda result, number, count: seen.append(result),
    )
    assert seen == results
    errors = {result.recording.name: result.error for result in results}
    assert errors["good.wav"] is None
    assert "not audio that can be read" in str(errors["bad.wav"])
    assert "missing.wav: does not exist" in str(errors["missing.wav"])
    # The journal's folder is that of the results, which is made first.
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good.mid", "journal.jsonl"}

    (again,) = tfamt.transcribe_files(
        [good],
        tfamt.OutputOptions(folder=tmp_path / "out"),
        journal=tmp_path / "out" / "journal.jsonl",
    )
    assert again.skipped and again.outputs == {"mid": tmp_path / "out" / "good.mid"}


def test_no_recording_is_an_error() -> None:
    with pytest.raises(InputError, match="no recording was given"):
        tfamt.transcribe_files([])
