"""Test label files of every format, and the messages for malformed ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import midi_bytes
from tfamt.errors import InputError
from tfamt.notes.label_files import (
    labels_have_velocity,
    parse_labels,
    parse_labels_and_remarks,
    read_labels,
    read_labels_and_remarks,
)
from tfamt.notes.midi import write_midi
from tfamt.notes.table import Notes

MAPS = "OnsetTime\tOffsetTime\tMidiPitch\r\n0.5\t1.25\t60\r\n0.25\t1.0\t64 \t\r\n\r\n  \r\n"
MUSICNET = (
    "start_time,end_time,instrument,note,start_beat,end_beat,note_value\n"
    "44100,66150,1,60,0.0,0.5,Eighth\n"
    "22050,33075,41,72,0.0,0.25,Dotted Sixteenth\n"
)


def test_maps_text_with_windows_line_ends_and_trailing_blanks(tmp_path: Path) -> None:
    path = tmp_path / "MAPS_MUS-x.txt"
    path.write_bytes(MAPS.encode())
    assert list(read_labels(path)) == [(0.25, 1.0, 64, 64), (0.5, 1.25, 60, 64)]
    assert not labels_have_velocity(path)


def test_musicnet_counts_samples(tmp_path: Path) -> None:
    path = tmp_path / "1759.csv"
    path.write_text(MUSICNET)
    assert list(read_labels(path)) == [(0.5, 0.75, 72, 64), (1.0, 1.5, 60, 64)]
    assert not labels_have_velocity(path)


def test_own_csv_with_and_without_velocity(tmp_path: Path) -> None:
    path = tmp_path / "x.CSV"
    path.write_text("\ufeffonset,offset,pitch,velocity\n1.5,2.0,60,90\n", encoding="utf-8")
    assert list(read_labels(path)) == [(1.5, 2.0, 60, 90)]
    assert labels_have_velocity(path)
    path.write_text("pitch, onset, offset\n60,1.5,2.0\n")
    assert list(read_labels(path)) == [(1.5, 2.0, 60, 64)]
    assert not labels_have_velocity(path)


def test_midi_by_any_of_its_suffixes(tmp_path: Path) -> None:
    notes = Notes([0.5], [1.0], [60], [90])
    for name in ("a.mid", "b.MIDI", "c.kar", "d.Rmi"):
        write_midi(notes, tmp_path / name)
        assert read_labels(tmp_path / name) == notes
        assert labels_have_velocity(tmp_path / name)


def test_overlapping_equal_pitches_and_zero_lengths_stay_as_labelled() -> None:
    text = b"OnsetTime\tOffsetTime\tMidiPitch\n0\t2\t60\n1\t3\t60\n1.5\t1.5\t60\n"
    assert [row[:2] for row in parse_labels(text, "x.txt")] == [(0, 2), (1, 3), (1.5, 1.5)]


def test_header_alone_means_no_notes() -> None:
    assert len(parse_labels(b"OnsetTime\tOffsetTime\tMidiPitch\n", "x.txt")) == 0
    assert len(parse_labels(b"onset,offset,pitch,velocity\n", "x.csv")) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt: the file is empty"),
        ("a.txt", b" \r\n\r\n", "a.txt: the file is empty"),
        ("a.txt", b"0.5\t1.0\t60\n", "a.txt: line 1 is not the header of MAPS labels"),
        ("a.txt", MAPS.encode() + b"1.0\t2.0\r\n", "a.txt: line 6: too few fields"),
        ("a.txt", MAPS.encode() + b"1.0\tx\t60\r\n", "line 6: a field is not a number"),
        ("a.txt", MAPS.encode() + b"1.0\tnan\t60\r\n", "line 6: note times must be finite"),
        ("a.txt", MAPS.encode() + b"1.0\t0.5\t60\r\n", "line 6: a note ends before it begins"),
        ("a.txt", MAPS.encode() + b"-1.0\t0.5\t60\r\n", "line 6: a note begins before 0 s"),
        ("a.txt", b"\xff\xfe\x00", "a.txt: is not a text file in UTF-8"),
        (
            "a.csv",
            b"time,note\n1,2\n",
            "a.csv: line 1 is not a known header. Received: 'time,note'",
        ),
        ("a.csv", b"onset,offset,pitch,velocity\n1,2,60,0\n", "line 2: a velocity lies outside"),
        ("a.csv", MUSICNET.encode() + b"1,2,3,200,0,0,x\n", "line 4: a pitch lies outside 0..127"),
        # Not closed, the mark would hide all that follows; closed two lines later, the line between.
        (
            "a.csv",
            MUSICNET.encode() + b'1,2,1,60,0,0,"x\n' + b"3,4,1,60,0,0,x\n" * 9,
            "line 4 is not csv",
        ),
        ("a.csv", MUSICNET.encode() + b'1,2,1,60,0,0,"x\n3,4,1,60,0,0,x"\n', "line 4 is not csv"),
        ("a.csv", b"onset,offset,pitch\n1,1e308,60\n", "line 2: a note ends after 1e+308 s"),
        ("a.csv", b"onset,offset,pitch\n1e15,1e15,60\n", "line 2: a note begins after 1e+15 s"),
        ("a.txt", MAPS.encode() + b"1.0\t100001\t60\r\n", "line 6: a note ends after 1e+05 s"),
        ("a.mid", b"not midi", "a.mid: is not a readable MIDI file"),
        (
            "a.lab",
            b"1 2 3",
            "a.lab: is no label file. Known suffixes: .mid, .midi, .rmi, .kar, .txt, .csv.",
        ),
    ],
)
def test_broken_labels_are_named_by_file_and_line(name: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_labels(content, name)
    assert message in str(error.value)


def test_labels_are_bound_by_the_length_of_the_audio() -> None:
    header = b"onset,offset,pitch\n"
    for name, seconds, row, reason in (
        ("a.csv", 10.0, b"11.9,69.9,60\n", ""),
        (
            "a.csv",
            10.0,
            b"12.1,12.2,60\n",
            "line 3: a note begins 2.1 s after the end of its audio (10.0 s)",
        ),
        (
            "a.csv",
            10.0,
            b"9.0,70.1,60\n",
            "line 3: a note ends 60.1 s after the end of its audio (10.0 s)",
        ),
    ):
        content = header + b"0,1,60\n" + row
        if reason:
            with pytest.raises(InputError) as error:
                parse_labels_and_remarks(content, name, seconds)
            assert str(error.value).startswith(f"a.csv: {reason}. Received: '")
        else:
            assert len(parse_labels_and_remarks(content, name, seconds)[0]) == 2
        assert len(parse_labels(content, name)) == 2


def test_what_is_repaired_in_midi_is_remarked(tmp_path: Path) -> None:
    path = tmp_path / "x.mid"
    path.write_bytes(
        midi_bytes.file(midi_bytes.track([(0, midi_bytes.on(60))], end=900), announced=2)
    )
    notes, remarks = read_labels_and_remarks(path)
    assert list(notes) == [(0.0, 0.9, 60, 64)] == list(read_labels(path))
    assert remarks == (
        "the header announces 2 tracks, the file has 1 track: all read",
        "1 note without an end ended with the file",
    )
    with pytest.raises(InputError, match=r"x\.mid: a note ends 60\.8 s after the end of its audio"):
        content = midi_bytes.file(midi_bytes.track([(0, midi_bytes.on(60))], end=60_900))
        parse_labels_and_remarks(content, path, 0.1)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.txt: cannot be read \(No such file"):
        read_labels(tmp_path / "nowhere.txt")


def test_maps_text_and_midi_tell_the_same(shared_dir: Path) -> None:
    texts = sorted((shared_dir / "data" / "maps").rglob("*.txt"))[::10]
    assert texts
    for text in texts:
        tables = [
            np.array(sorted(zip(n.pitch, n.onset, n.offset, strict=True)))
            for n in (read_labels(text), read_labels(text.with_suffix(".mid")))
        ]
        np.testing.assert_allclose(*tables, rtol=0, atol=2e-3, err_msg=text.name)
