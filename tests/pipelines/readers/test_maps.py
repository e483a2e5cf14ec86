"""Test the reader of MAPS: zips and folders, and the pieces removed from training."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from pipelines.readers import maps
from pipelines.readers.recordings import LeftOut, Source
from pipelines.readers.sources import local_path, read_notes, read_notes_and_remarks
from tests.support.make_fixtures import (
    MAPS_NOTES,
    Files,
    make_maps,
    maps_recording,
    maps_zips,
    write_files,
    write_zip,
)
from tfamt.errors import InputError

SPLITS = {
    "MAPS_MUS-alb_se2_ENSTDkCl": ("test", "alb_se2", "ENSTDkCl"),
    "MAPS_MUS-alb_se3_AkPnBcht": ("train", "alb_se3", "AkPnBcht"),
    "MAPS_MUS-alb_se3_AkPnBsdf": ("train", "alb_se3", "AkPnBsdf"),
    "MAPS_MUS-bach_850_AkPnBsdf": ("train", "bach_850", "AkPnBsdf"),
    "MAPS_MUS-chpn-p14_ENSTDkAm": ("test", "chpn-p14", "ENSTDkAm"),
    "MAPS_MUS-ty_mai_ENSTDkAm": ("test", "ty_mai", "ENSTDkAm"),
}
REPEATED = [
    LeftOut("MAPS_MUS-alb_se2_StbgTGd2", "alb_se2 is played in the test set"),
    LeftOut("MAPS_MUS-chpn-p14_AkPnBcht", "chpn-p14 is played in the test set"),
]
OTHER_PARTS = [
    LeftOut(part, "3 files: only the pieces of music (MUS) are used") for part in ("ISOL", "RAND")
]


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_maps(tmp_path_factory.mktemp("maps"))


def _all_files() -> Files:
    return {name: content for files in maps_zips().values() for name, content in files.items()}


def _splits(root: Path, **options: tuple[str, ...]) -> dict[str, tuple[str, str, str]]:
    return {
        recording.id: (recording.split, recording.piece, recording.group)
        for recording in maps.read(str(root), **options).recordings
    }


def test_zips_as_distributed(zips: Path) -> None:
    data_set = maps.read(str(zips))
    assert _splits(zips) == SPLITS
    assert list(data_set.left_out) == sorted(REPEATED + OTHER_PARTS)
    assert list(data_set.remarks) == [
        "2 recordings were left out because their piece is played in the test or validation set.",
        "Of the nine pianos these were not found: AkPnCGdD, AkPnStgb, SptkBGAm, SptkBGCl.",
    ]
    # The two parts of ENSTDkAm are one piano.
    assert [str(r.audio) for r in data_set.recordings if r.group == "ENSTDkAm"] == [
        f"{zips}/ENSTDkAm1.zip!ENSTDkAm/MUS/MAPS_MUS-chpn-p14_ENSTDkAm.wav",
        f"{zips}/ENSTDkAm2.zip!ENSTDkAm/MUS/MAPS_MUS-ty_mai_ENSTDkAm.wav",
    ]
    assert {recording.licence for recording in data_set.recordings} == {"CC BY-NC-SA"}


def test_audio_and_notes_of_a_zip(zips: Path) -> None:
    recording = maps.read(str(zips)).recordings[0]
    assert list(read_notes(recording)) == MAPS_NOTES
    assert read_notes_and_remarks(recording) == (read_notes(recording), [])
    with local_path(recording.audio) as path:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames) == (44_100, 2, 11_025)
        assert (info.format, info.subtype) == ("WAV", "PCM_16")


def test_folders_are_read_as_zips_are(tmp_path: Path, zips: Path) -> None:
    write_files(tmp_path / "MAPS", _all_files())
    data_set = maps.read(str(tmp_path))
    assert _splits(tmp_path) == SPLITS
    assert list(data_set.left_out) == sorted(REPEATED + OTHER_PARTS)
    assert data_set.remarks == maps.read(str(zips)).remarks
    assert list(read_notes(data_set.recordings[0])) == MAPS_NOTES


def test_zips_and_folders_mix(tmp_path: Path) -> None:
    make_maps(tmp_path)
    write_files(tmp_path, maps_zips()["ENSTDkCl.zip"])
    (tmp_path / "AkPnBsdf.zip").unlink()
    write_files(tmp_path / "more", maps_zips()["AkPnBsdf.zip"])
    data_set = maps.read(str(tmp_path))
    assert _splits(tmp_path) == SPLITS
    assert list(data_set.left_out) == sorted(REPEATED + OTHER_PARTS)
    stem = "ENSTDkCl/MUS/MAPS_MUS-alb_se2_ENSTDkCl"
    # What is unpacked goes before what is still in its zip.
    assert data_set.recordings[0].audio == Source(f"{tmp_path}/{stem}.wav")
    assert data_set.recordings[0].labels == Source(f"{tmp_path}/{stem}.txt")
    assert data_set.recordings[0].velocities == Source(f"{tmp_path}/{stem}.mid")


def test_one_zip_or_one_folder_will_do(zips: Path, tmp_path: Path) -> None:
    expected = {name: SPLITS[name] for name in SPLITS if name.endswith("AkPnBsdf")}
    assert _splits(zips / "AkPnBsdf.zip") == expected
    write_files(tmp_path, maps_recording("bach_850", "AkPnBsdf"))
    assert list(_splits(tmp_path / "AkPnBsdf/MUS")) == ["MAPS_MUS-bach_850_AkPnBsdf"]


def test_test_pieces_stay_out_of_training_where_the_test_pianos_are_absent(zips: Path) -> None:
    data_set = maps.read(str(zips / "AkPnBcht.zip"))
    assert [recording.id for recording in data_set.recordings] == ["MAPS_MUS-alb_se3_AkPnBcht"]
    assert REPEATED[1] in data_set.left_out
    assert data_set.remarks[-1] == (
        "There is no test set; its 53 pieces are left out of training all the same."
    )


def test_pieces_found_in_the_test_pianos_stay_out_of_training(tmp_path: Path) -> None:
    write_files(tmp_path, maps_recording("mine", "ENSTDkCl") | maps_recording("mine", "AkPnBcht"))
    data_set = maps.read(str(tmp_path))
    assert [recording.id for recording in data_set.recordings] == ["MAPS_MUS-mine_ENSTDkCl"]
    assert data_set.left_out == (
        LeftOut("MAPS_MUS-mine_AkPnBcht", "mine is played in the test set"),
    )


def test_a_piano_to_validate_on(zips: Path) -> None:
    data_set = maps.read(str(zips), validation_groups=("AkPnBsdf",))
    assert {recording.id: recording.split for recording in data_set.recordings} == {
        "MAPS_MUS-alb_se2_ENSTDkCl": "test",
        "MAPS_MUS-alb_se3_AkPnBsdf": "validation",
        "MAPS_MUS-bach_850_AkPnBsdf": "validation",
        "MAPS_MUS-chpn-p14_ENSTDkAm": "test",
        "MAPS_MUS-ty_mai_ENSTDkAm": "test",
    }
    repeated = LeftOut("MAPS_MUS-alb_se3_AkPnBcht", "alb_se3 is played in the validation set")
    assert list(data_set.left_out) == sorted([*REPEATED, *OTHER_PARTS, repeated])
    with pytest.raises(InputError, match="Received: ENSTDkCl"):
        maps.read(str(zips), validation_groups=("ENSTDkCl",))


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "WAV"])
def test_audio_of_another_format(tmp_path: Path, suffix: str) -> None:
    files = maps_recording("bach_850", "AkPnBsdf")
    wav = "AkPnBsdf/MUS/MAPS_MUS-bach_850_AkPnBsdf.wav"
    write_files(tmp_path, {name.replace(".wav", f".{suffix}"): files[name] for name in files})
    assert str(maps.read(str(tmp_path)).recordings[0].audio).endswith(wav[:-3] + suffix)
    if suffix != "WAV":
        write_files(tmp_path, files)
        both = maps.read(str(tmp_path))
        assert str(both.recordings[0].audio) == f"{tmp_path}/{wav}"
        assert both.left_out == (
            LeftOut(f"{tmp_path}/{wav[:-3]}{suffix}", f"{tmp_path}/{wav} is used instead"),
        )


def test_without_text_the_midi_file_is_the_label(tmp_path: Path) -> None:
    files = maps_recording("bach_850", "AkPnBsdf")
    write_files(tmp_path, {name: files[name] for name in files if not name.endswith(".txt")})
    (recording,) = maps.read(str(tmp_path)).recordings
    assert recording.labels.suffix == ".mid"
    # The pedal holds both notes of pitch 60 to 1.25 s, but a string struck again sounds anew.
    assert list(read_notes(recording)) == [
        (0.5, 1.0, 60, 50),
        (0.5, 1.25, 64, 60),
        (1.0, 1.25, 60, 70),
    ]


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    files = maps_recording("bach_850", "AkPnBsdf") | maps_recording("alb_se3", "Bosendor")
    quiet = maps_recording("alb_se3", "AkPnBcht")
    mute = maps_recording("alb_se4", "AkPnBsdf")
    write_files(
        tmp_path,
        files
        | {name: quiet[name] for name in quiet if not name.endswith(".wav")}
        | {name: mute[name] for name in mute if name.endswith(".wav")},
    )
    data_set = maps.read(str(tmp_path))
    assert list(_splits(tmp_path)) == ["MAPS_MUS-bach_850_AkPnBsdf"]
    stem = f"{tmp_path}/AkPnBcht/MUS/MAPS_MUS-alb_se3_AkPnBcht"
    assert data_set.left_out == (
        LeftOut(f"{stem}.mid", "its audio is missing"),
        LeftOut(f"{stem}.txt", "its audio is missing"),
        LeftOut(
            f"{tmp_path}/AkPnBsdf/MUS/MAPS_MUS-alb_se4_AkPnBsdf.wav",
            "its labels (.txt) are missing",
        ),
        LeftOut("MAPS_MUS-alb_se3_Bosendor", "Bosendor is not a piano of MAPS"),
    )


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no usable recording of maps was found.*AkPnBcht"):
        maps.read(str(tmp_path))
    write_zip(tmp_path / "X.zip", maps_recording("alb_se3", "Bosendor"))
    with pytest.raises(InputError, match="Bosendor is not a piano of MAPS"):
        maps.read(str(tmp_path))


def test_genuine_labels_of_all_recordings_at_hand(shared_dir: Path) -> None:
    root = shared_dir / "data" / "maps"
    data_set = maps.read(str(root))
    assert data_set.counts == {"train": 121, "validation": 0, "test": 5}
    # None of the 121 is a piece of the test pianos, whose own five all are.
    assert data_set.left_out == ()
    assert {r.piece for r in data_set.recordings if r.split == "test"} <= maps.TEST_PIECES
    held_out = maps.read(str(root), validation_groups=("AkPnBsdf",))
    assert held_out.counts == {"train": 95, "validation": 18, "test": 5}
    assert len(held_out.left_out) == 8
    recording = data_set.recordings[0]
    assert recording.id == "MAPS_MUS-alb_esp2_AkPnCGdD"
    notes, remarks = read_notes_and_remarks(recording)
    assert (len(notes), remarks) == (679, [])
    # Times as in the text, velocity as in the MIDI file.
    assert next(iter(notes)) == (0.500004, 2.45304, 38, 53)


def test_test_pieces_are_as_many_as_the_test_pianos_play() -> None:
    # 2 x 30 recordings, 7 of whose pieces both pianos play.
    assert len(maps.TEST_PIECES) == 53
