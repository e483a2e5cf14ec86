"""Test bin/transcribe with a folder of recordings of many kinds, some of which break off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mir_eval
import numpy as np
import pytest

from tests.support.encoding import Kind, encode
from tests.support.processes import ROOT
from tfamt.audio.reading import read_native
from tfamt.notes.midi import read_midi
from tfamt.notes.table import Notes, midi_to_hz

SECONDS = 6.0
WAV = Kind("wav", "pcm_s16le", 44_100, ".wav")
SAME = {
    "memo.m4a": Kind("ipod", "aac", 44_100, ".m4a", bit_rate=96_000),
    "film.mp4": Kind("mp4", "aac", 44_100, ".mp4", bit_rate=96_000, has_video=True),
    "voice.OPUS": Kind("ogg", "libopus", 48_000, ".opus", bit_rate=96_000),
    "bare.mp3": Kind("mp3", "libmp3lame", 44_100, ".mp3", options={"write_xing": "0"}),
    "old.wma": Kind("asf", "wmav2", 44_100, ".wma", bit_rate=96_000),
    "apple.aiff": Kind("aiff", "pcm_s16be", 44_100, ".aiff"),
}


def transcribe(
    *arguments: str, cwd: Path, content: bytes = b""
) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "tfamt.commands.transcribe", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        call, cwd=cwd, env=environment, input=content, capture_output=True, check=False
    )
    return subprocess.CompletedProcess(
        call, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def agreement(found: Notes, expected: Notes) -> float:
    """Note F1 at 20 ms."""
    pairs = (
        each for notes in (expected, found) for each in (notes.intervals, midi_to_hz(notes.pitch))
    )
    scores = mir_eval.transcription.precision_recall_f1_overlap(
        *pairs, onset_tolerance=0.02, offset_ratio=None
    )
    return float(scores[2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of the example in many kinds of files, whole and cut."""
    path = tmp_path_factory.mktemp("takes")
    rate = 44_100
    music = read_native(ROOT / "examples" / "prelude.ogg")[: round(SECONDS * rate)]
    opposite = np.stack([music, -music], axis=1)
    (path / "plain.wav").write_bytes(encode(music, WAV))
    (path / "opposite.wav").write_bytes(encode(opposite, WAV))
    (path / "offset.wav").write_bytes(encode(music * 0.5 + 0.4, WAV))
    for name, kind in SAME.items():
        sound = (
            music
            if kind.rate == rate
            else np.interp(
                np.arange(round(SECONDS * kind.rate)) / kind.rate,
                np.arange(len(music)) / rate,
                music,
            )
        )
        (path / name).write_bytes(encode(sound, kind))
    flac = encode(music, Kind("flac", "flac", rate, ".flac"))
    (path / "cut.flac").write_bytes(flac[: len(flac) // 2])
    mp3 = encode(music, Kind("mp3", "libmp3lame", rate, ".mp3"))
    (path / "joined.mp3").write_bytes(mp3 + mp3)
    (path / "._memo.m4a").write_bytes(b"AppleDouble")
    (path / "notes.txt").write_text("no recording")
    return path


def test_every_kind_gives_the_same_notes_and_what_breaks_off_is_reported(folder: Path) -> None:
    done = transcribe(str(folder), "--output_dir", str(folder / "out"), cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {folder / 'cut.flac'}: is truncated or damaged after ")
    assert len(done.stderr.splitlines()) == 1
    plain = read_midi(folder / "out" / "plain.mid")
    assert len(plain) > 20
    for name in (*SAME, "opposite.wav", "offset.wav"):
        found = read_midi(folder / "out" / Path(name).with_suffix(".mid").name)
        assert agreement(found, plain) > 0.9, name
        if name in ("opposite.wav", "offset.wav", "apple.aiff"):
            assert abs(found.velocity.mean() - plain.velocity.mean()) < 4, name
    joined = read_midi(folder / "out" / "joined.mid")
    second = joined.select(joined.onset > SECONDS).shift(-SECONDS - 0.0755)
    assert abs(len(joined) - 2 * len(plain)) <= 4 and agreement(second, plain) > 0.7
    assert (
        not (folder / "out" / "cut.mid").exists() and not (folder / "out" / "._memo.mid").exists()
    )


def test_a_part_is_written_where_that_is_wanted(folder: Path) -> None:
    done = transcribe("cut.flac", "--partial", "--json", "--output_dir=part", cwd=folder)
    assert done.returncode == 1
    assert "error: cut.flac: is truncated or damaged after " in done.stderr
    seconds = float(done.stderr.partition("damaged after ")[2].split()[0])
    assert 2.0 < seconds < 4.0
    notes = read_midi(folder / "part" / "cut.mid")
    assert len(notes) > 0 and notes.onset.max() < seconds
    assert done.stdout == f"cut.flac: {len(notes)} notes until {seconds:.3f} s -> part/cut.mid\n"
    wav = (folder / "plain.wav").read_bytes()
    cut = wav[: len(wav) // 2]
    streamed = transcribe("-", "--partial", "--output_dir=part", cwd=folder, content=cut)
    assert streamed.returncode == 1
    assert "is truncated after 3.000 s" in streamed.stderr
    assert len(streamed.stdout.splitlines()) == len(read_midi(folder / "part" / "stdin.mid")) > 5
