"""Test the journal of a batch: finished recordings, changed files, failures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tfamt.errors import InputError
from tfamt.transcription.journal import Journal


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").write_bytes(b"sound")
    (tmp_path / "a.mid").write_bytes(b"notes")
    return tmp_path / "a.wav"


def finished(recording: Path, settings: dict[str, object]) -> Path:
    path = recording.parent / "journal"
    journal = Journal(path, settings)
    target = recording.with_suffix(".mid")
    journal.started(recording, [target])
    journal.done(recording, [target], 3)
    journal.close()
    return path


def is_done(path: Path, recording: Path, settings: dict[str, object]) -> bool:
    journal = Journal(path, settings)
    try:
        return journal.is_done(recording, [recording.with_suffix(".mid")])
    finally:
        journal.close()


def test_done_only_while_nothing_has_changed(recording: Path) -> None:
    path = finished(recording, {"program": 0})
    assert is_done(path, recording, {"program": 0})
    assert not is_done(path, recording, {"program": 1})
    os.utime(recording, ns=(1, 1))
    assert not is_done(path, recording, {"program": 0})
    path = finished(recording, {"program": 0})
    assert is_done(path, recording, {"program": 0})
    recording.write_bytes(b"other sound")
    assert not is_done(path, recording, {"program": 0})
    path = finished(recording, {"program": 0})
    recording.with_suffix(".mid").unlink()
    assert not is_done(path, recording, {"program": 0})


def test_it_may_be_cut_anywhere(recording: Path) -> None:
    content = finished(recording, {}).read_bytes()
    started = content.index(b"\n") + 1
    path = recording.parent / "cut"
    for length in {*range(0, len(content), 7), 1, started - 1, started, len(content) - 1}:
        path.write_bytes(content[:length])
        journal = Journal(path, {})
        assert not journal.is_done(recording, [recording.with_suffix(".mid")])
        # As soon as it is known to have begun, its results are its own.
        assert len(journal.own()) == (1 if length >= started else 0)
        journal.done(recording, [recording.with_suffix(".mid")], 3)
        journal.close()
        assert is_done(path, recording, {})


def test_a_failure_is_recorded_and_not_done(recording: Path) -> None:
    path = recording.parent / "journal"
    journal = Journal(path, {})
    journal.failed(recording, "is broken")
    journal.close()
    assert json.loads(path.read_text())["problem"] == "is broken"
    assert not is_done(path, recording, {})


def test_two_cannot_write_at_a_time(recording: Path) -> None:
    path = recording.parent / "journal"
    journal = Journal(path, {})
    with pytest.raises(InputError, match="in use by another process"):
        Journal(path, {})
    journal.close()
    Journal(path, {}).close()


@pytest.mark.parametrize("content", [b"RIFF\n", b"[]\n", b'{"state": "done"}\n', b"\xff\xff\n"])
def test_other_files_are_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match="is not a journal"):
        Journal(tmp_path / "file", {})
    assert (tmp_path / "file").read_bytes() == content
