"""Test MIDI files: exact small cases, bytes, properties of the round trip."""

from __future__ import annotations

import struct
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

from tfamt.errors import InputError
from tfamt.notes.midi import (
    MAX_TICKS,
    RESOLUTIONS,
    parse_midi,
    read_midi,
    write_midi,
)
from tfamt.notes.table import Notes


def midi_file(path: Path, *tracks: list[tuple[int, mido.Message]]) -> Path:
    """A file with 1000 ticks a second from events at absolute ticks."""
    file = mido.MidiFile(ticks_per_beat=500)
    for events in tracks:
        track = mido.MidiTrack()
        now = 0
        for tick, message in events:
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    file.save(path)
    return path


def on(pitch: int, velocity: int = 64, channel: int = 0) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)


def off(pitch: int, channel: int = 0) -> mido.Message:
    return mido.Message("note_off", note=pitch, channel=channel)


def pedal(value: int, channel: int = 0) -> mido.Message:
    return mido.Message("control_change", control=64, value=value, channel=channel)


def test_sustain_pedal_extends_until_release_or_restrike(tmp_path: Path) -> None:
    path = midi_file(
        tmp_path / "pedal.mid",
        [
            (0, on(60, 80)),
            (100, pedal(127)),
            (200, off(60)),
            (300, on(64, 50)),
            (400, off(64)),
            (500, on(60, 90)),
            (600, on(60, 0)),
            (1000, pedal(0)),
        ],
    )
    assert list(read_midi(path)) == [
        (0.0, 0.5, 60, 80),
        (0.3, 1.0, 64, 50),
        (0.5, 1.0, 60, 90),
    ]


def test_pedal_of_one_instrument_leaves_the_others_alone_and_drums_are_ignored(
    tmp_path: Path,
) -> None:
    path = midi_file(
        tmp_path / "two.mid",
        [(0, pedal(127)), (100, on(60)), (200, off(60)), (900, pedal(0))],
        [(100, on(62, channel=1)), (200, off(62, channel=1))],
        [(100, on(38, channel=9)), (200, off(38, channel=9))],
    )
    assert list(read_midi(path)) == [(0.1, 0.9, 60, 64), (0.1, 0.2, 62, 64)]


def test_tempo_changes_are_followed(tmp_path: Path) -> None:
    tempo = [
        (0, mido.MetaMessage("set_tempo", tempo=500_000)),
        (1000, mido.MetaMessage("set_tempo", tempo=250_000)),
    ]
    path = midi_file(tmp_path / "tempo.mid", tempo, [(500, on(60)), (2000, off(60))])
    assert list(read_midi(path)) == [(0.5, 1.5, 60, 64)]


def test_written_file_is_one_track_in_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "out.mid"
    write_midi(Notes.from_rows([(0.25, 1.0, 60, 100), (0.5, 0.75, 48, 1)]), path, program=5)
    file = mido.MidiFile(path)
    assert file.ticks_per_beat == 500
    assert [m.tempo for m in file.tracks[0] if m.type == "set_tempo"] == [500_000]
    (track,) = file.tracks[1:]
    events = [(m.time, m.note, m.velocity) for m in track if m.type == "note_on"]
    assert events == [(250, 60, 100), (250, 48, 1), (250, 48, 0), (250, 60, 0)]
    assert [m.program for m in track if m.type == "program_change"] == [5]


def test_times_come_back_within_a_millisecond_over_hours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for hours in (0.1, 2.7, 4.5):
        # Distinct notes: each pitch again no sooner than 88 steps later.
        onset = np.linspace(0.0, hours * 3600 - 10, 3000) + rng.uniform(0, 0.1, 3000)
        notes = Notes(onset, onset + rng.uniform(0.05, 3, 3000), 21 + np.arange(3000) % 88)
        path = tmp_path / f"{hours}.mid"
        write_midi(notes, path)
        back = read_midi(path)
        assert np.array_equal(back.pitch, notes.pitch)
        # Hours apart the notes of a pitch never meet, six minutes crowd them.
        cut = np.zeros(len(notes), bool) if hours > 1 else notes.offset - notes.onset > 1.9
        assert np.abs(back.onset - notes.onset).max() < 1e-3
        assert np.abs(back.offset - notes.offset)[~cut].max() < 1e-3


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_every_resolution_keeps_the_tempo_exact(resolution: int, tmp_path: Path) -> None:
    """pretty_midi cuts the tempo off to whole microseconds; for some resolutions it lands one short."""
    end = (MAX_TICKS - 1) / (2 * resolution) - 2
    write_midi(Notes([end - 1], [end], [60]), tmp_path / "long.mid")
    file = mido.MidiFile(tmp_path / "long.mid")
    assert file.ticks_per_beat == resolution
    assert [m.tempo for m in file.tracks[0] if m.type == "set_tempo"] == [500_000]
    assert read_midi(tmp_path / "long.mid").end == pytest.approx(end, abs=0.5 / (2 * resolution))


def test_notes_that_midi_cannot_separate(tmp_path: Path) -> None:
    path = tmp_path / "out.mid"
    notes = Notes.from_rows(
        [
            (0.0, 2.0, 60, 50),  # still sounding when struck again: ends there
            (1.0, 1.5, 60, 60),
            (1.5, 1.8, 60, 61),  # begins where the last one ends: no gap, and no merging
            (3.0, 3.0, 62, 70),  # no length: one tick
            (4.0, 4.2, 64, 10),  # twice in one tick: loudest and longest
            (4.0001, 4.6, 64, 9),
        ]
    )
    write_midi(notes, path)
    expected = [
        (0.0, 1.0, 60, 50),
        (1.0, 1.5, 60, 60),
        (1.5, 1.8, 60, 61),
        (3.0, 3.001, 62, 70),
        (4.0, 4.6, 64, 10),
    ]
    np.testing.assert_allclose(list(read_midi(path)), expected, rtol=0, atol=1e-9)


def test_no_notes_make_a_valid_file(tmp_path: Path) -> None:
    write_midi(Notes.empty(), tmp_path / "silence.mid")
    assert len(read_midi(tmp_path / "silence.mid")) == 0


def test_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    notes = Notes([0.0], [1.0], [60])
    path = tmp_path / "out.mid"
    with pytest.raises(InputError, match=r"0\.\.127\. Received: 128"):
        write_midi(notes, path, program=128)
    with pytest.raises(InputError, match="too late for a MIDI file"):
        write_midi(notes.shift(200_000), path)
    assert list(tmp_path.iterdir()) == []
    write_midi(notes, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"out\.mid: exists already"):
        write_midi(notes.shift(1), path)
    assert path.read_bytes() == before
    write_midi(notes.shift(1), path, overwrite=True)
    assert list(read_midi(path)) == [(1.0, 2.0, 60, 64)]


def test_broken_files_are_named(tmp_path: Path) -> None:
    good = tmp_path / "good.mid"
    write_midi(Notes(np.arange(20.0), np.arange(20.0) + 0.5, np.arange(40, 60)), good)
    content = good.read_bytes()
    no_rate = content[:12] + struct.pack(">bB", -26, 40) + content[14:]
    no_time = content[:12] + struct.pack(">H", 0) + content[14:]
    cases = {
        "empty": (b"", "the file is empty"),
        "text": (b"these are not notes", "not a readable MIDI file"),
        "truncated": (
            content[: len(content) // 2],
            "not a readable MIDI file .track 2 breaks off.",
        ),
        "header_only": (content[:14], "it holds no track"),
        "short_header": (content[:12], "its header is too short"),
        "no_rate": (no_rate, r"it counts 40 ticks in each of 26 frames per second"),
        "no_time": (no_time, "a quarter note has 0 ticks"),
    }
    for name, (broken, message) in cases.items():
        with pytest.raises(InputError, match=message) as error:
            parse_midi(broken, f"{name}.mid")
        assert str(error.value).startswith(f"{name}.mid: ") and "\n" not in str(error.value)
    with pytest.raises(InputError, match="nowhere.mid: cannot be read"):
        read_midi(tmp_path / "nowhere.mid")
    with pytest.raises(InputError, match="cannot be read"):
        read_midi(tmp_path)


def test_agrees_with_pretty_midi_where_there_is_no_pedal(tmp_path: Path) -> None:
    path = tmp_path / "plain.mid"
    write_midi(Notes([0.1, 0.7], [0.5, 1.9], [30, 90], [3, 127]), path, program=19)
    (instrument,) = pretty_midi.PrettyMIDI(str(path)).instruments
    assert instrument.program == 19
    rows = [(n.start, n.end, n.pitch, n.velocity) for n in instrument.notes]
    np.testing.assert_allclose(rows, [(0.1, 0.5, 30, 3), (0.7, 1.9, 90, 127)], rtol=0, atol=1e-9)
