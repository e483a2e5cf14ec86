"""Test how errors name files."""

from __future__ import annotations

import os
import pickle

import pytest

from tfamt.errors import IncompleteError, InputError, printable


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


def test_errors_cross_processes_whole() -> None:
    for error in (
        InputError("is damaged", path="a.wav", fix="Copy it."),
        IncompleteError("is truncated", path="a.wav", fix="Copy it.", seconds=2.5),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and str(copy) == "a.wav: " + f"{error.problem}. Copy it."
        assert vars(copy) == vars(error)
