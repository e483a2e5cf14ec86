"""Test the consistency checks of data sets."""

from __future__ import annotations

import pytest

from pipelines.readers.recordings import DataSet, LeftOut, Recording, Source, one_split_per_piece
from tfamt.errors import InputError


def _recording(name: str, split: str = "train", piece: str = "waltz") -> Recording:
    return Recording(
        name, split, piece, "piano", Source(f"{name}.wav"), Source(f"{name}.mid"), "CC0-1.0"
    )


def test_sources_know_their_names() -> None:
    plain, packed = Source("/data/a.b/x.y.WAV"), Source("/data/set.zip", "set/x.mid")
    assert (str(plain), plain.stem, plain.suffix) == ("/data/a.b/x.y.WAV", "x.y", ".wav")
    assert (str(packed), packed.stem, packed.suffix) == ("/data/set.zip!set/x.mid", "x", ".mid")
    assert str(packed.name.parent) == "set"


def test_a_data_set_is_sorted_and_counted() -> None:
    data_set = DataSet(
        "folder",
        [_recording("c"), _recording("a", "test"), _recording("b")],
        [LeftOut("z", "late"), LeftOut("y", "early")],
    )
    assert [recording.id for recording in data_set.recordings] == ["a", "b", "c"]
    assert [item.name for item in data_set.left_out] == ["y", "z"]
    assert data_set.counts == {"train": 2, "validation": 0, "test": 1}
    assert data_set.require_some("/data") is data_set


def test_ids_are_unique() -> None:
    with pytest.raises(InputError, match=r"id 'a': a\.wav and a\.wav"):
        DataSet("folder", [_recording("a"), _recording("b"), _recording("a")])


def test_splits_are_known() -> None:
    with pytest.raises(InputError, match="Received: 'valid'"):
        _recording("a", "valid")


def test_an_empty_data_set_tells_what_was_seen() -> None:
    nothing = DataSet("maps", [], [LeftOut(name, "no audio") for name in "edcba"])
    with pytest.raises(InputError) as caught:
        nothing.require_some("/data", fix="Look again.")
    assert str(caught.value) == (
        "/data: no usable recording of maps was found (a: no audio; b: no audio; c: no audio; and 2 more). Look again."
    )
    with pytest.raises(InputError, match=r"of maps was found\. Check"):
        DataSet("maps", []).require_some("/data")


def test_a_piece_stays_in_one_split() -> None:
    recordings = [
        _recording("a", "train", "waltz"),
        _recording("b", "train", "march"),
        _recording("c", "train", "study"),
        _recording("d", "train", "tango"),
        _recording("e", "validation", "waltz"),
        _recording("f", "validation", "march"),
        _recording("g", "test", "waltz"),
        _recording("h", "test", "tango"),
    ]
    kept, left_out = one_split_per_piece(recordings, test_pieces=["study"])
    assert [recording.id for recording in kept] == ["f", "g", "h"]
    assert left_out == [
        LeftOut("a", "waltz is played in the test set"),
        LeftOut("b", "march is played in the validation set"),
        LeftOut("c", "study is played in the test set"),
        LeftOut("d", "tango is played in the test set"),
        LeftOut("e", "waltz is played in the test set"),
    ]
