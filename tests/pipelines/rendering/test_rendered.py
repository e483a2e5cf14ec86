"""Test that labels and sound of rendered recordings agree in events and times."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from scipy.io import wavfile

from pipelines.preparation.index import load_index
from pipelines.readers.recordings import Recording
from pipelines.rendering.fluidsynth import ATTACK_FRACTION, check_soundfont
from pipelines.rendering.materials import find_midi
from pipelines.rendering.performances import (
    Performance,
    midi_bytes,
    parse_performance,
    performance_of,
)
from pipelines.rendering.rendered import (
    Rendering,
    Variations,
    alter,
    read,
    render,
    rendered_audio,
    rendered_notes,
)
from tests.support.make_fixtures import maestro_files, write_files
from tests.support.processes import command
from tfamt.audio.effects import Sound, load_response, record
from tfamt.errors import InputError
from tfamt.notes.table import Notes

DEBIAN_SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
PLAIN = Variations(0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.5)


@pytest.fixture(scope="module")
def soundfont() -> Path:
    if not DEBIAN_SOUNDFONT.is_file() or shutil.which("fluidsynth") is None:
        pytest.skip("needs the Debian packages fluidsynth and timgm6mb-soundfont")
    return DEBIAN_SOUNDFONT


def _write_midi(path: Path, notes: list[tuple[float, float, int, int]], pedal: tuple = ()) -> Path:
    midi = pretty_midi.PrettyMIDI(resolution=500)
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(v, p, start, end) for start, end, p, v in notes]
    piano.control_changes = [pretty_midi.ControlChange(64, value, time) for time, value in pedal]
    midi.instruments.append(piano)
    midi.write(str(path))
    return path


def _scale(path: Path) -> Path:
    # Gaps that are no multiple of the synthesiser's block of 64 frames.
    rows = [
        (0.3 + 0.7137 * i, 0.6 + 0.7137 * i, 24 + 7 * i % 84, 45 + 13 * i % 70) for i in range(24)
    ]
    return _write_midi(path, rows)


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (None, {"2018": "train", "2004": "train", "2006": "validation", "2014": "test"}),
        ("train", {"2018": "train", "2004": "train"}),
        ("test", {"2014": "test"}),
    ],
)
def test_one_split_of_maestro_or_all(
    tmp_path: Path, split: str | None, expected: dict[str, str]
) -> None:
    write_files(tmp_path, maestro_files("v3.0.0", with_audio=False))
    found, left_out = find_midi(str(tmp_path), split)
    assert {item.id[:4]: item.split for item in found} == expected
    assert left_out == []
    write_files(tmp_path / "plain", {"a.mid": b""})
    assert [i.split for i in find_midi(str(tmp_path / "plain"), split)[0]] == [split or "train"]


def _one(
    folder: Path, soundfont: Path, variations: Variations = PLAIN, **options: object
) -> Recording:
    return read(str(folder), [str(soundfont)], variations=variations, **options).recordings[0]  # type: ignore[arg-type]


def _attacks(audio: np.ndarray, notes: Notes) -> np.ndarray:
    """Lateness of each note's attack in seconds, measured from 10 ms before its label."""
    late = []
    for onset in notes.onset:
        piece = np.abs(audio[round((onset - 0.01) * 16000) : round((onset + 0.2) * 16000)])
        late.append(np.argmax(piece >= ATTACK_FRACTION * piece.max()) / 16000 - 0.01)
    return np.array(late)


def test_keys_of_a_performance_never_overlap_and_lie_on_the_piano() -> None:
    notes = Notes.from_rows(
        [
            (0.1004, 1.0, 60, 50),  # rounds to 100 ms; still held at 0.5 s, when it is struck again
            (0.5, 0.8, 60, 70),
            (0.5, 0.9, 60, 40),  # the same tick: the louder one is played
            (0.2, 0.2, 61, 64),  # no length: one tick
            (0.3, 0.4, 20, 64),  # below the piano
        ]
    )
    pedal = np.array([[0.0, 10], [0.6, 64], [0.7, 127], [0.75, 90], [1.2, 63], [1.3, 0]])
    performance = performance_of(notes, pedal)
    assert performance.keys.tolist() == [
        [100, 500, 60, 50],
        [200, 201, 61, 64],
        [500, 800, 60, 70],
    ]
    assert performance.pedal.tolist() == [[600, 1], [1200, 0]]
    assert list(performance.notes) == [(0.1, 0.5, 60, 50), (0.2, 0.201, 61, 64), (0.5, 1.2, 60, 70)]


def test_midi_holds_the_same_events_and_lets_the_pedal_go_at_the_end() -> None:
    rng = np.random.default_rng(3)
    onset = rng.uniform(0, 500, 2000)
    notes = Notes(
        onset,
        onset + rng.exponential(1, 2000),
        rng.integers(21, 109, 2000),
        rng.integers(1, 128, 2000),
    )
    pedal = np.stack([np.sort(rng.uniform(0, 500, 301)), np.resize([127, 0], 301)], axis=1)
    performance = performance_of(notes, pedal, cents=-20.0)
    content = midi_bytes(performance, end=520.0)
    again = parse_performance(content, "x.mid")
    assert again.keys.tolist() == performance.keys.tolist()
    # The pedal is down at the last event of the 301, so the release at the end is one more change.
    assert again.pedal.tolist() == [*performance.pedal.tolist(), [520_000, 0]]
    import io

    instrument = pretty_midi.PrettyMIDI(io.BytesIO(content)).instruments[0]
    assert [bend.pitch for bend in instrument.pitch_bends] == [-819]  # -20 / 200 * 8192


def test_alter_worked_by_hand() -> None:
    original = Performance(
        np.array([[1000, 2000, 60, 127], [3000, 4000, 107, 32]]), np.array([[1500, 1], [5000, 0]])
    )
    rendering = Rendering(transposition=2, tempo=2.0, touch=2.0, cents=5.0, sound=Sound(), lag=0.0)
    altered = alter(original, rendering)
    # 107 + 2 is beyond the piano.
    assert altered.keys.tolist() == [[500, 1000, 62, 127]]
    assert altered.pedal.tolist() == [[750, 1], [2500, 0]]
    assert list(altered.notes) == [(0.5, 2.5, 62, 127)]
    assert altered.cents == 5.0
    softer = alter(original, dataclasses.replace(rendering, transposition=0))
    assert softer.keys[1].tolist() == [1500, 2000, 107, 8]  # 127 * (32 / 127) ** 2 = 8.06


def test_what_is_drawn_depends_on_seed_and_name_alone(tmp_path: Path, soundfont: Path) -> None:
    for name in ("a", "b", "c"):
        _scale(tmp_path / f"{name}.mid")
    everything = Variations()
    three = read(str(tmp_path), [str(soundfont)], seed=5, variations=everything)
    (tmp_path / "a.mid").unlink()
    two = read(str(tmp_path), [str(soundfont)], seed=5, variations=everything)
    assert [item.rendering for item in three.recordings[1:]] == [
        item.rendering for item in two.recordings
    ]
    other = read(str(tmp_path), [str(soundfont)], seed=6, variations=everything)
    assert not {item.rendering for item in other.recordings} & {
        item.rendering for item in two.recordings
    }
    assert {item.group for item in two.recordings} == {"TimGM6mb"}


def test_sound_keeps_to_its_labels_within_3_ms(tmp_path: Path, soundfont: Path) -> None:
    _scale(tmp_path / "a.mid")
    recording = _one(tmp_path, soundfont, Variations(2, 0.2, 0.2, 50.0, 0.0, 0.0, -0.5), seed=4)
    samples, blocks = rendered_audio(recording)
    audio, notes = np.concatenate(list(blocks)), rendered_notes(recording)
    assert len(audio) == samples == round((notes.end + 2) * 16000)
    late = _attacks(audio, notes)
    assert len(late) == 24
    assert abs(np.median(late)) < 0.003


@pytest.mark.slow
def test_every_piano_at_hand_keeps_to_its_labels(tmp_path: Path, shared_dir: Path) -> None:
    _scale(tmp_path / "a.mid")
    fonts = sorted((shared_dir / "data" / "pianos").glob("*.sf3"))
    assert fonts
    for font in fonts:
        recording = _one(tmp_path, font)
        audio = np.concatenate(list(rendered_audio(recording)[1]))
        late = _attacks(audio, rendered_notes(recording))
        assert abs(np.median(late)) < 0.003, (font.name, late)


@pytest.mark.parametrize("cents", [-40.0, 0.0, 40.0])
def test_tuning_moves_the_pitch_and_not_the_time(
    tmp_path: Path, soundfont: Path, cents: float
) -> None:
    _write_midi(tmp_path / "a.mid", [(0.5, 2.5, 69, 90), (60.0, 61.0, 69, 90)])
    recording = _one(tmp_path, soundfont)
    rendering = dataclasses.replace(Rendering.of(recording), cents=cents)
    recording = dataclasses.replace(recording, rendering=_json(rendering))
    audio = np.concatenate(list(rendered_audio(recording)[1]))
    spectrum = np.abs(np.fft.rfft(audio[12_000:36_000] * np.hanning(24_000), 2**20))
    band = np.arange(2**20 // 2 + 1) * 16000 / 2**20
    peak = band[np.argmax(np.where((band > 410) & (band < 470), spectrum, 0))]
    assert abs(1200 * np.log2(peak / 440) - cents) < 4
    first, second = _attacks(audio, rendered_notes(recording))
    assert abs(second - first) < 0.002


def _json(rendering: Rendering) -> str:
    import json

    return json.dumps(dataclasses.asdict(rendering))


def test_a_pedal_that_is_never_released_ends(tmp_path: Path, soundfont: Path) -> None:
    _write_midi(tmp_path / "a.mid", [(0.1, 0.2, 60, 90), (3.0, 3.1, 64, 90)], ((0.0, 127),))
    recording = _one(tmp_path, soundfont)
    # It lets go at the file's last event, the key's release at 3.1 s.
    assert list(rendered_notes(recording)) == [(0.1, 3.1, 60, 90), (3.0, 3.1, 64, 90)]
    render(recording, tmp_path / "a.wav")
    rate, audio = wavfile.read(tmp_path / "a.wav")
    assert (rate, audio.shape, audio.dtype) == (16000, (round(5.1 * 16000),), np.int16)
    # -0.5 dB of full scale; and the note still sounds long after its key is released.
    assert np.abs(audio).max() == pytest.approx(32767 * 10 ** (-0.5 / 20), abs=1)
    assert np.abs(audio[40_000:46_000]).max() > 100


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path, soundfont: Path) -> None:
    _scale(tmp_path / "a.mid")
    recording = _one(tmp_path, soundfont, Variations(noise=1.0))
    for name in ("1.wav", "2.wav"):
        render(recording, tmp_path / name)
    assert (tmp_path / "1.wav").read_bytes() == (tmp_path / "2.wav").read_bytes()


def test_validation_pianos_are_kept_out_of_training(tmp_path: Path, soundfont: Path) -> None:
    _scale(tmp_path / "a.mid")
    other = tmp_path / "other.sf2"
    other.symlink_to(soundfont)
    copy = tmp_path / "copy.sf2"
    shutil.copy(soundfont, copy)
    options = {"validation_soundfonts": [str(copy)]}
    for seed in range(4):
        train = read(str(tmp_path), [str(soundfont), str(copy)], seed=seed, **options)
        validation = read(
            str(tmp_path), [str(soundfont), str(copy)], seed=seed, split="validation", **options
        )
        assert [item.group for item in train.recordings] == ["TimGM6mb"]
        assert [item.group for item in validation.recordings] == ["copy"]
    with pytest.raises(InputError, match="to train on"):
        read(str(tmp_path), [str(copy)], **options)


def test_errors_say_what_to_do(
    tmp_path: Path, soundfont: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no usable recording of rendered"):
        read(str(tmp_path), [str(soundfont)])
    _scale(tmp_path / "a.mid")
    fake = tmp_path / "fake.sf2"
    fake.write_bytes(b"RIFF no SoundFont")
    for content in (b"", b"RIFF no SoundFont"):
        fake.write_bytes(content)
        with pytest.raises(InputError, match=r"fake\.sf2: is no SoundFont"):
            read(str(tmp_path), [str(fake)])
    # A damaged one must not be replaced by whichever SoundFont the system has.
    fake.write_bytes(soundfont.read_bytes()[:1000])
    with pytest.raises(InputError, match="makes no sound"):
        read(str(tmp_path), [str(fake)])
    with pytest.raises(InputError, match="no such SoundFont"):
        read(str(tmp_path), [str(tmp_path / "none.sf2")])
    monkeypatch.setenv("PATH", str(tmp_path))
    check_soundfont.cache_clear()
    with pytest.raises(InputError, match="apt-get install fluidsynth"):
        read(str(tmp_path), [str(soundfont)])


def test_room_is_a_convolution_without_delay(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    response = np.zeros(4000, np.float32)
    response[7:] = 0.3 * rng.standard_normal(3993) * np.exp(-np.arange(3993) / 500)
    response[5], response[6] = 0.05, 1.0  # what comes before the direct path is no fifth of it
    wavfile.write(tmp_path / "room.wav", 16000, response)
    assert load_response(str(tmp_path / "room.wav"))[1] == 6
    dry = (0.1 * rng.standard_normal(100_000)).astype(np.float32)
    expected = np.convolve(dry, response)[6 + 50 : 6 + 50 + 99_000]
    sound = Sound(room=str(tmp_path / "room.wav"), peak=-6.0)
    pieces = np.split(dry, [1, 1000, 1000, 3000, 60_000])
    wet = np.concatenate(list(record(pieces, sound, samples=99_000, skip=50)))
    scale = 10 ** (-6 / 20) / np.abs(expected).max()
    np.testing.assert_allclose(wet, expected * scale, atol=2e-6)


@pytest.mark.parametrize("colour", ["white", "pink"])
def test_noise_is_as_strong_as_said(colour: str) -> None:
    time = np.arange(400_000) / 16000
    music = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    clean, noisy = (
        np.concatenate(list(record([music], Sound(noise=noise, noise_below=30.0), samples=400_000)))
        for noise in (None, colour)
    )
    noise = noisy - clean
    assert 20 * np.log10(clean.std() / noise.std()) == pytest.approx(30.0, abs=0.5)
    power = np.square(np.abs(np.fft.rfft(noise)))
    bands = [power[low * 25 : 2 * low * 25].sum() for low in (100, 400, 1600)]
    # White noise has twice the power in each octave, pink noise the same.
    expected = [1, 4, 16] if colour == "white" else [1, 1, 1]
    np.testing.assert_allclose(bands / bands[0], expected, rtol=0.15)


def test_silence_is_an_error() -> None:
    with pytest.raises(InputError, match="no sound"):
        list(record([np.zeros(100, np.float32)], Sound(), samples=100))


def test_rendered_and_trained_on_through_the_command_line(
    tmp_path: Path, root: Path, soundfont: Path
) -> None:
    midi = tmp_path / "midi"
    midi.mkdir()
    for name, pitches in {"scale": range(60, 72), "chords": (48, 52, 55, 60)}.items():
        notes = [(0.5 + 0.25 * n, 1.0 + 0.25 * n, pitch, 70) for n, pitch in enumerate(pitches)]
        _write_midi(midi / f"{name}.mid", notes)

    def run(module: str, *flags: str) -> subprocess.CompletedProcess[str]:
        return command(f"pipelines.commands.{module}", *flags, cwd=root)

    data = tmp_path / "data"
    prepared = run(
        *("prepare", "--dataset=rendered", f"--midi={midi}", f"--soundfonts={soundfont}"),
        *("--transposition=2", "--tuning=10", "--seed=4", "--workers=1", f"--output={data}"),
    )
    assert prepared.returncode == 0, prepared.stderr
    assert prepared.stdout.splitlines()[-1].startswith("train: 2 recordings, 0.0")
    assert prepared.stdout.splitlines()[-1].endswith(" hours, 16 notes")
    stored = load_index(data, "train")
    assert sorted(item.entry.group for item in stored) == ["TimGM6mb", "TimGM6mb"]
    trained = run(
        *("train", "--preset=tiny", f"--data={data}", f"--run_dir={tmp_path / 'run'}"),
        *("--training_steps=1", "--augment_tuning_cents=10", "--augment_transpose_semitones=2"),
    )
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.splitlines()[-2].startswith("step 1/1  loss ")
    assert (tmp_path / "run" / "weights.npz").is_file()
