"""Fixtures that every test file may use."""

from __future__ import annotations

import os
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
