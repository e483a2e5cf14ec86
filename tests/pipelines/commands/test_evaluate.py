"""Test bin/evaluate through the command line, with real processes and files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.midi_bytes import file, off, on, pedal, riff, tempo, track
from tfamt.notes.midi import write_midi
from tfamt.notes.table import Notes
from tfamt.notes.tables import write_csv

REFERENCE = Notes.from_rows([(0.0, 0.32, 60, 20), (0.64, 1.28, 64, 60), (1.28, 1.92, 67, 100)])
TRANSCRIBED = Notes.from_rows([(0.032, 0.32, 60, 20), (0.64, 1.6, 64, 60), (3.0, 4.0, 67, 100)])


def evaluate(*arguments: str | Path, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.commands.evaluate", *map(str, arguments)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two pieces: one with MIDI labels, one with MAPS labels, the latter transcribed without fault."""
    reference, estimate = tmp_path / "ref", tmp_path / "est"
    (reference / "2004").mkdir(parents=True)
    estimate.mkdir()
    write_midi(REFERENCE, reference / "2004" / "first.midi")
    write_midi(TRANSCRIBED, estimate / "first.mid")
    rows = [f"{on}\t{off}\t{pitch}" for on, off, pitch, _ in TRANSCRIBED]
    (reference / "zweites Stück.txt").write_text(
        "\n".join(["OnsetTime\tOffsetTime\tMidiPitch", *rows])
    )
    write_csv(TRANSCRIBED, estimate / "zweites Stück.csv")
    return reference, estimate


def test_table_and_json_of_two_folders(
    folders: tuple[Path, Path], tmp_path: Path, root: Path
) -> None:
    out = tmp_path / "scores.json"
    done = evaluate("--reference", folders[0], "--estimate", folders[1], "--json", out, root=root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:-2] == [
        "                     note                  note with offset      ... and velocity      frame (31.25/s)",
        "piece                P      R      F1      P      R      F1      P      R      F1      P      R      F1",
        "first                0.667  0.667  0.667   0.333  0.333  0.333   0.333  0.333  0.333   0.414  0.580  0.483",
        "zweites Stück        1.000  1.000  1.000   1.000  1.000  1.000   -      -      -       1.000  1.000  1.000",
        "-" * 106,
        "mean                 0.833  0.833  0.833   0.667  0.667  0.667   0.333  0.333  0.333   0.707  0.790  0.742",
        "standard deviation   0.167  0.167  0.167   0.333  0.333  0.333   0.000  0.000  0.000   0.293  0.210  0.258",
    ]
    assert done.stdout.splitlines()[-1] == (
        "notes: 5 hits, 0 too_short, 1 too_long, 0 early, 0 late, 0 missed_restrike, 0 false_restrike, 0 octave, "
        "1 missed, 1 extra"
    )
    report = json.loads(out.read_text("utf-8"))
    assert report["frames_per_second"] == 31.25 and report["problems"] == []
    # Frames: played 10 + 20 + 20, estimated 9 + 30 + 31 (93.75 and 125), of which 9 + 20 agree.
    assert report["pieces"]["first"]["scores"]["frame_precision"] == 29 / 70
    assert report["pieces"]["first"]["scores"]["frame_recall"] == 29 / 50
    assert report["pieces"]["first"]["reference"].endswith("2004/first.midi")
    assert report["mean"]["note_f1"] == pytest.approx(5 / 6)
    assert report["standard_deviation"]["note_f1"] == pytest.approx(1 / 6)
    assert report["mean"]["note_offset_velocity_f1"] == pytest.approx(1 / 3)


def test_two_single_files_need_not_share_a_name(folders: tuple[Path, Path], root: Path) -> None:
    done = evaluate(
        f"--reference={folders[0]}/2004/first.midi",
        f"--estimate={folders[1]}/zweites Stück.csv",
        root=root,
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[2].split()[:4] == ["first", "0.667", "0.667", "0.667"]


def test_missing_and_broken_files_are_named_and_the_rest_is_scored(
    folders: tuple[Path, Path], tmp_path: Path, root: Path
) -> None:
    reference, estimate = folders
    write_midi(REFERENCE, reference / "lonely.mid")
    write_midi(REFERENCE, estimate / "stranger.mid")
    write_midi(REFERENCE, reference / "broken.mid")
    (estimate / "broken.mid").write_bytes(b"MThd")
    out = tmp_path / "scores.json"
    done = evaluate("--reference", reference, "--estimate", estimate, "--json", out, root=root)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == f"error: {reference}/lonely.mid: has no partner of that name in {estimate}"
    assert lines[1] == f"error: {estimate}/stranger.mid: has no partner of that name in {reference}"
    assert lines[2].startswith(f"error: {estimate}/broken.mid: is not a readable MIDI file")
    assert len(lines) == 3
    assert [line.split()[0] for line in done.stdout.splitlines()[2:4]] == ["first", "zweites"]
    report = json.loads(out.read_text())
    assert list(report["pieces"]) == ["first", "zweites Stück"] and len(report["problems"]) == 3


def test_midi_is_scored_as_it_sounds_and_repairs_are_warnings(tmp_path: Path, root: Path) -> None:
    """Each piece is right only if its MIDI is read as it sounds; the transcription has its notes in plain form."""
    reference, estimate, out = tmp_path / "ref", tmp_path / "est", tmp_path / "e.json"
    reference.mkdir()
    estimate.mkdir()
    notes = track([(0, on(60)), (500, off(60))])
    plain = Notes([0.0], [0.5], [60], [64])
    files = {
        "channels.mid": file(
            track([(0, on(60)), (100, off(60)), (200, on(38, channel=9))], end=900),
            track([(0, pedal(127)), (500, pedal(0))]),
        ),
        "empty.mid": file(track([(0, tempo(500_000))])),
        "film.mid": file(notes, division=0xE728),
        "riff.rmi": riff(file(notes)),
        "slow.mid": file(track([(0, on(60)), (32_767, off(60))]), division=32_767),
        "song.KAR": file(track([(0, on(60)), (1500, off(60))]), division=1500),
        "tempo.mid": file(track([(0, on(60)), (1000, off(60))]), track([(0, tempo(250_000))])),
        "tracks.mid": file(notes, announced=5),
    }
    for name, content in files.items():
        (reference / name).write_bytes(content)
        write_csv(
            Notes.empty() if name == "empty.mid" else plain, estimate / f"{Path(name).stem}.csv"
        )
    done = evaluate("--reference", reference, "--estimate", estimate, "--json", out, root=root)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"warning: {reference}/channels.mid: 1 note of percussion (channel 10) left out",
        f"warning: {reference}/tracks.mid: the header announces 5 tracks, the file has 1 track: all read",
    ]
    assert done.stdout.splitlines()[3].endswith("1.000 (reference and estimate without notes)")
    report = json.loads(out.read_text("utf-8"))
    assert {
        name: piece["scores"]["note_offset_f1"] for name, piece in report["pieces"].items()
    } == dict.fromkeys([Path(name).stem for name in files], 1.0)
    assert report["pieces"]["empty"]["empty"] == "reference and estimate"
    assert [f"warning: {text}" for text in report["warnings"]] == done.stderr.splitlines()
    compared = subprocess.run(
        [sys.executable, "-m", "tfamt.commands.compare", f"old={out}", f"new={out}"],
        cwd=root, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert compared.returncode == 0
    assert compared.stderr.splitlines() == [
        f"warning: {name}: {text}" for name in ("old", "new") for text in report["warnings"]
    ]


def test_midi_is_taken_before_text_of_the_same_name(folders: tuple[Path, Path], root: Path) -> None:
    (folders[0] / "first.txt").write_text("not read")
    assert evaluate("--reference", folders[0], "--estimate", folders[1], root=root).returncode == 0
    write_midi(REFERENCE, folders[0] / "first.midi")
    done = evaluate("--reference", folders[0], "--estimate", folders[1], root=root)
    assert done.returncode == 1 and "error: two files of one name: " in done.stderr


def test_wrong_calls_get_one_line_each(
    folders: tuple[Path, Path], tmp_path: Path, root: Path
) -> None:
    reference, estimate = folders
    empty = tmp_path / "empty"
    empty.mkdir()
    flagfile = tmp_path / "bad.flags"
    flagfile.write_text("--overwrite=perhaps\n")
    both = ["--reference", reference, "--estimate", estimate]
    cases: list[tuple[int, list[str | Path], str]] = [
        (1, [], "error: --reference is missing."),
        (1, ["--reference", reference], "error: --estimate is missing."),
        (1, [*both, "more"], "error: there are no arguments but flags. Received: more."),
        (1, ["--reference", reference, "--estimate", tmp_path / "no"], "no: does not exist."),
        (
            1,
            ["--reference", reference, "--estimate", estimate / "first.mid"],
            "one is a file, the other a folder",
        ),
        (1, ["--reference", empty, "--estimate", empty], "nothing could be scored"),
        (
            1,
            [*both, "--json", tmp_path / "bad.flags"],
            "bad.flags: exists already. To replace it, pass --overwrite",
        ),
        (2, [*both, "--jason=x"], "error: Unknown command line flag 'jason'"),
        (2, [*both, "--overwrite=perhaps"], "error: flag --overwrite=perhaps: "),
        (2, [f"--flagfile={flagfile}"], "error: flag --overwrite=perhaps: "),
        (2, [f"--flagfile={tmp_path}/no.flags"], "no.flags"),
    ]
    for code, arguments, message in cases:
        done = evaluate(*arguments, root=root)
        assert done.returncode == code, (arguments, done.stderr)
        assert message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stdout == ""


def test_existing_json_is_replaced_on_demand_only(
    folders: tuple[Path, Path], tmp_path: Path, root: Path
) -> None:
    out = tmp_path / "scores.json"
    out.write_text("mine")
    call = ["--reference", folders[0], "--estimate", folders[1], "--json", out]
    assert evaluate(*call, root=root).returncode == 1
    assert out.read_text() == "mine"
    assert evaluate(*call, "--overwrite", root=root).returncode == 0
    assert json.loads(out.read_text())["mean"]["note_f1"] > 0.8


def test_help_is_quick_and_complete(root: Path) -> None:
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        done = evaluate("--help", root=root)
        seconds.append(time.monotonic() - start)
    # The quickest of three: the others may share the machine.
    assert min(seconds) < 1.0
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Score transcriptions against reference notes, or a model")
    for flag in ("--reference", "--estimate", "--json", "--[no]overwrite", "--flagfile"):
        assert f"  {flag}: " in done.stdout
    assert "pdb" not in done.stdout and str(root) not in done.stdout


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path, root: Path) -> None:
    """The command's own frame, interrupted inside an atomic write."""
    program = f"""
import sys, time
from tfamt.commands.app import run
from tfamt.utils.output_paths import new_file
def main(argv):
    with new_file({str(tmp_path / "out.bin")!r}) as temporary:
        temporary.write_bytes(b"half")
        print("ready", flush=True)
        # Naps, no sleep: a signal just after the interpreter looked for one, before the system call, waits for its end.
        while True:
            time.sleep(0.1)
run(main)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    assert len(list(tmp_path.iterdir())) == 1
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=20)
    assert (child.returncode, stderr) == (130, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_reader_that_closes_early_is_no_fault_of_ours(
    unbuffered: str, folders: tuple[Path, Path], root: Path
) -> None:
    call = f"'{sys.executable}' -m pipelines.commands.evaluate --reference '{folders[0]}'"
    call += f" --estimate '{folders[1]}' | true"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        call, shell=True, cwd=root, capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.stderr == ""
