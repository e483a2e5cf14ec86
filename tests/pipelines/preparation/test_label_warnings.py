"""Test through bin/prepare that labels are read as they sound, bounded by the audio, and repaired aloud."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.preparation.index import load_index
from pipelines.preparation.records import read_segments
from tests.support.make_fixtures import MAESTRO_COLUMNS, stereo_wav, write_files
from tests.support.midi_bytes import file, off, on, pedal, tempo, track
from tests.support.processes import command

HEADER = b"onset,offset,pitch,velocity\n0.1,0.2,60,64\n"
NOTES = track([(0, on(60)), (100, off(60)), (0 + 100, on(38, channel=9)), (200, off(38, 9))])
PEDAL = track([(50, pedal(127)), (400, pedal(0))])
LATE = track([(0, tempo(2**24 - 1)), (0, on(60)), (2**20, off(60))])
LABELS = {
    "pedal.mid": file(NOTES, PEDAL, announced=9),
    "faster.kar": file(track([(100, on(61)), (400, off(61))]), track([(200, tempo(250_000))])),
    "offset.csv": HEADER + b"0.2,1e15,61,64\n",
    "largest.csv": HEADER + b"0.2,1e308,61,64\n",
    "nine.csv": HEADER + b"0.2,1000000000,61,64\n",
    "onset.txt": b"OnsetTime\tOffsetTime\tMidiPitch\n0.1\t0.2\t60\n3.1\t3.2\t61\n",
    "ring.csv": HEADER + b"0.2,60.3,61,64\n",
    "late.mid": file(LATE),
    "quote.csv": HEADER + b'0.2,0.3,61,"64\n0.2,0.3,62,64\n',
    "cut.mid": file(NOTES)[:-4],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of half a second, and a link to one elsewhere."""
    root = tmp_path_factory.mktemp("labels")
    sound = stereo_wav(440.0, 0.5)
    files = {f"source/train/{name}": content for name, content in LABELS.items()}
    files |= {str(Path(name).with_suffix(".wav")): sound for name in files}
    write_files(root, files | {"far/x.wav": sound, "far/x.csv": HEADER})
    (root / "source/train/linked").symlink_to(root / "far")
    return root


def test_bin_prepare_bounds_and_repairs_labels_aloud(source: Path, tmp_path: Path) -> None:
    folder, output = source / "source", tmp_path / "output"
    call = ["--dataset=folder", f"--source={folder}", f"--output={output}"]
    call += ["--workers=1", "--shards=1"]
    done = command("pipelines.commands.prepare", *call)
    assert done.returncode == 1
    train = folder / "train"
    errors = dict(
        line.removeprefix("error: train_").split(": ", 1)
        for line in done.stderr.splitlines()
        if line.startswith("error: ")
    )
    assert errors == {
        "cut": f"{train}/cut.mid: is not a readable MIDI file (track 1 breaks off).",
        "largest": f"{train}/largest.csv: line 3: a note ends after 1e+308 s. Received: '0.2 1e308 61 64'.",
        "late": f"{train}/late.mid: a note ends 35183.9 s after the end of its audio (0.5 s).",
        "nine": f"{train}/nine.csv: line 3: a note ends after 1e+09 s. Received: '0.2 1000000000 61 64'.",
        "offset": f"{train}/offset.csv: line 3: a note ends after 1e+15 s. Received: '0.2 1e15 61 64'.",
        "onset": f"{train}/onset.txt: line 3: a note begins 2.6 s after the end of its audio (0.5 s). "
        "Received: '3.1 3.2 61'.",
        "quote": f"{train}/quote.csv: line 3 is not csv (unexpected end of data).",
    }
    said = [
        "the header announces 9 tracks, the file has 2 tracks: all read",
        "1 note of percussion (channel 10) left out",
    ]
    warnings = [f"train_pedal: {train}/pedal.mid: {text}" for text in said]
    assert [line for line in done.stderr.splitlines() if line.startswith("warning: ")] == [
        f"warning: {text}" for text in sorted(warnings)
    ]
    report = json.loads((output / "report.json").read_text())
    assert [f"{item['name']}: {item['text']}" for item in report["warnings"]] == sorted(warnings)
    link = {
        "name": f"{train}/linked",
        "reason": "a link that leads out of the folder is followed with --follow_links only",
    }
    assert report["not used"] == [link]
    text = (output / "report.txt").read_text()
    assert f"warning: {warnings[0]}\n" in text
    assert f"not used: {link['name']}: {link['reason']}\n" in text
    notes = {
        item.entry.recording: [
            note for segment in read_segments(item.shard, item.entry) for note in segment.notes
        ]
        for item in load_index(output, "train")
    }
    assert notes == {
        "train_pedal": [(0.0, 0.4, 60, 64)],
        "train_faster": [(0.1, 0.3, 61, 64)],
        # Pedals are held beyond the end of recordings.
        "train_ring": [(0.1, 0.2, 60, 64), (0.2, 60.3, 61, 64)],
    }
    followed = command("pipelines.commands.prepare", *call, "--follow_links", "--overwrite")
    assert followed.returncode == 1
    names = {item.entry.recording for item in load_index(output, "train")}
    assert names == {*notes, "train_linked_x"}
    assert json.loads((output / "report.json").read_text())["not used"] == []


def test_bin_prepare_names_the_row_of_a_table_whose_quote_is_not_closed(tmp_path: Path) -> None:
    row = 'X,"Y,train,2018,2018/x.midi,2018/x.wav,1'
    table = tmp_path / "source" / "maestro-v3.0.0.csv"
    write_files(table.parent, {table.name: f"{','.join(MAESTRO_COLUMNS)}\n{row}\n".encode()})
    done = command(
        "pipelines.commands.prepare",
        *("--dataset=maestro", f"--source={table.parent}", f"--output={tmp_path}/output"),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {table}: the row that begins in line 2 is not csv (unexpected end of data). "
        "Restore it from the download.\n"
    )
    assert not (tmp_path / "output").exists()
