"""Test the reader of a user's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.readers import folder
from pipelines.readers.recordings import LeftOut, Source
from pipelines.readers.sources import read_notes
from tests.support.make_fixtures import Files, folder_files, write_files, write_zip
from tfamt.errors import InputError

LABELS = b"onset,offset,pitch,velocity\n0.05,0.2,60,90\n"


def _pieces(*names: str) -> Files:
    """Readers look at names only, so sound is not needed."""
    return {
        f"{name}.{suffix}": content
        for name in names
        for suffix, content in (("wav", b""), ("csv", LABELS))
    }


def test_pairs_and_what_is_left(tmp_path: Path) -> None:
    write_files(tmp_path, folder_files())
    data_set = folder.read(str(tmp_path), validation_fraction=0, test_fraction=0, licence="CC0-1.0")
    assert [
        (r.id, r.split, r.piece, r.group, r.audio.path, r.labels.path) for r in data_set.recordings
    ] == [
        (identity, "train", piece, group, f"{tmp_path}/{audio}", f"{tmp_path}/{labels}")
        for identity, piece, group, audio, labels in (
            (
                "audio_op.28_no.4",
                "op.28_no.4",
                "audio",
                "audio/op.28_no.4.wav",
                "midi/op.28_no.4.midi",
            ),
            ("grand_march", "march", "grand", "grand/march.wav", "grand/march.csv"),
            ("upright_march", "march", "upright", "upright/march.WAV", "upright/march.txt"),
            ("waltz", "waltz", "folder", "waltz.wav", "waltz.mid"),
        )
    ]
    assert data_set.left_out == (
        LeftOut(f"{tmp_path}/audio/lonely.wav", "no labels of this name"),
        LeftOut(f"{tmp_path}/midi/silent.mid", "no audio of this name"),
        LeftOut(f"{tmp_path}/readme.txt", "no audio of this name"),
        LeftOut(f"{tmp_path}/waltz.csv", f"{tmp_path}/waltz.mid is used instead"),
    )
    assert {r.licence for r in data_set.recordings} == {"CC0-1.0"}
    assert [list(read_notes(r)) for r in data_set.recordings] == [
        [(0.05, 0.2, 60, 90)],
        [(0.05, 0.2, 60, 90)],
        [(0.05, 0.2, 60, 64)],
        [(0.05, 0.2, 60, 90)],
    ]


def test_a_name_that_several_have_is_not_guessed(tmp_path: Path) -> None:
    files = {"a/x.wav": b"", "b/x.wav": b"", "c/x.mid": b"", "a/y.wav": b"", "b/y.csv": LABELS}
    write_files(tmp_path, files)
    data_set = folder.read(str(tmp_path), 0, 0)
    assert [recording.id for recording in data_set.recordings] == ["a_y"]
    assert [item.name for item in data_set.left_out] == [
        f"{tmp_path}/{name}" for name in ("a/x.wav", "b/x.wav", "c/x.mid")
    ]


def test_the_split_depends_on_the_name_alone(tmp_path: Path) -> None:
    # `printf p2 | sha256sum` and so on begin with 3946, 43bb and ab71: 0.22, 0.26 and 0.67 of the range.
    names = ["p2", "p3", "p4"]
    write_files(tmp_path, _pieces(*names))
    splits = {
        fractions: [r.split for r in folder.read(str(tmp_path), *fractions).recordings]
        for fractions in ((0.1, 0.2), (0.1, 0.25), (0.0, 0.1))
    }
    assert splits == {
        (0.1, 0.2): ["validation", "validation", "train"],
        (0.1, 0.25): ["test", "validation", "train"],
        (0.0, 0.1): ["train", "train", "train"],
    }
    write_files(tmp_path, _pieces(*(f"more/q{n}" for n in range(40)), "other_piano/p2"))
    crowd = {r.id: r.split for r in folder.read(str(tmp_path), 0.1, 0.25).recordings}
    assert [crowd[name] for name in names] == splits[0.1, 0.25]
    assert crowd["other_piano_p2"] == "test"


def test_fractions_are_kept_on_average(tmp_path: Path) -> None:
    write_files(tmp_path, _pieces(*(f"piece{n}" for n in range(1000))))
    counts = folder.read(str(tmp_path), 0.2, 0.1).counts
    # Three standard deviations of a binomial distribution.
    assert abs(counts["validation"] - 200) < 38
    assert abs(counts["test"] - 100) < 29


def test_folders_of_the_split(tmp_path: Path) -> None:
    write_files(
        tmp_path, _pieces("train/a", "train/piano/b", "validation/c", "test/d", "e", "old/train/f")
    )
    data_set = folder.read(str(tmp_path))
    assert {r.id: r.split for r in data_set.recordings} == {
        "train_a": "train",
        "train_piano_b": "train",
        "validation_c": "validation",
        "test_d": "test",
    }
    assert data_set.left_out == tuple(
        LeftOut(f"{tmp_path}/{name}.wav", "not in a folder train, validation, test")
        for name in ("e", "old/train/f")
    )


def test_a_piece_is_in_one_folder_of_the_split(tmp_path: Path) -> None:
    write_files(tmp_path, _pieces("train/a", "test/piano/a"))
    with pytest.raises(InputError, match="'a' is both in test and in train"):
        folder.read(str(tmp_path))


def test_archives_count_as_folders(tmp_path: Path) -> None:
    write_zip(tmp_path / "mine/set.zip", _pieces("train/a", "test/b"))
    for root, prefix in ((tmp_path / "mine", ""), (tmp_path / "mine/set.zip", "")):
        data_set = folder.read(str(root))
        assert {r.id: r.split for r in data_set.recordings} == {
            f"{prefix}train_a": "train",
            f"{prefix}test_b": "test",
        }
    assert data_set.recordings[0].audio == Source(f"{tmp_path}/mine/set.zip", "test/b.wav")


def test_ids_that_collide_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, _pieces("a/b_c", "a_b/c"))
    with pytest.raises(InputError, match=r"id 'a_b_c': .*a/b_c\.wav and .*a_b/c\.wav"):
        folder.read(str(tmp_path), 0, 0)


def test_a_training_set_is_never_empty(tmp_path: Path) -> None:
    write_files(tmp_path, _pieces("p2"))
    with pytest.raises(InputError, match="none of the 1 recordings falls into the training set"):
        folder.read(str(tmp_path), 0.1, 0.25)


@pytest.mark.parametrize("fractions", [(-0.1, 0.1), (0.5, 0.5), (0.1, 1.0), (float("nan"), 0.1)])
def test_fractions_are_checked(tmp_path: Path, fractions: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="must not be negative"):
        folder.read(str(tmp_path), *fractions)


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.wav": b"", "b.mid": b"", "notes.pdf": b""})
    with pytest.raises(InputError, match=r"a\.wav: no labels of this name; .*b\.mid: no audio"):
        folder.read(str(tmp_path))
