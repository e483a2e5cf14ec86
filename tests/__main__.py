"""Runs every check of the project: ruff, mypy, pytest.

Usage: bin/test [arguments of pytest]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
)


def main() -> int:
    """Runs all of them, whichever fails; pytest last, so that its summary is what one reads at the end."""
    failed = [" ".join(check) for check in CHECKS if _run(*check) != 0]
    for check in failed:
        print(f"FAILED: {check}", file=sys.stderr, flush=True)
    # On all cores; tests of one file share what they have prepared. Files in the order of tests/conftest.py.
    tests = _run(
        *("pytest", "--numprocesses=auto", "--dist=loadfile", "--no-loadscope-reorder"),
        *sys.argv[1:],
    )
    return tests or int(bool(failed))


def _run(*command: str) -> int:
    print("==", *command, flush=True)
    return subprocess.call([sys.executable, "-m", *command], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
