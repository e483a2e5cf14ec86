"""Test the reader of MusicNet: archive and folders, both test sets."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from pipelines.readers import musicnet
from pipelines.readers.recordings import LeftOut
from pipelines.readers.sources import local_path, read_notes
from tests.support.make_fixtures import (
    MUSICNET_METADATA,
    make_musicnet,
    musicnet_files,
    tone,
    write_files,
    write_tar_gz,
)
from tfamt.errors import InputError

PIECES = {
    "1727": ("Schubert", "Schubert: Piano Quintet in A major: 2. Andante"),
    "1759": ("Schubert", "Schubert: Piano Sonata in C minor: 3. Menuet and Trio"),
    "1819": ("Mozart", "Mozart: Serenade in E-flat major: 4. Menuetto"),
    "2302": ("Bach", "Bach: WTK I, No 5: Prelude and Fugue in D major: 2. Fugue"),
    "2303": ("Bach", "Bach: WTK I, No 5: Prelude and Fugue in D major: 1. Prelude"),
    "2382": ("Beethoven", "Beethoven: String Quartet No 13 in B-flat major: 2. Presto"),
    "2532": ("Beethoven", "Beethoven: Piano Sonata No 20 in C minor: 1. Maestoso"),
}
OFFICIAL = {
    "1727": "train",
    "1759": "test",
    "1819": "test",
    "2302": "train",
    "2303": "test",
    "2382": "test",
    "2532": "train",
}
NOT_IN_PAPER = LeftOut("1759", "in the official test set, but not in the paper's")


@pytest.fixture(scope="module")
def distributed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_musicnet(tmp_path_factory.mktemp("musicnet"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_files(tmp_path_factory.mktemp("unpacked"), musicnet_files())
    return write_files(folder, {"musicnet_metadata.csv": MUSICNET_METADATA.encode("utf-8")})


@pytest.fixture(params=["distributed", "unpacked"])
def root(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


def test_the_official_test_set(root: Path) -> None:
    data_set = musicnet.read(str(root), test="official")
    assert {r.id: r.split for r in data_set.recordings} == OFFICIAL
    assert {r.id: (r.group, r.piece) for r in data_set.recordings} == PIECES
    assert data_set.left_out == ()
    assert data_set.remarks == ()


def test_the_test_set_of_the_paper(root: Path) -> None:
    data_set = musicnet.read(str(root))
    expected = {number: split for number, split in OFFICIAL.items() if number != "1759"}
    assert {r.id: r.split for r in data_set.recordings} == expected
    assert data_set.left_out == (NOT_IN_PAPER,)


def test_audio_and_notes(root: Path) -> None:
    recording = musicnet.read(str(root)).recordings[0]
    # 2205, 6615, 4410 and 8820 samples at 44,100 Hz; no velocity.
    assert list(read_notes(recording)) == [(0.05, 0.15, 53, 64), (0.1, 0.2, 65, 64)]
    with local_path(recording.audio) as path:
        assert path.name == "1727.wav"
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (44_100, 1, "FLOAT")
        sound, _ = soundfile.read(path, dtype="float32")
    assert (sound == tone(172.7, 0.25, 44_100)).all()


def test_recordings_to_validate_on(distributed: Path) -> None:
    data_set = musicnet.read(str(distributed), validation_ids=["2302"])
    assert {r.id for r in data_set.recordings if r.split == "validation"} == {"2302"}
    assert data_set.counts == {"train": 2, "validation": 1, "test": 3}
    for wrong in ("2303", "9999"):
        with pytest.raises(InputError, match=f"must be in train_data. Received: {wrong}"):
            musicnet.read(str(distributed), validation_ids=["2302", wrong])


def test_movements_to_validate_on_leave_training(tmp_path: Path) -> None:
    files = musicnet_files()
    files["musicnet/train_data/2530.wav"] = files["musicnet/train_data/2532.wav"]
    files["musicnet/train_labels/2530.csv"] = files["musicnet/train_labels/2532.csv"]
    row = MUSICNET_METADATA.splitlines()[-1].replace("2532", "2530")
    metadata = f"{MUSICNET_METADATA}{row}\n".encode()
    write_files(tmp_path, files | {"musicnet_metadata.csv": metadata})
    assert musicnet.read(str(tmp_path)).counts == {"train": 4, "validation": 0, "test": 3}
    data_set = musicnet.read(str(tmp_path), validation_ids=["2532"])
    assert data_set.counts == {"train": 2, "validation": 1, "test": 3}
    assert data_set.left_out[1] == LeftOut(
        "2530", f"{PIECES['2532'][1]} is played in the validation set"
    )


def test_without_metadata_composers_are_unknown(tmp_path: Path) -> None:
    archive = write_tar_gz(tmp_path / "musicnet.tar.gz", musicnet_files())
    data_set = musicnet.read(str(archive))
    assert {r.id: (r.group, r.piece) for r in data_set.recordings} == {
        number: ("MusicNet", number) for number in PIECES if number != "1759"
    }
    assert data_set.remarks == (
        "musicnet_metadata.csv was not found: composers and pieces are unknown.",
    )


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    files = musicnet_files()
    for name in ("train_data/1727.wav", "test_labels/2303.csv", "test_data/2382.wav"):
        del files[f"musicnet/{name}"]
    # Labels of the other half do not count.
    files["musicnet/train_labels/2303.csv"] = files["musicnet/train_labels/1727.csv"]
    write_files(tmp_path, files)
    data_set = musicnet.read(str(tmp_path))
    assert {r.id: r.split for r in data_set.recordings} == {
        "1819": "test",
        "2302": "train",
        "2532": "train",
    }
    top = f"{tmp_path}/musicnet"
    assert data_set.left_out == (
        LeftOut(f"{top}/test_data/2303.wav", "its labels are missing"),
        LeftOut(f"{top}/test_labels/2382.csv", "its audio is missing"),
        LeftOut(f"{top}/train_labels/1727.csv", "its audio is missing"),
        LeftOut(f"{top}/train_labels/2303.csv", "its audio is missing"),
        NOT_IN_PAPER,
    )
    assert data_set.remarks[1] == "Of the paper's test set these are missing: 2303, 2382."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,composer,composition\n1,a,b\n", "lacks the column 'movement'"),
        (b"\xff", "is not a text file in UTF-8"),
        (
            b'id,composer,composition,movement\n1,a,b,c\n2,"a,b,c\n3,a,b,c\n',
            r"the row that begins in line 3 is not csv \(unexpected end of data\)",
        ),
    ],
)
def test_broken_metadata_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    write_files(tmp_path, {"musicnet_metadata.csv": content})
    with pytest.raises(InputError, match=rf"musicnet_metadata\.csv: {message}"):
        musicnet.read(str(tmp_path))


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no usable recording of musicnet.*musicnet\.tar\.gz"):
        musicnet.read(str(tmp_path))
    with pytest.raises(InputError, match="Received: 'all'"):
        musicnet.read(str(tmp_path), test="all")
