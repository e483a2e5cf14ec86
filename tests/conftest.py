"""Fixtures that every test file may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.processes import ROOT, command

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell that starts the tests in the background has Ctrl-C ignored, and commands started from here would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Development data beside the checkout; not part of the project."""
    path = ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip("needs the development data folder ../shared, which is not here")
    return path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in the package as bin/export writes it: a folder that holds version 1."""
    output = tmp_path_factory.mktemp("exported") / "piano"
    done = command("tfamt.commands.export", output)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{output / '1'}: differs")
    return output
