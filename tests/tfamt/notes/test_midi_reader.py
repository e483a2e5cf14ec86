"""Test that MIDI is read as it sounds: against hand-worked times, mido's clock and symusic, and with damage."""

from __future__ import annotations

import io
import time
import tracemalloc
from pathlib import Path

import mido
import numpy as np
import pytest

from tests.support.midi_bytes import (
    END,
    Event,
    chunk,
    control,
    file,
    off,
    on,
    pedal,
    riff,
    tempo,
    track,
    variable,
)
from tfamt.errors import InputError
from tfamt.notes.midi import parse_midi, parse_midi_content
from tfamt.notes.table import Row

NOTE = [(0, on(60)), (500, off(60))]
"""Half a second."""
PLAYED = [(0.0, 0.5, 60, 64)]


def read(content: bytes) -> tuple[list[Row], list[str]]:
    """Notes in microseconds, and remarks."""
    midi = parse_midi_content(content, "x.mid")
    notes = [(round(a, 6), round(b, 6), pitch, velocity) for a, b, pitch, velocity in midi.notes]
    return notes, [*midi.remarks]


# --- time ---


def test_tempo_counts_on_whichever_track_it_is() -> None:
    melody = [(500, on(60)), (2000, off(60))]
    # 0.5 s a beat of 500 ticks until tick 1000, then 0.25 s a beat.
    faster = track([(1000, tempo(250_000))])
    for tracks in ((faster, track(melody)), (track(melody), faster)):
        assert read(file(*tracks)) == ([(0.5, 1.5, 60, 64)], [])
    merged = [melody[0], (1000, tempo(250_000)), melody[1]]
    assert read(file(track(merged), kind=0)) == ([(0.5, 1.5, 60, 64)], [])
    # Of two in one tick the later track decides; one at tick 0 replaces the default.
    twice = [track([(0, tempo(1))]), track([(0, tempo(1_000_000))]), track(NOTE)]
    assert read(file(*twice)) == ([(0.0, 1.0, 60, 64)], [])


def test_independent_tracks_of_type_2_follow_each_other() -> None:
    first = track([(0, tempo(250_000)), (0, pedal(127)), *NOTE], end=1000)
    # Without its own tempo, and not under the pedal of the first.
    second = track([(100, on(62)), (600, off(62))])
    notes = [(0.0, 0.25, 60, 64), (0.6, 1.1, 62, 64)]
    assert read(file(first, second, kind=2)) == (
        notes,
        ["its 2 tracks of type 2 read one after the other"],
    )
    assert read(file(first, kind=2)) == (notes[:1], [])


@pytest.mark.parametrize(
    ("division", "seconds"),
    [
        (0xE728, 0.5),  # 25 frames of 40 ticks: a tick is a millisecond, whatever the tempo
        (0xE850, 500 / 24 / 80),
        (0xE302, 500 / 2 * 1001 / 30_000),  # 29 stands for 29.97
        (0xE201, 500 / 30),
        (32_767, 500 / 32_767),
        (1, 500.0),
    ],
)
def test_every_division(division: int, seconds: float) -> None:
    events = [(0, tempo(1_000_000)), *NOTE]
    assert read(file(track(events), division=division)) == (
        [(0.0, round(seconds, 6), 60, 64)],
        [],
    )


def test_ticks_beyond_ten_million() -> None:
    start, end = 3_000_000_000, 3_000_500_000
    silence = b"\xff\x06\x00"
    steps = [(tick, silence) for tick in range(0, start, 2**27)]
    notes, remarks = read(file(track([*steps, (start, on(60)), (end, off(60))]), division=32_767))
    assert (notes, remarks) == (
        [(round(start / 65_534, 6), round(end / 65_534, 6), 60, 64)],
        [],
    )


def oracle(content: bytes) -> list[Row]:
    """The notes by mido's own clock, by rules as plain as possible: a list of all that happens, one after the other."""
    now = 0.0
    down: dict[int, bool] = {}
    held: dict[tuple[int, int], list[float]] = {}
    ringing: dict[tuple[int, int], list[float]] = {}
    notes: list[Row] = []

    def end(table: dict[tuple[int, int], list[float]], key: tuple[int, int]) -> None:
        if key in table:
            onset, velocity = table.pop(key)
            notes.append((onset, now, key[1], int(velocity)))

    for message in mido.MidiFile(file=io.BytesIO(content)):
        now += message.time
        if message.type == "control_change" and message.control == 64:
            down[message.channel] = message.value >= 64
            for key in [key for key in ringing if key[0] == message.channel and message.value < 64]:
                end(ringing, key)
        elif message.type == "note_on" and message.velocity:
            key = (message.channel, message.note)
            end(ringing, key)
            end(held, key)
            held[key] = [now, message.velocity]
        elif message.type in ("note_on", "note_off") and (message.channel, message.note) in held:
            key = (message.channel, message.note)
            if down.get(message.channel):
                ringing[key] = held.pop(key)
            else:
                end(held, key)
    return sorted(notes)


def random_tracks(seed: int, pedals: bool) -> list[bytes]:
    """Tracks with notes, tempo changes and pedals, no two events in one tick; the pedals come up at the end."""
    random = np.random.default_rng(seed)
    ticks = iter(np.cumsum(random.integers(1, 400, 4000)).tolist())
    tracks: list[list[Event]] = [[] for _ in range(4)]
    keys = random.permutation([(c, p) for c in (0, 1, 15) for p in range(30, 90)]).tolist()
    sounding: list[tuple[int, int, int]] = []
    for _ in range(300):
        where = int(random.integers(4))
        action = random.random()
        if action < 0.1:
            tracks[where].append((next(ticks), tempo(int(random.integers(1, 2**21)))))
        elif action < 0.3 and pedals:
            value, channel = int(random.integers(128)), int(random.choice([0, 1, 15]))
            tracks[where].append((next(ticks), pedal(value, channel)))
        elif sounding and action < 0.6:
            place, channel, pitch = sounding.pop(int(random.integers(len(sounding))))
            tracks[place].append((next(ticks), off(pitch, channel)))
            keys.append([channel, pitch])
        else:
            channel, pitch = keys.pop(0)
            velocity = int(random.integers(1, 128))
            tracks[where].append((next(ticks), on(pitch, velocity, channel)))
            sounding.append((where, channel, pitch))
    for place, channel, pitch in sounding:
        tracks[place].append((next(ticks), off(pitch, channel)))
    tracks[0] += [(next(ticks), pedal(0, channel)) for channel in (0, 1, 15)]
    return [track(events) for events in tracks]


@pytest.mark.parametrize("seed", range(8))
def test_made_files_agree_with_a_plain_player_on_the_clock_of_mido(seed: int) -> None:
    content = file(*random_tracks(seed, pedals=True), division=[24, 96, 480, 32_767][seed % 4])
    notes = sorted(parse_midi(content, "x.mid"))
    assert len(notes) > 80
    np.testing.assert_allclose(notes, oracle(content), rtol=1e-9, atol=1e-9)
    # The same music in one track.
    merged = mido.MidiFile(file=io.BytesIO(content))
    single = mido.MidiFile(
        type=0, tracks=[mido.merge_tracks(merged.tracks)], ticks_per_beat=merged.ticks_per_beat
    )
    stored = io.BytesIO()
    single.save(file=stored)
    assert sorted(parse_midi(stored.getvalue(), "x.mid")) == notes


@pytest.mark.parametrize("seed", range(8))
def test_made_files_agree_with_symusic(seed: int) -> None:
    symusic = pytest.importorskip("symusic")
    content = file(*random_tracks(seed, pedals=False), division=480)
    score = symusic.Score.from_midi(content, ttype="second")
    theirs = sorted(
        (note.start, note.end, note.pitch, note.velocity)
        for item in score.tracks
        for note in item.notes
    )
    # symusic holds seconds as float32.
    np.testing.assert_allclose(sorted(parse_midi(content, "x.mid")), theirs, rtol=1e-6, atol=1e-5)


def test_real_files_agree_with_a_plain_player_and_with_symusic(shared_dir: Path) -> None:
    symusic = pytest.importorskip("symusic")
    data = shared_dir / "data"
    paths = [
        *sorted(data.glob("maestro*/*/*.midi"))[::90],
        *sorted(data.glob("maps/*/MUS/*.mid"))[::30],
    ]
    assert len(paths) > 10
    for path in paths:
        content = path.read_bytes()
        midi = parse_midi_content(content, path)
        assert midi.remarks == ()
        rows = np.array(sorted(midi.notes, key=lambda row: (row[2], row[0], row[3])))
        expected = np.array(sorted(oracle(content), key=lambda row: (row[2], row[0], row[3])))
        np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6, err_msg=path.name)
        score = symusic.Score.from_midi(content, ttype="second")
        held = [(n.pitch, n.start, n.velocity, n.end) for t in score.tracks for n in t.notes]
        ours = [(p, on, v, off) for c in midi.channels for on, off, p, v in c.held]
        np.testing.assert_allclose(sorted(ours), sorted(held), rtol=0, atol=1e-3, err_msg=path.name)


# --- keys and pedals ---


def test_the_pedal_belongs_to_the_channel_and_not_to_the_track() -> None:
    notes = track([(100, on(60)), (200, off(60)), (300, on(62, channel=1)), (400, off(62, 1))])
    for own in (
        [notes, track([(0, pedal(127)), (900, pedal(0))])],
        [track([(0, pedal(127)), (900, pedal(0))]), notes],
    ):
        assert read(file(*own)) == ([(0.1, 0.9, 60, 64), (0.3, 0.4, 62, 64)], [])
    # A change of program does not release it.
    changed = [(0, pedal(127)), *NOTE, (600, b"\xc0\x05"), (900, pedal(0))]
    assert read(file(track(changed))) == ([(0.0, 0.9, 60, 64)], [])
    # On a channel without notes it can hold nothing, and that is a mistake.
    other = track([(0, pedal(127, channel=3)), *NOTE, (900, pedal(0, channel=3))])
    assert read(file(other)) == (
        PLAYED,
        ["a sustain pedal on a channel without notes ignored (channel 4)"],
    )
    assert read(file(track([(0, pedal(0, channel=3)), *NOTE]))) == (PLAYED, [])


def test_ports_have_channels_of_their_own() -> None:
    # Meta event 0x21: the second track plays on the second port.
    lower = track([(0, pedal(127)), *NOTE, (900, pedal(0))])
    upper = track([(0, b"\xff\x21\x01\x01"), (100, on(60, 80)), (200, off(60))])
    assert read(file(lower, upper))[0] == [(0.0, 0.9, 60, 64), (0.1, 0.2, 60, 80)]
    drums = track([(0, b"\xff\x21\x01\x01"), (100, on(38, channel=9)), (200, off(38, 9))])
    assert read(file(track(NOTE), drums)) == (
        PLAYED,
        ["1 note of percussion (channel 10) left out"],
    )


def test_percussion_is_counted() -> None:
    events = [(0, on(38, channel=9)), (0, on(60)), (9, on(42, channel=9)), (500, off(60))]
    # Neither ends; percussion needs no end, and is no fault of the file.
    assert read(file(track(events))) == (
        PLAYED,
        ["2 notes of percussion (channel 10) left out"],
    )


@pytest.mark.parametrize(
    ("number", "ends"),
    [
        (120, (0.4, 0.4)),
        (123, (0.9, 0.9)),
        (124, (0.9, 0.9)),
        (127, (0.9, 0.9)),
        (121, (0.4, 0.5)),
        (7, (0.9, 0.9)),
    ],
)
def test_channel_mode_messages(number: int, ends: tuple[float, float]) -> None:
    """60 is released by its key before the message, 62 after it; the pedal is down from 0 to 0.9 s."""
    events = [
        (0, pedal(127)),
        (100, on(60)),
        (200, off(60)),
        (300, on(62)),
        (400, control(number, 0)),
        (500, off(62)),
        (600, on(64)),
        (650, off(64)),
        (900, pedal(0)),
    ]
    notes, remarks = read(file(track(events)))
    assert [row[1] for row in notes[:2]] == list(ends)
    # The pedal itself stays down, but for a reset of all controllers.
    assert notes[2] == (0.6, 0.65 if number == 121 else 0.9, 64, 64)
    assert remarks == []
    # Without a pedal, and on its own channel only.
    plain = [
        (0, on(60)),
        (0, on(62, channel=1)),
        (400, control(number, 0)),
        (500, off(60)),
        (500, off(62, 1)),
    ]
    end = 0.5 if number in (121, 7) else 0.4
    assert read(file(track(plain)))[0] == [(0.0, end, 60, 64), (0.0, 0.5, 62, 64)]


def test_sound_off_while_the_pedal_moves() -> None:
    held = [(0, pedal(127)), (0, on(60)), (100, off(60)), (300, control(120, 0))]
    later = [(400, on(62)), (500, off(62)), (900, on(64)), (950, off(64))]
    for moves, end in (
        ([(300, pedal(0))], 0.5),
        ([(301, pedal(0))], 0.5),
        ([(300, pedal(90))], 0.95),
    ):
        assert read(file(track([*held, *moves, *later])))[0][:2] == [
            (0.0, 0.3, 60, 64),
            (0.4, end, 62, 64),
        ]


def test_two_tracks_that_strike_one_key_of_one_channel() -> None:
    """A synthesiser has one key: it is struck again at 0.3 s, and let go by the first release after."""
    first, second = [(0, on(60, 50)), (1000, off(60))], [(300, on(60, 70)), (700, off(60))]
    merged = [first[0], *second, first[1]]
    expected = ([(0.0, 0.3, 60, 50), (0.3, 0.7, 60, 70)], [])
    assert read(file(track(first), track(second))) == expected
    assert read(file(track(merged), kind=0)) == expected
    # A release in the very tick of the next onset ends the earlier note, in whatever order they come.
    for order in ([(500, off(60)), (500, on(60, 9))], [(500, on(60, 9)), (500, off(60))]):
        assert read(file(track([(0, on(60)), *order, (800, off(60))]))) == (
            [(0.0, 0.5, 60, 64), (0.5, 0.8, 60, 9)],
            [],
        )


def test_notes_without_end_and_notes_without_length() -> None:
    events = [
        (0, on(60)),
        (100, on(62)),
        (100, off(62)),
        (200, on(64)),
        (300, off(64)),
        (400, off(65)),
    ]
    assert read(file(track(events, end=1000))) == (
        [(0.0, 1.0, 60, 64), (0.2, 0.3, 64, 64)],
        ["1 note without an end ended with the file", "1 note without length ignored"],
    )
    # Struck again it ends there; the end of a later note is not that of one without length.
    again = [
        (0, on(60)),
        (100, on(60)),
        (200, on(62)),
        (200, off(62)),
        (300, on(62)),
        (400, off(62)),
    ]
    assert read(file(track(again)))[0] == [
        (0.0, 0.1, 60, 64),
        (0.1, 0.4, 60, 64),
        (0.3, 0.4, 62, 64),
    ]


def test_a_pedal_that_is_down_before_the_first_note_and_never_comes_up() -> None:
    events = [(0, pedal(64)), (100, on(60)), (200, off(60)), (300, on(62)), (700, off(62))]
    assert read(file(track(events))) == ([(0.1, 0.7, 60, 64), (0.3, 0.7, 62, 64)], [])


# --- what other readers refuse ---

ODD_EVENTS = {
    "key signature out of range": b"\xff\x59\x02\x63\x07",
    "short time signature": b"\xff\x58\x01\x04",
    "meta event of no kind": b"\xff\x70\x03abc",
    "text that is no text": b"\xff\x01\x02\xff\xfe",
    "system exclusive": b"\xf0\x05\x7e\x7f\x09\x01\xf7",
    "continued system exclusive": b"\xf0\x02\x43\x12\x00\xf7\x03\x90\x3c\xf7",
    "song position": b"\xf2\x10\x20",
    "clock": b"\xf8",
    "program, pressure, bend": b"\xc0\x05\x00\xd0\x40\x00\xe0\x00\x40\x00\xa0\x3c\x10",
}


@pytest.mark.parametrize("odd", ODD_EVENTS.values(), ids=ODD_EVENTS.keys())
def test_events_that_sound_nothing_change_nothing(odd: bytes) -> None:
    events = [(0, odd), (0, on(60)), (250, odd), (500, off(60))]
    assert read(file(track(events))) == (PLAYED, [])
    # Also between events of running status, which the standard forbids.
    running = b"\x00\x90\x3c\x40\x64" + odd + variable(400) + b"\x3c\x00\x00" + END
    assert read(file(chunk(b"MTrk", running)))[0] == PLAYED


CHUNKS = {
    "unknown": (
        file(chunk(b"XFIH", b"abc"), track(NOTE), chunk(b"XFKM", b""), announced=1),
        "2 unknown chunks ignored ('XFIH', 'XFKM')",
    ),
    "RIFF": (riff(file(track(NOTE))), None),
    "longer header": (chunk(b"MThd", b"\0\0\0\1\1\xf4and more") + track(NOTE), None),
    "bytes before": (b"\0" * 128 + file(track(NOTE)), "128 bytes before the header ignored"),
    "bytes after": (
        file(track(NOTE)) + b"\0" * 33,
        "33 bytes between or after the chunks ignored",
    ),
    "more announced": (
        file(track(NOTE), announced=3),
        "the header announces 3 tracks, the file has 1 track: all read",
    ),
    "fewer announced": (
        file(track([(0, tempo(500_000))]), track(NOTE), announced=1),
        "the header announces 1 track, the file has 2 tracks: all read",
    ),
    "empty tracks": (file(chunk(b"MTrk", b""), track(NOTE), chunk(b"MTrk", b"")), None),
    "no end event": (file(chunk(b"MTrk", track(NOTE)[8:-4])), None),
    "unknown type": (file(track(NOTE), kind=7), "its unknown type 7 read as type 1"),
    "events after the end": (
        file(chunk(b"MTrk", track(NOTE)[8:] + b"\x00\x90\x40\x40")),
        "events after the end of the track ignored (track 1)",
    ),
    "unwritten length": (
        file(track(NOTE).replace(b"MTrk\0\0\0", b"MTrk\xff\xff\xff"), track([(0, pedal(0))])),
        "a length beyond the file's end ignored (track 1)",
    ),
    "tempo 0": (
        file(
            track([(0, tempo(500_000)), (100, tempo(0)), (200, b"\xff\x51\x01\x05"), *NOTE[1:]]),
            track(NOTE),
        ),
        "a tempo of 0 or without a number ignored (track 1)",
    ),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_odd_files_are_read_and_the_oddity_is_said(name: str) -> None:
    content, remark = CHUNKS[name]
    assert read(content) == (PLAYED, [remark] if remark else [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (file(chunk(b"MTrk", b"\x00\x90\x3c\x40\x83\x74\x80\x3c")), "track 1 breaks off"),
        (file(track(NOTE), track(NOTE))[:-6], "track 2 breaks off"),
        (file(track(NOTE))[:-4], "track 1 breaks off"),
        (file(chunk(b"MTrk", b"\x00\xff\x01\x20abc")), "track 1 breaks off"),
        (file(chunk(b"MTrk", b"\x00\x3c\x40" + END)), "data without an event at byte 1"),
        (file(track([(0, b"\x90\x3c\xc0")])), "an event with a data byte above 127 at byte 2"),
        (file(chunk(b"MTrk", b"\xff\xff\xff\xff\x7f" + END)), "a number of more than four bytes"),
        (file(track([(0, b"\xf4")])), r"an event of unknown length \(status 0xf4\)"),
        (file(), "it holds no track"),
        (file(track(NOTE), division=0xFF00), "0 ticks in each of 1 frames per second"),
        (b"RIFF\x04\0\0\0RMID", "RIFF MIDI without a chunk of data"),
    ],
)
def test_what_breaks_off_or_makes_no_sense_is_refused(content: bytes, reason: str) -> None:
    """Part of the notes must not be taken for all."""
    with pytest.raises(InputError, match=f"x.mid: is not a readable MIDI file .*{reason}"):
        parse_midi(content, "x.mid")


def test_enormous_times_are_refused() -> None:
    steps = [(2**28 * n - n, b"\xff\x06\x00") for n in range(8)]
    late = [*steps, (2**31 - 2**20, on(60)), (2**31 - 2**19, off(60))]
    with pytest.raises(InputError, match=r"x\.mid: holds a note that ends after 2\.147e\+09 s"):
        parse_midi(file(track([(0, tempo(1_000_000)), *late]), division=1), "x.mid")
    # Silence as long before the end of the track does no harm.
    assert read(file(track([*NOTE, *steps[1:]]))) == (PLAYED, [])


# --- size ---


@pytest.mark.parametrize(
    "event",
    [control(7, 1), pedal(127), pedal(127) + b"\0" + pedal(0), on(60), on(60) + b"\1" + off(60)],
)
def test_time_and_memory_grow_with_the_file(event: bytes) -> None:
    """pretty_midi takes 480 bytes and 20 microseconds for each event."""
    count = 30_000
    content = file(chunk(b"MTrk", (b"\x01" + event) * count + b"\0" + END))
    begin = time.process_time()
    parse_midi(content, "x.mid")
    assert time.process_time() - begin < 0.5
    tracemalloc.start()
    midi = parse_midi_content(content, "x.mid")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150 * count
    assert len(midi.channels) == (event[0] == 0x90)


def test_many_tracks_chunks_and_ends_take_no_longer() -> None:
    for content in (
        # Lengths beyond the end of the file must not be copied for each track.
        file(*[b"MTrk\xff\xff\xff\xff\0" + END] * 20_000, announced=20_000),
        file(*[chunk(b"abcd", b"")] * 50_000, track(NOTE), announced=1),
        file(track([(5, on(60))] * 20_000 + [(5, off(60))] * 20_000 + [(6, off(60))])),
        file(track([(5, on(60))] * 20_000 + [(n, control(123, 0)) for n in range(5, 20_000)])),
    ):
        begin = time.process_time()
        parse_midi(content, "x.mid")
        assert time.process_time() - begin < 1.0
