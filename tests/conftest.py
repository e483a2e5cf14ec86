"""Fixtures that every test file may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = Path(__file__).resolve().parent.parent


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
    command = [sys.executable, "-m", "tfamt.commands.export", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{output / '1'}: differs")
    return output
