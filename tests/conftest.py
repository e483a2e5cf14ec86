"""Define the fixtures of all tests."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

import pytest

from tests.support.processes import ROOT, command

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell that starts the tests in the background has Ctrl-C ignored, and commands started from here would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

_LONGEST = (
    *(
        "test_ablation_study",
        "test_parts",
        "test_distribution",
        "test_resume",
        "test_beam_pipeline",
    ),
    *("test_saved_model", "test_rendered", "test_train", "test_transcription_pipeline"),
    *("test_whole_recordings", "test_batch", "test_robustness", "test_trainer", "test_precision"),
    *("test_flagfiles", "test_backends", "test_client", "test_transcribe"),
)
"""Files that take long, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that all processes end at about the same time."""
    rank = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


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
    """What bin/export makes of the model in the package: a folder with version 1. Once for all testing processes."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    output = place / "exported" / "piano"
    with (place / "exported.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.is_dir():
            done = command("tfamt.commands.export", output)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith(f"{output / '1'}: differs")
    return output
