"""Test that what native code writes while a package loads is hidden, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

# os.write, as native code does, passes sys.stderr by.
NOISY = 'import os\nos.write(2, b"note\\n")\nloaded = True\n'
CODE = """
import os, sys
from tfamt.utils.quiet_logs import quiet_import
sys.path.insert(0, sys.argv[1])
quiet_import("noisy")
os.write(2, b"before\\n")
import noisy.part
assert noisy.loaded and noisy.__spec__.name == "noisy"
os.write(2, b"after\\n")
"""


@pytest.mark.parametrize(
    ("level", "expected"), [("3", "before\npart\nafter\n"), ("0", "before\nnote\npart\nafter\n")]
)
def test_notes_during_the_import_of_a_package_are_hidden(
    tmp_path: Path, level: str, expected: str
) -> None:
    package = tmp_path / "noisy"
    package.mkdir()
    (package / "__init__.py").write_text(NOISY)
    (package / "part.py").write_text('import os\nos.write(2, b"part\\n")\n')
    run = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": level},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, expected)
