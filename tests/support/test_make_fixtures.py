"""Test that fixtures are identical at every run, in the layout of the genuine data sets."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from tests.support.make_fixtures import (
    MAPS_NOTES,
    float_wav,
    maestro_table,
    make_all,
    maps_text,
    stereo_wav,
)


def test_every_run_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        make_all(tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append(
            {
                str(path.relative_to(tmp_path / name)): hashlib.sha256(path.read_bytes()).digest()
                for path in files
            }
        )
    assert digests[0] == digests[1]
    assert len(digests[0]) == 55
    assert sum(path.stat().st_size for path in files) < 4 << 20


def test_labels_of_maps() -> None:
    assert maps_text(MAPS_NOTES[:1]) == (
        b"OnsetTime\tOffsetTime\tMidiPitch\r\n0.5\t1.25\t60 \r\n\r\n"
    )


def test_quotes_and_encodings_of_maestro() -> None:
    table = maestro_table("v3.0.0", "csv").splitlines()
    assert table[0] == (
        b"canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"
    )
    assert table[2].startswith(
        b'Alexander Scriabin,"24 Preludes Op. 11, No. 13-24",train,2004,2004/'
    )
    assert table[3].startswith(b"C\xc3\xa9sar Franck,Prel./Chor./Fug.,validation,2006,2006/")
    assert b"\r" not in maestro_table("v3.0.0", "csv")
    columns = maestro_table("v3.0.0", "json")
    assert columns.startswith(b'{"canonical_composer":{"0":"Alban Berg","1":"Alexander Scriabin",')
    assert b'"2":"C\\u00e9sar Franck"' in columns
    assert b'"midi_filename":{"0":"2018\\/MIDI-Unprocessed' in columns


def test_wav_headers() -> None:
    # Format tag, channels, rate: 1 is PCM, 3 is IEEE float.
    for content, expected in (
        (stereo_wav(220), (1, 2, 44_100)),
        (float_wav(220), (3, 1, 44_100)),
    ):
        assert content[:4] + content[8:16] == b"RIFFWAVEfmt "
        assert struct.unpack("<HHI", content[20:28]) == expected
