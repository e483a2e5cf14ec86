"""Run every check of the project: ruff, mypy, import-linter, the documentation site, a newer Python, pytest.

Usage: bin/test [arguments of pytest]

The wheel is checked on a newer Python (tests/newer_python.py) where one is at hand and pytest gets no arguments.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports", "--no-cache"),
)


def main() -> int:
    """Run all checks, whichever fails; pytest last, so that its summary ends the output."""
    with tempfile.TemporaryDirectory() as site:
        checks = (*CHECKS, ("mkdocs", "build", "--quiet", "--strict", "--site-dir", site))
        failed = [" ".join(check[:2]) for check in checks if _run(*check) != 0]
    if not sys.argv[1:] and _run("tests.newer_python") != 0:
        failed.append("tests.newer_python")
    for check in failed:
        print(f"FAILED: {check}", file=sys.stderr, flush=True)
    # On all cores; tests of one file share what they have prepared. Files in the order of tests/conftest.py.
    tests = _run(
        *(
            "pytest",
            "--numprocesses=auto",
            "--dist=loadfile",
            "--no-loadscope-reorder",
            "--durations=20",
        ),
        *sys.argv[1:],
    )
    return tests or int(bool(failed))


def _run(*command: str) -> int:
    print("==", *command, flush=True)
    script = Path(sys.executable).with_name(command[0])  # lint-imports is a script only
    program = [str(script)] if script.is_file() else [sys.executable, "-m", command[0]]
    return subprocess.call([*program, *command[1:]], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
