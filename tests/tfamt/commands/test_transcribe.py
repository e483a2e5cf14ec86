"""Test bin/transcribe through the command line, with good and bad recordings."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
import soundfile

import tfamt
from tests.support.processes import command
from tfamt.config import replace
from tfamt.network.weights import load_weights, save_weights, shipped_weights
from tfamt.notes.label_files import read_labels

RATE = 16000


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return command("tfamt.commands.transcribe", *arguments, **options)


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def noise(seconds: float, channels: int = 1, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.01, (round(seconds * rate), channels))


def bad_inputs(folder: Path) -> dict[Path, str]:
    """Recordings that cannot be transcribed, and what must be said of each."""
    flac = write(folder / "cut.flac", noise(2.0))
    flac.write_bytes(flac.read_bytes()[:-5000])
    with_nan = noise(1.0)
    with_nan[8000] = np.nan
    cases = {
        folder / "missing.wav": "does not exist",
        folder / "folder.wav": "folder",
        folder / "empty.wav": "empty",
        folder / "text.wav": "not",
        flac: "cut.flac",
        write(folder / "none.wav", np.zeros((0, 1))): "no samples",
        write(folder / "nan.wav", with_nan, subtype="FLOAT"): "0.5",
    }
    (folder / "folder.wav").mkdir()
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("This is no sound.\n" * 10)
    return cases


def test_a_batch_goes_on_past_what_is_bad(root: Path, tmp_path: Path) -> None:
    bad = bad_inputs(tmp_path)
    good = {
        root / "examples" / "prelude.ogg": None,
        write(tmp_path / "short.wav", noise(0.01)): 0,
        write(tmp_path / "silent.wav", np.zeros(RATE * 3)): 0,
        write(tmp_path / "eight.wav", noise(2.0, channels=8)): None,
        write(tmp_path / "fast.wav", noise(1.0, rate=192_000), 192_000): None,
        write(tmp_path / "slow.wav", noise(2.0, rate=4_000), 4_000): None,
    }
    out = tmp_path / "out"
    done = run("--output_dir", out, "--csv", *bad, *good)
    assert done.returncode == 1
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{path.stem}.{kind}" for path in good for kind in ("mid", "csv")
    )
    errors = done.stderr.strip().split("\n")
    assert len(errors) == len(bad), done.stderr
    for path, said in bad.items():
        (line,) = [line for line in errors if str(path) in line]
        assert line.startswith("error: ")
        assert said in line
    for path, count in good.items():
        notes = read_labels(out / f"{path.stem}.csv")
        assert f"{path}: {len(notes)} notes -> {out / path.stem}.mid" in done.stdout
        if count is not None:
            assert len(notes) == count


def test_everything_at_once_and_never_over_what_is_there(root: Path, tmp_path: Path) -> None:
    recording = root / "examples" / "prelude.ogg"
    kinds = ("--csv", "--json", "--png", "--wav")
    done = run("--output_dir", tmp_path, "--program", 6, *kinds, recording)
    assert (done.returncode, done.stderr) == (0, "")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "prelude.mid",
        "prelude.csv",
        "prelude.json",
        "prelude.png",
        "prelude.notes.wav",
    }
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "prelude.mid"))
    assert [instrument.program for instrument in midi.instruments] == [6]
    table = read_labels(tmp_path / "prelude.csv")
    stored = json.loads((tmp_path / "prelude.json").read_text())
    assert len(stored["notes"]) == len(table) == len(midi.instruments[0].notes)
    assert stored["audio"] == "prelude.ogg"
    assert stored["duration"] == pytest.approx(soundfile.info(str(recording)).duration)
    # The same from Python, with the same defaults; tables hold microseconds, and another process rounds the last bit of
    # a probability another way, which moves an onset between frames by about as much.
    ours = tfamt.transcribe(recording)
    np.testing.assert_allclose(table.intervals, ours.intervals, rtol=0, atol=5e-6)
    np.testing.assert_array_equal(table.pitch, ours.pitch)
    np.testing.assert_array_equal(table.velocity, ours.velocity)
    estimated = soundfile.info(str(tmp_path / "prelude.notes.wav"))
    assert estimated.duration == pytest.approx(stored["duration"], abs=0.01)

    (tmp_path / "prelude.mid").unlink()
    before = (tmp_path / "prelude.csv").read_bytes()
    again = run("--output_dir", tmp_path, "--csv", recording)
    assert again.returncode == 1
    assert "prelude.csv: exists already" in again.stderr
    assert "--overwrite" in again.stderr
    assert not (tmp_path / "prelude.mid").exists()
    assert (tmp_path / "prelude.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 1, "no recording was given"),
        (["--no_such_flag", "a.wav"], 2, "no_such_flag"),
        (["--program=128", "a.wav"], 2, "128"),
        (["--flagfile=missing.flags", "a.wav"], 2, "missing.flags"),
        (["--flagfile=bad.flags", "a.wav"], 2, "loud"),
        (["--weights=missing.npz", "tone.wav"], 1, "missing.npz: does not exist"),
        (["--weights=tone.wav", "tone.wav"], 1, "tone.wav: is not a weights file"),
        (["--weights=other.npz", "tone.wav"], 1, "other.npz: holds weights of another config"),
        (["--weights=nan.npz", "tone.wav"], 1, "nan.npz: holds values that are not finite numbers"),
        (["--output_dir=tone.wav", "tone.wav"], 1, "tone.wav: cannot be made"),
        (["one/tone.wav", "--output_dir=out", "tone.wav"], 1, "would collide"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    write(tmp_path / "tone.wav", noise(0.5))
    (tmp_path / "bad.flags").write_text("--program=loud\n")
    if "--weights=nan.npz" in arguments:
        config, arrays = load_weights(shipped_weights())
        name = next(iter(arrays))
        save_weights(tmp_path / "nan.npz", config, {**arrays, name: arrays[name] * np.nan})
    if "other.npz" in " ".join(arguments):
        config, arrays = load_weights(shipped_weights())
        save_weights(
            tmp_path / "other.npz", replace(config, "model", channels=(3, 5, 7, 9)), arrays
        )
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert all(line.startswith("error: ") for line in done.stderr.strip().split("\n"))
    assert not list(tmp_path.rglob("*.mid"))


def test_ctrl_c_leaves_nothing_half_done(tmp_path: Path) -> None:
    short = write(tmp_path / "a.wav", noise(1.0))
    long = write(tmp_path / "b.wav", noise(1800.0))
    command = [sys.executable, "-m", "tfamt.commands.transcribe", str(short), str(long)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "a.wav" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert process.stderr.read() == "interrupted\n"
    assert process.returncode == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mid", "a.wav", "b.wav"]


def test_help_comes_at_once_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['transcribe', '--help']\n"
        "from tfamt.commands import transcribe\n"
        "try:\n"
        "    transcribe.cli()\n"
        "finally:\n"
        "    print(sorted({'tensorflow', 'keras', 'numpy', 'soundfile'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "--output_dir" in done.stdout
    assert done.stdout.strip().endswith("[]")
