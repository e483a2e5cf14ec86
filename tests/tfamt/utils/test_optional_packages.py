"""Test commands in an environment without the packages of the extras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tfamt.errors import InputError
from tfamt.utils.optional_packages import missing_package, require_package

# An import of a module that is None fails like one that is not installed.
WITHOUT_EXTRAS = """
import importlib, sys
for name in ("apache_beam", "google_crc32c", "indexed_gzip", "matplotlib", "mir_eval", "onnxruntime", "pyroomacoustics",
             "scipy", "tensorboard", "tensorflow_io", "tf2onnx"):
    sys.modules[name] = None
importlib.import_module(sys.argv.pop(1)).cli()
"""
NOTES = "tests/data/prelude_notes.csv"


def _run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_transcribing_needs_no_extra(tmp_path: Path) -> None:
    done = _run(
        "tfamt.commands.transcribe",
        *("--csv", "--json", "--wav", f"--output_dir={tmp_path}", "examples/prelude.ogg"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("prelude.csv", "prelude.json", "prelude.mid", "prelude.notes.wav")
    ]


@pytest.mark.parametrize(
    ("arguments", "needs", "extra"),
    [
        (("tfamt.commands.transcribe", "--png", "a.wav"), "matplotlib", "plots"),
        (
            ("pipelines.commands.evaluate", f"--reference={NOTES}", f"--estimate={NOTES}"),
            "mir_eval",
            "evaluation",
        ),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(
    arguments: tuple[str, ...], needs: str, extra: str
) -> None:
    done = _run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"needs {needs}, which is not installed. Install it: pip install 'tfamt[{extra}]'." in (
        done.stderr
    )
    assert len(done.stderr.splitlines()) == 1


def test_only_extras_are_named() -> None:
    assert missing_package(ModuleNotFoundError("no", name="no_such_package")) is None
    # Part of the base: a broken installation, which is no matter of extras.
    assert missing_package(ModuleNotFoundError("no", name="soxr")) is None
    problem = missing_package(ModuleNotFoundError("no", name="google_crc32c.extra"))
    assert "tfamt[data]" in str(problem)
    require_package("soundfile", "data", "this")
    with pytest.raises(InputError, match=r"this needs no_such_package"):
        require_package("no_such_package", "data", "this")
