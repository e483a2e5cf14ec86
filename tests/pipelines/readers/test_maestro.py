"""Test the reader of MAESTRO: three versions, zipped and unpacked, with and without audio."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from pipelines.readers import maestro
from pipelines.readers.recordings import LeftOut
from pipelines.readers.sources import local_path, read_notes
from tests.support.make_fixtures import (
    Files,
    maestro_files,
    maestro_table,
    stereo_wav,
    write_files,
    write_zip,
)
from tfamt.errors import InputError

VERSIONS = ("v1.0.0", "v2.0.0", "v3.0.0")
BERG = "2018_MIDI-Unprocessed_Chamber3_MID--AUDIO_10_R3_2018_wav--1"
SCRIABIN = "2004_MIDI-Unprocessed_XP_21_R1_2004_01_ORIG_MID--AUDIO_21_R1_2004_01_Track01_wav"
FRANCK = "2006_MIDI-Unprocessed_22_R1_2006_01-04_ORIG_MID--AUDIO_22_R1_2006_02_Track02_wav"
DEBUSSY = "2014_MIDI-UNPROCESSED_06-08_R1_2014_MID--AUDIO_07_R1_2014_wav--5"
EXPECTED = {
    SCRIABIN: ("train", "2004", "Alexander Scriabin: 24 Preludes Op. 11, No. 13-24"),
    FRANCK: ("validation", "2006", "César Franck: Prel./Chor./Fug."),
    DEBUSSY: ("test", "2014", "Claude Debussy: Preludes Book II: “Feux d'artifice,” L 123, No. 12"),
    BERG: ("train", "2018", "Alban Berg: Sonata Op. 1"),
}


def _found(root: Path) -> dict[str, tuple[str, str, str]]:
    return {
        recording.id: (recording.split, recording.group, recording.piece)
        for recording in maestro.read(str(root)).recordings
    }


def _without(files: Files, *endings: str) -> Files:
    return {name: files[name] for name in files if not name.endswith(endings)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_all_versions(tmp_path: Path, version: str, packed: bool) -> None:
    files = maestro_files(version)
    if packed:
        write_zip(tmp_path / f"maestro-{version}.zip", files)
    else:
        write_files(tmp_path, files)
    assert _found(tmp_path) == EXPECTED
    data_set = maestro.read(str(tmp_path))
    assert data_set.left_out == ()
    assert data_set.remarks == ()
    berg = data_set.recordings[-1]
    assert list(read_notes(berg)) == [(0.1, 0.2, 60, 80)]
    with local_path(berg.audio) as path:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames) == (48_000, 2, 12_000)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_one_table_will_do(tmp_path: Path, version: str, suffix: str) -> None:
    other = {"csv": ".json", "json": ".csv"}[suffix]
    write_files(tmp_path, _without(maestro_files(version), other))
    assert _found(tmp_path / f"maestro-{version}") == EXPECTED


def test_the_two_forms_of_json_differ() -> None:
    assert isinstance(json.loads(maestro_table("v2.0.0", "json")), list)
    columns = json.loads(maestro_table("v3.0.0", "json"))
    assert columns["canonical_composer"]["2"] == "César Franck"
    assert columns["year"]["0"] == 2018


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"validation"',
            '"test"',
            "split of 2006/.*: '(validation|test)' there, '(validation|test)' here",
        ),
        (
            '"year":{"0":2018',
            '"year":{"0":2017',
            "year of 2018/.*: '201[78]' there, '201[78]' here",
        ),
    ],
)
def test_tables_that_disagree_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    files = maestro_files("v3.0.0")
    name = "maestro-v3.0.0/maestro-v3.0.0.json"
    assert old.encode() in files[name]
    files[name] = files[name].replace(old.encode(), new.encode())
    write_files(tmp_path, files)
    with pytest.raises(
        InputError, match=rf"maestro-v3\.0\.0\.json: disagrees with .*\.csv \({message}"
    ):
        maestro.read(str(tmp_path))


def test_a_shortened_table_disagrees(tmp_path: Path) -> None:
    files = maestro_files("v3.0.0")
    name = "maestro-v3.0.0/maestro-v3.0.0.csv"
    files[name] = b"".join(files[name].splitlines(keepends=True)[:-1])
    write_files(tmp_path, files)
    with pytest.raises(InputError, match=r"3 rows there, 4 here"):
        maestro.read(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lists no recording"),
        (b"a,b\n1,2\n", "lacks the column 'canonical_composer'"),
        (b"\xff\xfe", "is not a text file in UTF-8"),
        (
            maestro_table("v3.0.0", "csv").replace(b'"24 Preludes', b'"24 "Preludes'),
            r"the row that begins in line \d is not csv",
        ),
        (
            maestro_table("v3.0.0", "csv") + b'X,"Y,train,2018,2018/x.midi,2018/x.wav,1\n',
            r"the row that begins in line 6 is not csv \(unexpected end of data\)",
        ),
        (maestro_table("v3.0.0", "csv").replace(b",train,", b",dev,"), "unknown split.*'dev'"),
        (maestro_table("v3.0.0", "csv").replace(b"2018/", b"../../"), "leads out of its folder"),
        (maestro_table("v3.0.0", "csv").replace(b"2018/", b"/etc/"), "leads out of its folder"),
    ],
    ids=["empty", "columns", "encoding", "quote", "unclosed", "split", "parent", "absolute"],
)
def test_broken_csv_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    write_files(tmp_path, {"maestro-v3.0.0.csv": content})
    with pytest.raises(InputError, match=rf"maestro-v3\.0\.0\.csv.*{message}"):
        maestro.read(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"3", b"[1]", b'{"split": 1}'])
def test_broken_json_is_refused(tmp_path: Path, content: bytes) -> None:
    write_files(tmp_path, {"maestro-v3.0.0.json": content})
    with pytest.raises(InputError, match=r"maestro-v3\.0\.0\.json: (is not|lacks|lists)"):
        maestro.read(str(tmp_path))


def test_versions_do_not_mix(tmp_path: Path) -> None:
    write_files(tmp_path, maestro_files("v1.0.0") | maestro_files("v2.0.0"))
    with pytest.raises(InputError, match=r"several versions: maestro-v1\.0\.0, maestro-v2\.0\.0"):
        maestro.read(str(tmp_path))
    with pytest.raises(InputError, match=r"no maestro-v\*\.csv or \.json"):
        maestro.read(str(tmp_path / "maestro-v1.0.0/2018"))


def test_the_distribution_without_audio_says_what_to_do(tmp_path: Path) -> None:
    write_zip(tmp_path / "maestro-v3.0.0-midi.zip", maestro_files("v3.0.0", with_audio=False))
    with pytest.raises(InputError) as caught:
        maestro.read(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: Of the 4 recordings of maestro-v3.0.0, 4 audio files are missing, and 4 MIDI files are there. "
        "Download maestro-v3.0.0.zip, which has the audio, or render the MIDI files: "
        f"bin/prepare --dataset=rendered --midi={tmp_path}."
    )
    performances = maestro.read_performances(str(tmp_path)).performances
    assert [(p.id, p.row.split, p.audio) for p in performances] == [
        (SCRIABIN, "train", None),
        (FRANCK, "validation", None),
        (DEBUSSY, "test", None),
        (BERG, "train", None),
    ]
    assert all(p.midi is not None and p.midi.suffix == ".midi" for p in performances)


def test_the_real_tables_with_midi_and_no_audio(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "maestro-v3.0.0"
    with pytest.raises(
        InputError,
        match=r"Of the 1276 recordings of maestro-v3\.0\.0, 1276 audio files are missing",
    ):
        maestro.read(str(folder))
    listed = maestro.read_performances(str(folder)).performances
    splits = Counter(performance.row.split for performance in listed)
    assert splits == {"train": 962, "validation": 137, "test": 177}


def test_missing_and_unknown_files_are_named(tmp_path: Path) -> None:
    files = maestro_files("v2.0.0")
    top = "maestro-v2.0.0"
    berg, franck = (name.replace("_", "/", 1) for name in (BERG, FRANCK))
    for name in (f"{berg}.wav", f"{franck}.midi"):
        del files[f"{top}/{name}"]
    scriabin = SCRIABIN.replace("_", "/", 1)
    for suffix in ("wav", "midi"):
        del files[f"{top}/{scriabin}.{suffix}"]
    files[f"{top}/2018/other.wav"] = stereo_wav(300)
    write_files(tmp_path, files)
    data_set = maestro.read(str(tmp_path))
    assert [recording.id for recording in data_set.recordings] == [DEBUSSY]
    assert data_set.left_out == (
        LeftOut(f"{tmp_path}/{top}/2018/other.wav", "not in the table of maestro-v2.0.0"),
        LeftOut(SCRIABIN, "its files are missing"),
        LeftOut(FRANCK, "its MIDI file is missing"),
        LeftOut(BERG, "its audio file is missing"),
    )
    assert data_set.remarks == (
        "Of the 4 recordings of maestro-v2.0.0, 2 audio files are missing, and 2 MIDI files are there.",
    )


def test_audio_that_was_converted_is_found(tmp_path: Path) -> None:
    files = maestro_files("v3.0.0")
    write_files(tmp_path, {name.replace(".wav", ".flac"): files[name] for name in files})
    assert {recording.audio.suffix for recording in maestro.read(str(tmp_path)).recordings} == {
        ".flac"
    }


def test_the_genuine_table(shared_dir: Path) -> None:
    root = str(shared_dir / "data" / "maestro-v3.0.0")
    found = maestro.read_performances(root)
    assert found.version == "maestro-v3.0.0"
    assert found.left_out == []
    assert Counter(p.row.split for p in found.performances) == {
        "train": 962,
        "validation": 137,
        "test": 177,
    }
    assert Counter(p.row.split for p in found.performances if p.midi) == {
        "train": 475,
        "validation": 137,
    }
    assert len({p.id for p in found.performances}) == 1276
    titles = Counter(
        (composer, title)
        for composer, title, _ in {
            (p.row.canonical_composer, p.row.canonical_title, p.row.split)
            for p in found.performances
        }
    )
    assert sum(number > 1 for number in titles.values()) == 5
    with pytest.raises(InputError, match=r"1276 audio files are missing, and 612 MIDI files are"):
        maestro.read(root)
