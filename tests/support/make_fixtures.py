"""Build small data sets in the layouts of the genuine ones, identical at every run.

`python tests/support/make_fixtures.py FOLDER` writes all of them, for a look; the tests call the functions.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import mido
import numpy as np
import scipy.io.wavfile
import soundfile
from numpy.typing import NDArray

Files = dict[str, bytes]
"""Name inside the archive or folder -> content."""
Note = tuple[float, float, int, int]

MAPS_NOTES: list[Note] = [(0.5, 1.25, 60, 50), (0.5, 1.25, 64, 60), (1.0, 1.25, 60, 70)]
"""Onset, sustained offset, pitch, velocity; keys are released 0.25 s after the onset, the pedal at 1.25 s."""
MAESTRO_COLUMNS = [
    "canonical_composer",
    "canonical_title",
    "split",
    "year",
    "midi_filename",
    "audio_filename",
    "duration",
]
MAESTRO_ROWS: list[tuple[str, str, str, int, str]] = [
    (
        "Alban Berg",
        "Sonata Op. 1",
        "train",
        2018,
        "2018/MIDI-Unprocessed_Chamber3_MID--AUDIO_10_R3_2018_wav--1",
    ),
    (
        "Alexander Scriabin",
        "24 Preludes Op. 11, No. 13-24",
        "train",
        2004,
        "2004/MIDI-Unprocessed_XP_21_R1_2004_01_ORIG_MID--AUDIO_21_R1_2004_01_Track01_wav",
    ),
    (
        "César Franck",
        "Prel./Chor./Fug.",
        "validation",
        2006,
        "2006/MIDI-Unprocessed_22_R1_2006_01-04_ORIG_MID--AUDIO_22_R1_2006_02_Track02_wav",
    ),
    (
        "Claude Debussy",
        "Preludes Book II: “Feux d'artifice,” L 123, No. 12",
        "test",
        2014,
        "2014/MIDI-UNPROCESSED_06-08_R1_2014_MID--AUDIO_07_R1_2014_wav--5",
    ),
]
MUSICNET_METADATA = (
    "id,composer,composition,movement,ensemble,source,transcriber,catalog_name,seconds\n"
    "1727,Schubert,Piano Quintet in A major,2. Andante,Piano Quintet,European Archive,"
    "http://tirolmusic.blogspot.com/,OP114,447\n"
    "1759,Schubert,Piano Sonata in C minor,3. Menuet and Trio,Solo Piano,Museopen,Martin Charles Bucknall,D958,194\n"
    "1819,Mozart,Serenade in E-flat major,4. Menuetto,Pairs Clarinet-Horn-Bassoon,Soni Ventorum Wind Quintet,"
    "Oliver Seely,K375,177\n"
    '2302,Bach,"WTK I, No 5: Prelude and Fugue in D major",2. Fugue,Solo Piano,Kimiko Ishizaka,www.bachcentral.com,'
    "BWV850,108\n"
    '2303,Bach,"WTK I, No 5: Prelude and Fugue in D major",1. Prelude,Solo Piano,Kimiko Ishizaka,www.bachcentral.com,'
    "BWV850,92\n"
    "2382,Beethoven,String Quartet No 13 in B-flat major,2. Presto,String Quartet,European Archive,suzumedia,"
    "OP130,117\n"
    "2532,Beethoven,Piano Sonata No 20 in C minor,1. Maestoso,Solo Piano,Neal O’Doan,piano-midi.de,OP111,548\n"
)
MUSICNET_IDS = {"train": ("1727", "2302", "2532"), "test": ("1759", "1819", "2303", "2382")}


def tone(frequency: float, seconds: float, rate: int) -> NDArray[np.float32]:
    """A sine, float32 [samples]."""
    phase = 2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate
    wave: NDArray[np.float32] = (0.25 * np.sin(phase)).astype(np.float32)
    return wave


def stereo_wav(frequency: float, seconds: float = 0.25, rate: int = 44_100) -> bytes:
    """16-bit stereo, as MAPS and MAESTRO have it."""
    channel = tone(frequency, seconds, rate)
    content = io.BytesIO()
    soundfile.write(content, np.stack([channel, channel / 2], 1), rate, "PCM_16", format="WAV")
    return content.getvalue()


def float_wav(frequency: float, seconds: float = 0.25, rate: int = 44_100) -> bytes:
    """32-bit float mono, as MusicNet has it."""
    content = io.BytesIO()
    scipy.io.wavfile.write(content, rate, tone(frequency, seconds, rate))
    return content.getvalue()


def midi(notes: list[Note], held: float | None = None, pedal_up: float | None = None) -> bytes:
    """A MIDI file of one track, a tick a millisecond.

    Args:
      notes: the notes to render.
      held: seconds that keys are held, if the pedal and not the key ends the notes.
      pedal_up: when the pedal, down from the beginning, is released.
    """
    events = []
    for onset, offset, pitch, velocity in notes:
        events.append((onset, mido.Message("note_on", note=pitch, velocity=velocity)))
        release = offset if held is None else onset + held
        events.append((release, mido.Message("note_off", note=pitch)))
    if pedal_up is not None:
        events.append((0.0, mido.Message("control_change", control=64, value=100)))
        events.append((pedal_up, mido.Message("control_change", control=64, value=0)))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    now = 0
    for time, message in sorted(events, key=lambda event: (event[0], event[1].type)):
        track.append(message.copy(time=round(time * 1000) - now))
        now = round(time * 1000)
    content = io.BytesIO()
    mido.MidiFile(tracks=[track], ticks_per_beat=500).save(file=content)
    return content.getvalue()


def maps_text(notes: list[Note]) -> bytes:
    """Labels of MAPS: tabs, CRLF, blanks at the ends of lines, an empty line at the end."""
    lines = ["OnsetTime\tOffsetTime\tMidiPitch"]
    lines += [f"{onset:.6g}\t{offset:.6g}\t{pitch} " for onset, offset, pitch, _ in notes]
    return "".join(line + "\r\n" for line in [*lines, ""]).encode("ascii")


def maps_recording(piece: str, group: str) -> Files:
    """The three files of a piece of music."""
    stem = f"{group}/MUS/MAPS_MUS-{piece}_{group}"
    return {
        f"{stem}.mid": midi(MAPS_NOTES, held=0.25, pedal_up=1.25),
        f"{stem}.txt": maps_text(MAPS_NOTES),
        f"{stem}.wav": stereo_wav(200 + len(piece)),
    }


def maps_zips() -> dict[str, Files]:
    """The zips of five pianos, one of them in two parts; pieces as in MAPS, but fewer."""
    isolated = {
        f"AkPnBcht/{place}_AkPnBcht.{suffix}": b"not read"
        for place in (
            "ISOL/NO/MAPS_ISOL_NO_F_S0_M60",
            "RAND/P2/M/I60-68/MAPS_RAND_P2_M_I60-68_S0_n1",
        )
        for suffix in ("mid", "txt", "wav")
    }
    return {
        "AkPnBcht.zip": maps_recording("alb_se3", "AkPnBcht")
        | maps_recording("chpn-p14", "AkPnBcht")
        | isolated,
        "AkPnBsdf.zip": maps_recording("alb_se3", "AkPnBsdf")
        | maps_recording("bach_850", "AkPnBsdf"),
        "ENSTDkAm1.zip": maps_recording("chpn-p14", "ENSTDkAm"),
        "ENSTDkAm2.zip": maps_recording("ty_mai", "ENSTDkAm"),
        "ENSTDkCl.zip": maps_recording("alb_se2", "ENSTDkCl"),
        "StbgTGd2.zip": maps_recording("alb_se2", "StbgTGd2"),
    }


def maestro_table(version: str, suffix: str) -> bytes:
    """The csv or json table: JSON of v1.0.0 and v2.0.0 is a list of records, of v3.0.0 a dict of columns."""
    records = [
        dict(zip(MAESTRO_COLUMNS, (*row, f"{name}.midi", f"{name}.wav", 0.25), strict=True))
        for *row, name in MAESTRO_ROWS
    ]
    if suffix == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, MAESTRO_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue().encode("utf-8")
    if version == "v3.0.0":
        columns = {
            column: {str(n): record[column] for n, record in enumerate(records)}
            for column in MAESTRO_COLUMNS
        }
        # As pandas writes it.
        return json.dumps(columns, separators=(",", ":")).replace("/", "\\/").encode("ascii")
    return json.dumps(records, indent=4, ensure_ascii=False).encode("utf-8")


def maestro_files(version: str, with_audio: bool = True) -> Files:
    """The whole data set, or the distribution without audio."""
    top = f"maestro-{version}"
    files = {
        f"{top}/LICENSE": b"Attribution-NonCommercial-ShareAlike 4.0 International\n",
        f"{top}/{top}.csv": maestro_table(version, "csv"),
        f"{top}/{top}.json": maestro_table(version, "json"),
    }
    for number, (*_, name) in enumerate(MAESTRO_ROWS):
        rate = 48_000 if number == 0 else 44_100
        files[f"{top}/{name}.midi"] = midi([(0.1, 0.2, 60 + number, 80)])
        if with_audio:
            files[f"{top}/{name}.wav"] = stereo_wav(220 + number, rate=rate)
    return files


def musicnet_files() -> Files:
    """What musicnet.tar.gz holds; `MUSICNET_METADATA` is distributed beside it."""
    files: Files = {}
    for split, numbers in MUSICNET_IDS.items():
        for number in numbers:
            files[f"musicnet/{split}_data/{number}.wav"] = float_wav(int(number) / 10)
            files[f"musicnet/{split}_labels/{number}.csv"] = (
                b"start_time,end_time,instrument,note,start_beat,end_beat,note_value\n"
                b"2205,6615,43,53,4.0,1.5,Dotted Quarter\n"
                b"4410,8820,44,65,4.0,0.5,Eighth\n"
            )
    return files


def folder_files() -> Files:
    """A user's own recordings, with labels of every kind, and what goes wrong in such folders."""
    notes = [(0.05, 0.2, 60, 90)]
    return {
        "readme.txt": b"My recordings.\n",
        "waltz.wav": stereo_wav(220),
        "waltz.mid": midi(notes),
        "waltz.csv": b"onset,offset,pitch,velocity\n0.05,0.2,60,90\n",
        "upright/march.WAV": stereo_wav(230),
        "upright/march.txt": maps_text(notes),
        "grand/march.wav": stereo_wav(240),
        "grand/march.csv": b"onset,offset,pitch,velocity\n0.05,0.2,60,90\n",
        "audio/op.28_no.4.wav": stereo_wav(250),
        "midi/op.28_no.4.midi": midi(notes),
        "audio/lonely.wav": stereo_wav(260),
        "midi/silent.mid": midi(notes),
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes files below `folder`, which is returned."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """Writes a zip with entries for its folders, as the genuine ones have; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in [*_folders(files), *files]:
            info = zipfile.ZipInfo(name, date_time=(2010, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, files.get(name, b""))
    return path


def write_tar_gz(path: Path, files: Mapping[str, bytes]) -> Path:
    """Writes a .tar.gz (or, by the suffix, a .tar) with entries for its folders; returns `path`."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in [*_folders(files), *files]:
            info = tarfile.TarInfo(name.rstrip("/"))
            if name in files:
                info.size = len(files[name])
                archive.addfile(info, io.BytesIO(files[name]))
            else:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
    path.parent.mkdir(parents=True, exist_ok=True)
    tar = content.getvalue()
    path.write_bytes(tar if path.suffix == ".tar" else gzip.compress(tar, mtime=0))
    return path


def make_maps(folder: Path) -> Path:
    """MAPS as distributed."""
    for name, files in maps_zips().items():
        write_zip(folder / name, files)
    return folder


def make_musicnet(folder: Path) -> Path:
    """MusicNet as distributed."""
    write_tar_gz(folder / "musicnet.tar.gz", musicnet_files())
    return write_files(folder, {"musicnet_metadata.csv": MUSICNET_METADATA.encode("utf-8")})


def make_all(folder: Path) -> None:
    """Every layout in a folder of its own."""
    make_maps(folder / "maps")
    make_musicnet(folder / "musicnet")
    for version in ("v1.0.0", "v2.0.0", "v3.0.0"):
        write_files(folder / "maestro", maestro_files(version))
    write_zip(folder / "maestro-zip/maestro-v3.0.0.zip", maestro_files("v3.0.0"))
    write_zip(
        folder / "maestro-midi/maestro-v3.0.0-midi.zip", maestro_files("v3.0.0", with_audio=False)
    )
    write_files(folder / "folder", folder_files())


def _folders(files: Mapping[str, bytes]) -> list[str]:
    parents = {parent for name in files for parent in Path(name).parents if parent != Path()}
    return sorted(f"{parent.as_posix()}/" for parent in parents)


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))
