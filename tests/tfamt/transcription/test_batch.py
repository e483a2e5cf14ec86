"""Test bin/transcribe with many recordings, interrupted, and with standard input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tfamt
from tests.tfamt.commands.test_transcribe import noise, run, write
from tfamt.audio.reading import read_blocks
from tfamt.notes.midi import read_midi
from tfamt.notes.table import Notes
from tfamt.transcription.jobs import plan
from tfamt.transcription.recording_search import find


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    folder = tmp_path / "takes"
    (folder / "b").mkdir(parents=True)
    write(folder / "1.wav", noise(1.0))
    write(folder / "b" / "1.FLAC", noise(1.0))
    write(folder / "take[1].wav", noise(1.0))
    (folder / "notes.txt").write_text("no audio")
    return folder


def test_names_stand_for_files_folders_and_patterns(takes: Path) -> None:
    result = find([str(takes)])
    assert [(f.path.name, str(f.place)) for f in result.recordings] == [
        ("1.wav", "1"),
        ("1.FLAC", "b/1"),
        ("take[1].wav", "take[1]"),
    ]
    assert not result.problems
    found = find([f"{takes}/**/1.*"]).recordings
    assert [str(f.path.relative_to(takes)) for f in found] == ["1.wav", "b/1.FLAC"]
    found = find([f"{takes}/take[1].wav"]).recordings
    assert [f.path.name for f in found] == ["take[1].wav"]
    (takes / "none").mkdir()
    result = find([f"{takes}/*.mp3", f"{takes}/none", ""])
    assert not result.recordings
    assert [problem.problem for problem in result.problems] == [
        "matches no file",
        "holds no recordings",
        "matches no file",
    ]


def test_results_of_a_folder_keep_its_shape(takes: Path) -> None:
    found = find([str(takes)]).recordings
    jobs, problems = plan(found, {"mid": ".mid"}, "/out")
    assert [str(job.outputs["mid"]) for job in jobs] == [
        "/out/1.mid",
        "/out/b/1.mid",
        "/out/take[1].mid",
    ]
    assert not problems
    # By pattern, there is no folder to keep the shape of.
    found = find([f"{takes}/**/1.*"]).recordings
    jobs, problems = plan(found, {"mid": ".mid"}, "/out")
    assert not jobs
    first, second = takes / "1.wav", takes / "b" / "1.FLAC"
    collision = "shares its name with {}: their results would collide"
    assert {path: problem.problem for path, problem in problems.items()} == {
        first: collision.format(second),
        second: collision.format(first),
    }


def test_a_killed_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(3):
        write(folder / f"{number}.wav", noise(1.0))
    # Long enough to be killed within.
    write(folder / "3.wav", noise(1800.0))
    (folder / "4.wav").write_text("no audio")
    (tmp_path / "list").write_text("\n".join(f"in/{number}.wav" for number in (0, 1, 2, 3, 4)))
    flags = ["--list=list", "--output_dir=out", "--journal=manifest", "--csv", "--parallel=1"]
    command = [sys.executable, "-m", "tfamt.commands.transcribe", *flags]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert "notes ->" in process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert {"0.mid", "1.mid", "2.mid"} <= set(names(out))
    assert "3.mid" not in names(out)
    stamps = {name: (out / name).stat().st_mtime_ns for name in names(out)}

    # The long one has become a short one, one that was done has changed, and results of one are gone.
    write(folder / "3.wav", noise(2.0))
    write(folder / "1.wav", noise(2.0))
    (out / "2.csv").unlink()
    again = run(*flags, cwd=tmp_path)
    assert again.returncode == 1
    assert "1 done already" in again.stdout
    assert [line for line in again.stderr.splitlines() if "4.wav" not in line] == []
    assert names(out) == sorted(
        f"{number}.{kind}" for number in range(4) for kind in ("mid", "csv")
    )
    assert (out / "0.mid").stat().st_mtime_ns == stamps["0.mid"]
    assert (out / "1.mid").stat().st_mtime_ns > stamps["1.mid"]
    last = {}
    for line in (tmp_path / "manifest").read_text().splitlines():
        entry = json.loads(line)
        last[Path(entry["recording"]).name] = entry["state"]
    assert last == {"0.wav": "done", "1.wav": "done", "2.wav": "done", "3.wav": "done"}

    # Without the manifest, what is there is not replaced; and with it, all but the bad one is done.
    assert "exists already" in run(*flags[:2], flags[3], cwd=tmp_path).stderr
    assert "4 done already" in run(*flags, cwd=tmp_path).stdout


def test_standard_input_is_transcribed_as_it_comes(root: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(root / "examples" / "prelude.ogg", dtype="int16")
    soundfile.write(tmp_path / "music.wav", samples[: 20 * rate], rate, subtype="PCM_16")
    content = (tmp_path / "music.wav").read_bytes()
    command = [sys.executable, "-m", "tfamt.commands.transcribe", "-", "--window_frames=128"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(content[: len(content) // 2])
        process.stdin.flush()
        # There are notes while the second half has not been sent.
        first = process.stdout.readline()
        process.stdin.write(content[len(content) // 2 :])
        process.stdin.close()
        lines = [first, *process.stdout.readlines()]
    assert process.returncode == 0
    rows = [line.decode().strip().split(",") for line in lines]
    notes = Notes.from_rows((float(a), float(b), int(c), int(d)) for a, b, c, d in rows)
    # A stream takes the loudness so far.
    blocks = read_blocks(tmp_path / "music.wav")
    whole = tfamt.Transcriber.load(window_frames=128).transcribe_blocks(blocks)
    assert len(notes) == len(whole) > 20
    np.testing.assert_allclose(notes.intervals, whole.intervals, rtol=0, atol=1e-6)
    assert (tmp_path / "stdin.mid").is_file()


def test_standard_input_is_read_while_tensorflow_loads_and_a_second_take_has_a_name(
    tmp_path: Path,
) -> None:
    """A recorder writes 12 s of CD sound at once; a pipe holds a third of a second."""
    (tmp_path / "stdin.mid").write_bytes(b"the first take")
    content = write(tmp_path / "a.wav", noise(12.0, 2, 44_100), 44_100).read_bytes()
    command = [sys.executable, "-m", "tfamt.commands.transcribe", "-"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stderr is not None
        begin = time.monotonic()
        listening = process.stderr.readline()
        process.stdin.write(content)
        process.stdin.close()
        written = time.monotonic() - begin
        loaded = "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text()
        errors = process.stderr.read()
    assert listening == b"listening to standard input while the model is being loaded\n"
    assert written < 2 and not loaded
    assert (process.returncode, errors) == (0, b"0 notes -> stdin-2.mid\n")
    assert (tmp_path / "stdin.mid").read_bytes() == b"the first take"
    assert len(read_midi(tmp_path / "stdin-2.mid")) == 0


def test_ctrl_c_ends_a_stream_that_has_gone_quiet(tmp_path: Path) -> None:
    content = write(tmp_path / "a.wav", noise(10.0)).read_bytes()
    command = [sys.executable, "-m", "tfamt.commands.transcribe", "-"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(content[:2000])
        process.stdin.flush()
        until = time.monotonic() + 60
        # It sleeps in a read of standard input once TensorFlow is there.
        while "libtensorflow" not in Path(f"/proc/{process.pid}/maps").read_text():
            assert time.monotonic() < until
            time.sleep(0.1)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read().decode().splitlines()[1:] == ["interrupted"]
    assert names(tmp_path) == ["a.wav"]


def test_ctrl_c_that_comes_out_as_another_error_is_still_ctrl_c() -> None:
    # As where it is pressed while a native module is being loaded.
    code = """
import signal
from tfamt.commands import app
def main(argv):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        raise ImportError("initialization failed") from error
app.run(main)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-", "a.wav"], "goes alone"),
        (["--list=missing"], "missing: cannot be read"),
        (["--list=empty"], "names no recordings"),
        (["*.flac"], "matches no file"),
        (["a.wav", "--journal=a.wav"], "a.wav: is not a journal"),
        # The name of the flag before.
        (["a.wav", "--manifest=a.wav"], "a.wav: is not a journal"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    write(tmp_path / "a.wav", noise(0.1))
    (tmp_path / "empty").touch()
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert all(line.startswith("error: ") for line in done.stderr.strip().split("\n"))
    assert not list(tmp_path.glob("*.mid")), os.listdir(tmp_path)
