"""Test the sounds of the robustness study, and the scores of its command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.rendering.performances import performance_of
from pipelines.studies.robustness import by_instruments, changed, mp3_bytes, passages, without_music
from tests.pipelines.rendering.test_rendered import DEBIAN_SOUNDFONT
from tests.support.processes import command
from tfamt.audio.reading import SAMPLE_RATE
from tfamt.evaluation.metrics import score
from tfamt.notes.label_files import read_labels
from tfamt.notes.table import Notes
from tfamt.transcription.transcriber import Transcriber

TIME = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
TONE = (0.25 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)
NOTES = Notes([1.0], [2.0], [69], [80])


def _hertz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 2**20))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / 2**20


def test_a_changed_recording_is_changed_as_its_name_says() -> None:
    found = dict(changed(TONE, NOTES))
    assert list(found) == [
        "as it is", "-30 cents", "+30 cents", "-40 dB, in 16 bits", "clipped, 12 dB too loud", "mp3, 64 kbit/s",
    ]  # fmt: skip
    # 2^(30 / 1200) = 1.017480
    sharp, flat = found["+30 cents"], found["-30 cents"]
    assert _hertz(sharp.waveform) == pytest.approx(440 * 1.01748, abs=0.05)
    assert _hertz(flat.waveform) == pytest.approx(440 / 1.01748, abs=0.05)
    assert sharp.notes.onset[0] == pytest.approx(0.982820, abs=1e-6)
    assert flat.notes.offset[0] == pytest.approx(2.034959, abs=1e-6)
    soft = found["-40 dB, in 16 bits"].waveform * 32768
    assert np.abs(soft).max() == 82  # 0.25 * 0.01 * 32768 = 81.92
    np.testing.assert_array_equal(soft, np.round(soft))
    clipped = found["clipped, 12 dB too loud"].waveform
    # sin x > 10^(-12/20) = 0.2512 on 83.8 % of a period.
    assert np.mean(np.abs(clipped) == 1) == pytest.approx(0.838, abs=0.005)
    for name in ("-40 dB, in 16 bits", "clipped, 12 dB too loud", "mp3, 64 kbit/s"):
        assert found[name].notes.onset[0] == 1.0 and len(found[name].waveform) == len(TONE)


def test_in_a_room_all_comes_again_later_and_no_louder() -> None:
    response = np.zeros(9000, np.float32)
    response[[0, 8000]] = 1.0, -0.75
    # Half a second of -0.75 times itself, from 0.5 s on: where both sound, there is a quarter left.
    steady = np.full(2 * SAMPLE_RATE, 0.2, np.float32)
    room = dict(changed(steady, NOTES, response))["in a room"]
    assert room.notes is NOTES and len(room.waveform) == len(steady)
    loud, soft = room.waveform[100], room.waveform[-100]
    assert loud / soft == pytest.approx(4.0, rel=1e-4)
    # As loud as it was: (8000 + 24000 / 16) / 32000 of the power that the direct sound has.
    assert loud == pytest.approx(0.2 / (9500 / 32_000) ** 0.5, rel=1e-4)
    silent = dict(changed(np.zeros(1000, np.float32), NOTES, response))["in a room"]
    assert not silent.waveform.any()


def test_an_mp3_has_the_rate_it_says_and_does_not_move_what_it_holds() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.02, 5 * SAMPLE_RATE).astype(np.float32)
    waveform[[20_000, 50_000]] = 0.9
    assert 8 * len(mp3_bytes(waveform)) / 5 == pytest.approx(64_000, rel=0.03)
    through = dict(changed(waveform, NOTES))["mp3, 64 kbit/s"].waveform
    assert np.argmax(np.abs(through[:35_000])) == 20_000
    assert np.argmax(np.abs(through[35_000:])) == 15_000
    assert np.abs(through - waveform).max() > 1e-3


def test_noises_have_their_level_and_colour() -> None:
    found = without_music(20.0)
    assert not found["silence"].waveform.any()
    for name in ("white noise", "pink noise"):
        waveform = found[name].waveform
        assert len(waveform) == 20 * SAMPLE_RATE and len(found[name].notes) == 0
        # -30 dB.
        assert np.sqrt(np.mean(waveform**2)) == pytest.approx(0.0316, rel=0.1)
    power = np.abs(np.fft.rfft(found["pink noise"].waveform)) ** 2
    octaves = [power[20 * low : 40 * low].sum() for low in (125, 500, 2000)]
    np.testing.assert_allclose(octaves, np.mean(octaves), rtol=0.15)


def test_passages_are_what_they_are_called() -> None:
    found = passages()
    assert set(found["lowest octave"].keys[:, 2]) == set(range(21, 33))
    assert set(found["highest octave"].keys[:, 2]) == set(range(97, 109))
    for times in (5, 10):
        press, _, pitch, _ = found[f"a key {times} times a second"].keys.T
        assert (np.diff(press) == 1000 // times).all() and (pitch[:10] == 60).all()
    press, _, _, _ = found["chords of ten notes"].keys.T
    assert (np.unique(press, return_counts=True)[1] == 10).all()
    held = found["pedal held for 12 s"]
    assert held.held.offset[0] == pytest.approx(0.7)
    # Until the pedal is let go, or the key is struck again.
    again = held.held.onset[1:][held.held.pitch[1:] == held.held.pitch[0]]
    assert held.notes.offset[0] == pytest.approx(min(12.3, *again))


def test_an_organ_goes_on_where_a_guitar_fades() -> None:
    if not DEBIAN_SOUNDFONT.is_file() or shutil.which("fluidsynth") is None:
        pytest.skip("needs the Debian packages fluidsynth and timgm6mb-soundfont")
    long = performance_of(Notes([0.5], [4.0], [60], [90]), np.zeros((0, 2)))
    left = {}
    for name, example in by_instruments(long, DEBIAN_SOUNDFONT):
        early, late = (example.waveform[begin : begin + 8000] for begin in (16_000, 52_000))
        left[name] = float(np.square(late).sum() / np.square(early).sum())
    assert list(left) == ["piano", "organ", "guitar", "violin"]
    assert left["organ"] > 0.5 and left["guitar"] < 0.1 and left["piano"] < 0.3


@pytest.mark.slow
def test_the_command_scores_the_transcriptions_of_the_model(root: Path, tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    shutil.copy(root / "examples" / "prelude.ogg", recordings)
    shutil.copy(root / "examples" / "reference" / "prelude.mid", recordings)
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    soundfile.write(rooms / "none.flac", np.eye(1, 100)[0], SAMPLE_RATE)
    call = [
        "benchmarks.command",
        "conditions",
        "--minutes=0.1",
        f"--room_responses={rooms}",
    ]
    flags = [f"--recordings={recordings}", f"--json={tmp_path / 'out.json'}"]
    done = command(*call, *flags, cwd=root)
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "out.json").read_text())
    assert parts["without music: notes per minute"]["silence"] == {"notes a minute": 0}
    # The same on every processor.
    notes = Transcriber.load(precision="float32").transcribe(recordings / "prelude.ogg")
    expected = score(read_labels(recordings / "prelude.mid"), notes)
    for figure, value in parts["recordings"]["as it is"].items():
        assert value == pytest.approx(expected[figure], abs=1e-6)
        assert f"{value:.3f}" in done.stdout
    assert parts["recordings"]["mp3, 64 kbit/s"]["note_f1"] > 0.9
    # A room without walls.
    assert parts["recordings"]["in a room"] == pytest.approx(
        parts["recordings"]["as it is"], abs=5e-3
    )
    (recordings / "prelude.mid").unlink()
    done = command(*call, *flags, cwd=root)
    assert done.returncode == 1 and "has no labels of its stem" in done.stderr
    done = command(*call, cwd=root)
    assert done.returncode == 1 and "nothing to put into rooms" in done.stderr
    done = command(*call[:3], f"--general_midi={rooms / 'none.flac'}", cwd=root)
    assert done.returncode == 1 and "is no SoundFont" in done.stderr
