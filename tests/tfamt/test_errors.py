"""Test how errors name files."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import pytest

from tfamt.errors import IncompleteError, InputError, TfamtError, printable
from tfamt.training.ends import NonFiniteLossError, StoppedError
from tfamt.utils.forks import ForkedProcessError
from tfamt.utils.locks import LockedError


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("take 1.wav", "take 1.wav"),
        ("Étude 日本 😀.wav", "Étude 日本 😀.wav"),
        (os.fsdecode(b"caf\xe9.wav"), r"caf\xe9.wav"),
        ("a\nb\t\x1b[31m\x7f.wav", r"a\nb\t\x1b[31m\x7f.wav"),
        ("a\u2028b\ud800", r"a\u2028b\ud800"),
    ],
)
def test_a_name_is_one_line_that_a_terminal_can_show(name: str, shown: str) -> None:
    assert printable(name) == shown
    error = InputError("does not exist", path=name, fix="Check the file name.")
    assert str(error) == f"{shown}: does not exist. Check the file name."
    assert error.path == name


ERRORS = [
    (TfamtError("no room"), "no room"),
    (InputError("is damaged", path="a.wav", fix="Copy it."), "a.wav: is damaged. Copy it."),
    (IncompleteError("ends", path="a.wav", fix="Copy it.", seconds=2.5), "a.wav: ends. Copy it."),
    (LockedError("is in use", path="journal"), "journal: is in use."),
    (ForkedProcessError("forked"), "forked"),
    (NonFiniteLossError(3, [1, 2]), "the loss of step 3 is not a finite number"),
    (StoppedError("stopped"), "stopped"),
]


@pytest.mark.parametrize(("error", "text"), ERRORS, ids=[type(e).__name__ for e, _ in ERRORS])
def test_errors_cross_processes_whole(error: TfamtError, text: str) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error) == text
    assert vars(copy) == vars(error)


def test_every_error_crosses_processes(root: Path) -> None:
    """The list above names each class that derives from TfamtError."""
    # Pairs, since two classes share a name.
    classes = [
        (name, base)
        for folder in ("tfamt", "pipelines")
        for path in (root / folder).rglob("*.py")
        for name, base in re.findall(r"^class (\w+)\((\w+)\):", path.read_text("utf-8"), re.M)
    ]
    found = {"TfamtError"}
    while more := {name for name, base in classes if base in found} - found:
        found |= more
    assert found == {type(error).__name__ for error, _ in ERRORS}
