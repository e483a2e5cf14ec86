"""Test progress: a bar in a pseudo terminal, lines in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

RUN = """
from tfamt.training.progress import Progress
progress = Progress(5, 1)
for step in progress.count(range(2, 6)):
    if step in (3, 5):
        progress(step, {"loss": step / 100, "gradient_norm": 2.0})
progress(5, {"validation_note_f1": 0.5, "validation_note_precision": 0.25})
"""


def _in_terminal(*, stdout_too: bool, cwd: Path) -> tuple[str, str]:
    """What the run writes to a terminal, and to stdout where that is a pipe."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stderr=terminal,
        stdout=terminal if stdout_too else subprocess.PIPE,
        cwd=cwd,
        text=True,
    )
    os.close(terminal)
    piped, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    written = b""
    try:
        while data := os.read(master, 65536):
            written += data
    except OSError:  # Linux's end of file on a terminal that nobody holds open.
        pass
    os.close(master)
    return written.decode(), piped or ""


def test_a_pipe_gets_a_line_for_each_report(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.split(" steps/s")[0].rpartition("  ")[0] for line in lines] == [
        "step 3/5  loss 0.03  gradient_norm 2",
        "step 5/5  loss 0.05  gradient_norm 2",
        "step 5/5  validation_note_f1 0.5",
    ]
    assert all(re.search(r"  \d+\.\d\d steps/s, \d:\d\d:\d\d left$", line) for line in lines)


def test_a_terminal_gets_a_bar_and_validations(root: Path) -> None:
    written, _ = _in_terminal(stdout_too=True, cwd=root)
    # The run goes on from step 1 and ends with all 5, the bar drawn in place.
    assert "20%" in written.split("\r")[1]
    assert re.search(r"100%\|.*\| 5/5 .*step/s, loss 0\.05\]", written)
    assert "gradient_norm" not in written
    assert "step 5/5  validation_note_f1 0.5" in written


def test_a_terminal_for_errors_alone_leaves_the_lines_to_the_pipe(root: Path) -> None:
    written, piped = _in_terminal(stdout_too=False, cwd=root)
    assert re.search(r"100%\|.*\| 5/5 ", written)
    assert "step 3/5  loss 0.03  gradient_norm 2" in piped
    assert "%|" not in piped
