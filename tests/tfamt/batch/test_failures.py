"""Test a batch in which recordings fail for reasons that nobody foresaw."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import tfamt
from tests.tfamt.commands.test_transcribe import noise, write
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.notes.table import Notes

FAULTS = {
    "memory.wav": MemoryError(),
    "tensor.wav": RuntimeError("OOM when allocating tensor\n  with shape[1, 2]" + ", 3" * 200),
    "key.wav": KeyError("pianoroll"),
    "os.wav": OSError(5, "Input/output error"),
    "input.wav": InputError("is damaged", path="input.wav"),
}


@dataclass
class FaultyTranscriber:
    """Stands for a model that fails on some recordings."""

    config: Config

    def transcribe(self, path: Path, listener: Callable[[object], None], faults: None) -> Notes:
        if path.name in FAULTS:
            raise FAULTS[path.name]
        if path.name == "late.wav":
            # Another program puts a file there while this one works.
            path.with_suffix(".mid").write_text("not ours")
        return Notes.from_rows([(0.0, 0.5, 60, 80)])


class FaultySource(tfamt.ModelSource):
    def load(self, recordings: int = 1) -> FaultyTranscriber:  # type: ignore[override]
        return FaultyTranscriber(tfamt.preset("icpr2020_mel"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_any_exception_is_the_failure_of_its_recording(tmp_path: Path, overwrite: bool) -> None:
    for name in (*FAULTS, "good.wav", "late.wav"):
        write(tmp_path / name, noise(0.1))
    results = tfamt.transcribe_files(
        [tmp_path],
        tfamt.OutputOptions(csv=True, overwrite=overwrite),
        model=FaultySource(),
        journal=tmp_path / "journal",
    )
    errors = {
        result.recording.name: str(result.error).replace(f"{tmp_path}/", "")
        for result in results
        if result.error
    }
    late = "late.mid: exists already. To replace it, pass --overwrite (in Python: overwrite=True)."
    assert errors == {
        "memory.wav": "memory.wav: cannot be transcribed (MemoryError).",
        "tensor.wav": "tensor.wav: cannot be transcribed (RuntimeError: OOM when allocating tensor with shape[1, 2]"
        + (", 3" * 200)[: 300 - len("OOM when allocating tensor with shape[1, 2]")]
        + ").",
        "key.wav": "key.wav: cannot be transcribed (KeyError: 'pianoroll').",
        "os.wav": "os.wav: cannot be transcribed (OSError: [Errno 5] Input/output error).",
        "input.wav": "input.wav: is damaged.",
    } | ({} if overwrite else {"late.wav": late})
    causes = {result.recording.name: result.error.__cause__ for result in results if result.error}
    assert causes["key.wav"] is FAULTS["key.wav"]
    entries = [json.loads(line) for line in (tmp_path / "journal").read_text().splitlines()]
    failed = {Path(e["recording"]).name for e in entries if e["state"] == "failed"}
    assert failed == set(errors)
    written = {path.name for path in tmp_path.iterdir() if path.suffix in (".mid", ".csv")}
    assert written == {"good.mid", "good.csv", "late.mid"} | ({"late.csv"} if overwrite else set())
    assert ((tmp_path / "late.mid").read_bytes() == b"not ours") is not overwrite
    assert not list(tmp_path.glob(".tfamt-*"))


def test_a_folder_that_cannot_be_made_fails_its_recordings_only(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.wav", "sub/b.wav", "sub/c.wav"):
        write(tmp_path / "in" / name, noise(0.1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").touch()
    results = tfamt.transcribe_files(
        [tmp_path / "in"], tfamt.OutputOptions(tmp_path / "out"), model=FaultySource()
    )
    assert {result.recording.name: result.error and result.error.problem for result in results} == {
        "a.wav": None,
        "b.wav": "cannot be made (File exists)",
        "c.wav": "cannot be made (File exists)",
    }
    assert (tmp_path / "out" / "a.mid").is_file()
