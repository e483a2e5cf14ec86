"""Check the wheel on Python 3.13 or newer, where TensorFlow is newer and tensorflow-io is missing.

Usage: python -m tests.newer_python

In an environment of its own the wheel is installed, the example transcribed to the golden notes, configs/tiny.flags
trained, and the result exported, loaded and run. Without such a Python the check is skipped with a notice.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# For 3.14 there is a release candidate of TensorFlow only.
VERSIONS = ((3, 13), (3, 14))
_PROBE = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
_TIME_LIMIT = 600
_RUN_EXPORT = """
import sys
import tensorflow as tf

signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
loud = tf.sin(tf.range(32000.0) * 440 * 2 * 3.141593 / 16000)[tf.newaxis]
outputs = [signature(waveform=waveform)["pianoroll"] for waveform in (loud, tf.zeros_like(loud))]
for output in outputs:
    # 62.5 frames of 512 samples; the last one is whole.
    assert output.shape == (1, 63, 88), output.shape
    tf.debugging.assert_all_finite(output, "not finite")
    tf.debugging.assert_non_negative(output)
    tf.debugging.assert_less_equal(output, 1.0)
assert tf.reduce_any(outputs[0] != outputs[1]), "the waveform makes no difference"
assert "tfamt" not in sys.modules
"""


def main() -> int:
    """Run the check; return 0 if it holds or is skipped, else 1."""
    python = find_python()
    if python is None:
        print(
            "notice: no Python 3.13 or newer is at hand; the check of the wheel on it is skipped",
            file=sys.stderr,
            flush=True,
        )
        return 0
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="tfamt-") as folder:
            check(python, Path(folder))
    except (subprocess.SubprocessError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    print(f"the wheel works on {python}: {time.monotonic() - start:.0f} s", flush=True)
    return 0


def find_python() -> str | None:
    """Return a Python of one of `VERSIONS` that can make environments, the first there is."""
    for version in VERSIONS:
        for candidate in _candidates(version):
            if _version_of(candidate) == version:
                return candidate
    return None


def _candidates(version: tuple[int, int]) -> Iterator[str]:
    name = "python{}.{}".format(*version)
    if sys.version_info[:2] == version:
        yield getattr(sys, "_base_executable", sys.executable)
    if found := shutil.which(name):
        yield found
    # Version managers keep those that are not active off the search path.
    roots = [os.environ.get("PYENV_ROOT", "")]
    if pyenv := shutil.which("pyenv"):
        roots.append(_output(pyenv, "root"))
    for root in filter(None, roots):
        yield from sorted(map(str, Path(root, "versions").glob(f"*/bin/{name}")))


def _version_of(python: str) -> tuple[int, ...]:
    return tuple(map(int, _output(python, "-c", _PROBE).split()))


def _output(*command: str) -> str:
    """Return what a command prints; nothing if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def check(python: str, folder: Path) -> None:
    """Build, install and use the wheel inside `folder`.

    Raises:
      subprocess.SubprocessError: a step failed or took too long.
      ValueError: the notes are not the golden ones.
    """
    source = folder / "source"
    for name in ("tfamt", "pipelines", "configs"):
        # Building beside the sources would take over what older builds left there.
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    bin_folder = folder / "environment" / "bin"
    venv_python, pip = str(bin_folder / "python"), ("-m", "pip", "--disable-pip-version-check")
    _run(folder, python, "-m", "venv", str(folder / "environment"))
    _run(folder, venv_python, *pip, "wheel", "-q", "--no-deps", "-w", "dist", str(source))
    (wheel,) = (folder / "dist").glob("*.whl")
    _run(folder, venv_python, *pip, "install", "-q", "--no-compile", f"{wheel}[data]")

    example = str(ROOT / "examples" / "prelude.ogg")
    transcribe = (str(bin_folder / "tfamt-transcribe"), "--precision=float32", "--csv")
    _run(folder, *transcribe, "--output_dir=notes", example)
    compare_notes(folder / "notes" / "prelude.csv", ROOT / "tests" / "data" / "prelude_notes.csv")

    (folder / "examples").symlink_to(ROOT / "examples")
    _run(folder, str(bin_folder / "tfamt-train"), "--flagfile=tfamt:tiny")
    export = str(bin_folder / "tfamt-export")
    _run(folder, export, f"--weights={folder / 'runs' / 'tiny' / 'weights.npz'}", "exported")
    _run(folder, venv_python, "-c", _RUN_EXPORT, str(folder / "exported" / "1"))


def _run(folder: Path, *command: str) -> None:
    print("==", *command[:6], flush=True)
    # In `folder`, and without the checkout on the search path: what is tried is the wheel.
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=_TIME_LIMIT)


def compare_notes(found: Path, golden: Path) -> None:
    """Compare two tables of notes, note by note: times within 1 ms, velocities within 1, pitches exactly.

    Raises:
      ValueError: they differ.
    """
    notes, expected = _read(found), _read(golden)
    if len(notes) != len(expected):
        raise ValueError(f"{len(notes)} notes instead of {len(expected)}")
    for note, other in zip(notes, expected, strict=True):
        onset, offset, pitch, velocity = (abs(a - b) for a, b in zip(note, other, strict=True))
        if max(onset, offset) > 1e-3 or pitch or velocity > 1:
            raise ValueError(f"the note {note} is {other} in the golden notes")


def _read(path: Path) -> list[list[float]]:
    with path.open(newline="") as file:
        return [[float(value) for value in row] for row in list(csv.reader(file))[1:]]


if __name__ == "__main__":
    sys.exit(main())
