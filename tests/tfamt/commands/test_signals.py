"""Test how commands end on signals, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import ROOT, start
from tests.tfamt.commands.test_transcribe import noise, write
from tests.tfamt.utils.test_temporary import listing, worker

# A command without TensorFlow, so that it starts at once.
COMMAND = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from tfamt.commands import app
from tfamt.utils.temporary import temporary_folder

def work(ready):
    os.write(ready, b"!")
    time.sleep(60)

def main(argv):
    with temporary_folder(Path(argv[1])):
        began, ready = os.pipe()
        child = multiprocessing.get_context("fork").Process(target=work, args=(ready,))
        child.start()
        # Python drops signals that arrive while it forks.
        os.read(began, 1)
        try:
            print("begun", flush=True)
            while True:
                time.sleep(0.05)
        finally:
            # A second signal, while it cleans up.
            os.kill(os.getpid(), signal.SIGTERM)
            child.terminate()
            child.join()
            assert child.exitcode == -signal.SIGTERM

app.run(main)
"""


def begin(folder: Path, *, ignored: bool = False) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, folder],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As nohup does it.
        preexec_fn=(lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) if ignored else None,
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    assert len(list(folder.glob(".tfamt-*"))) == 1
    return process


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted\n"),
        (signal.SIGTERM, 143, "terminated\n"),
        (signal.SIGHUP, 129, "terminal closed\n"),
    ],
)
def test_a_signal_cleans_up_and_is_the_exit_code(
    tmp_path: Path, number: signal.Signals, code: int, message: str
) -> None:
    process = begin(tmp_path)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (code, message)
    assert not list(tmp_path.iterdir())


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    process = begin(tmp_path, ignored=True)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1] == "terminated\n"
    assert process.returncode == 143


def test_a_terminal_that_is_gone_does_not_change_the_exit_code(tmp_path: Path) -> None:
    terminal, end = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, tmp_path], cwd=ROOT, stdout=end, stderr=end
    )
    os.close(end)
    assert os.read(terminal, 1)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 129
    assert not list(tmp_path.iterdir())


def stop_while_it_draws(number: signal.Signals, recording: Path, out: Path) -> int | None:
    """Start a batch and send it a signal while it draws the picture, which takes a while; return its exit code."""
    pictures = ".tfamt-*/.tfamt-*.png"
    before = set(out.glob(pictures))
    process = start(
        "tfamt.commands.transcribe", "--png", "--output_dir", out, recording,
        output=out.parent / "messages",
    )  # fmt: skip
    until = time.monotonic() + 60
    while not set(out.glob(pictures)) - before:
        assert time.monotonic() < until
        time.sleep(0.002)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(60)
    return process.exitcode


def test_the_next_batch_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    recording, out = write(tmp_path / "a.wav", noise(1.0)), tmp_path / "out"
    out.mkdir()
    with worker(out) as other:
        running = listing(out)
        assert stop_while_it_draws(signal.SIGKILL, recording, out) == -signal.SIGKILL
        (killed,) = listing(out) - running
        assert killed.startswith(".tfamt-")
        assert stop_while_it_draws(signal.SIGTERM, recording, out) == 143
        assert (tmp_path / "messages").read_text().endswith("terminated\n")
        assert "Traceback" not in (tmp_path / "messages").read_text()
        # What was being written was finished; what another process writes is there.
        assert listing(out) == running | {"a.mid", "a.png"}
        other.communicate("\n")
    assert listing(out) == {"a.mid", "a.png"}
