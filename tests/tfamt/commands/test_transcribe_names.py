"""Test bin/transcribe and bin/evaluate with names of all kinds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import soundfile

from tests.support.processes import ROOT, command
from tests.tfamt.commands.test_transcribe import RATE, noise, run, write

LATIN = os.fsdecode(b"caf\xe9")
NFC, NFD = "\u00c9tude", "E\u0301tude"
GOOD = (LATIN, "Sonata No.1", "new\nline", "$\\frac{", "日本 😀", NFD, "n" * 245)
KINDS = (".mid", ".csv", ".json", ".png", ".notes.wav")
FLAGS = ("--csv", "--json", "--png", "--wav", "--journal=journal")


def results(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.endswith(KINDS)}


def test_names_that_a_terminal_cannot_show(tmp_path: Path) -> None:
    takes = tmp_path / "takes"
    takes.mkdir()
    samples = noise(0.2)
    for name in GOOD:
        with open(takes / f"{name}.wav", "wb") as file:
            soundfile.write(file, samples, RATE, format="WAV")
    # No suffix, and a dot that begins none.
    (takes / "Sonata No.2.wav").write_bytes((takes / f"{NFD}.wav").read_bytes())
    (takes / "Sonata No.2.wav").rename(takes / "Sonata No.2")
    write(takes / ("m" * 250 + ".wav"), samples)
    write(takes / "._a.wav", samples)
    listed = (f"takes/{NFC}.wav", "takes/Sonata No.2", f"takes/{LATIN}.wav")
    (tmp_path / "list").write_bytes(b"\n".join(map(os.fsencode, listed)))
    environment = os.environ | {
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "POSIX",
        "PYTHONPATH": str(ROOT),
    }
    call = ["-m", "tfamt.commands.transcribe", *FLAGS, "--list=list", "takes"]
    done = subprocess.run(
        [sys.executable, *call], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 1
    output, errors = done.stdout.decode("ascii"), done.stderr.decode("ascii")
    shown = {
        *("caf\\xe9", "Sonata No.1", "Sonata No.2", "new\\nline", "$\\frac{", "n" * 245),
        *("\\u65e5\\u672c \\U0001f600", "E\\u0301tude"),
    }
    lines = {line.partition("] ")[2] for line in output.splitlines()}
    suffix = {name: "" if name == "Sonata No.2" else ".wav" for name in shown}
    assert lines == {f"takes/{name}{suffix[name]}: 0 notes -> takes/{name}.mid" for name in shown}
    long = f"takes/{'m' * 250}"
    assert errors == (
        f"error: {long}.wav: {long}.notes.wav: is a name of 260 bytes, where 255 are allowed. "
        "Give the file that it is named after a shorter name.\n"
    )
    names = (*GOOD, "Sonata No.2")
    assert results(takes) == {f"{name}{kind}" for name in names for kind in KINDS}
    assert not [path for path in takes.iterdir() if path.name.startswith(".tfamt-")]
    stored = json.loads((takes / f"{LATIN}.json").read_text("utf-8"))
    assert stored["audio"] == f"{LATIN}.wav"

    # Again: nothing is new, also not what --wav wrote, nor the other form of an accent.
    (takes / f"{NFD}.wav").rename(takes / f"{NFC}.wav")
    again = run(*FLAGS, "--list=list", "takes", cwd=tmp_path)
    assert again.stdout == "8 done already\n"
    assert again.stderr == errors
    assert results(takes) == {f"{name}{kind}" for name in names for kind in KINDS}


def test_scores_of_such_names(tmp_path: Path) -> None:
    table = "onset,offset,pitch,velocity\n0.5,1.0,60,80\n"
    for folder, accent in (("labels", NFC), ("out", NFD)):
        (tmp_path / folder).mkdir()
        for name in (LATIN, accent, "new\nline"):
            (tmp_path / folder / f"{name}.csv").write_text(table)
    flags = ("--reference=labels", "--estimate=out", "--json=s.json", "--csv=s.csv", "--png=s.png")
    done = command("pipelines.commands.evaluate", *flags, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    pieces = json.loads((tmp_path / "s.json").read_text("utf-8"))["pieces"]
    assert pieces.keys() == {"caf\\xe9", NFC, "new\\nline"}
    assert {piece["scores"]["note_f1"] for piece in pieces.values()} == {1.0}
    assert pieces["caf\\xe9"]["reference"] == f"labels/{LATIN}.csv"
    assert pieces[NFC]["estimate"] == f"out/{NFD}.csv"
