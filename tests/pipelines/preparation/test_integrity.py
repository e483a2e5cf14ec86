"""Test the detection of damaged records, and the training that follows."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.preparation.index import StoredRecording, load_index
from pipelines.preparation.integrity import bad_records, leave_out_damaged, readable
from pipelines.preparation.records import FOOTER_BYTES, HEADER_BYTES, SEGMENT_SAMPLES
from tests.pipelines.input.test_training_windows import _recording
from tests.support.processes import command
from tests.support.small_data import every_window, write_prepared
from tfamt.errors import InputError
from tfamt.frames import FrameGrid
from tfamt.notes.table import Notes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    write_prepared(folder, [[_recording(0), _recording(1)], [_recording(2)]])
    return folder


def _copy(folder: Path, target: Path) -> Path:
    target.mkdir(exist_ok=True)
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def _flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def test_what_tensorflow_wrote_is_whole(whole: Path) -> None:
    stored = load_index(whole, "train")
    assert [bad_records(item) for item in stored] == [[], [], []]
    said: list[str] = []
    assert leave_out_damaged(stored, 0, said.append) == stored
    assert said == []


@settings(max_examples=200, deadline=None)
@given(part=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(whole: Path, part: float, bit: int) -> None:
    stored = load_index(whole, "train")[0]
    shard = Path(stored.shard)
    content = shard.read_bytes()
    position = int(part * stored.entry.offsets[-1])
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    try:
        shard.write_bytes(damaged)
        number = int(np.searchsorted(stored.entry.offsets, position, side="right")) - 1
        assert bad_records(stored) == [number]
    finally:
        shard.write_bytes(content)


def test_damaged_recordings_are_named_and_left_out(whole: Path, tmp_path: Path) -> None:
    folder = _copy(whole, tmp_path / "damaged")
    stored = load_index(folder, "train")
    _flip(Path(stored[0].shard), stored[0].entry.offsets[1] + 100)
    _flip(Path(stored[0].shard), stored[0].entry.offsets[3] + 3)
    said: list[str] = []
    assert leave_out_damaged(stored, 2, said.append) == stored[1:]
    assert said == [f"{stored[0].shard}: recording r0 is left out, its record(s) 1, 3 are damaged"]
    with pytest.raises(InputError, match=r"has 2 damaged record\(s\), and 1 are allowed"):
        leave_out_damaged(stored, 1, said.append)


def test_a_shard_that_was_cut_short(whole: Path, tmp_path: Path) -> None:
    folder = _copy(whole, tmp_path / "short")
    stored = load_index(folder, "train")
    os.truncate(stored[0].shard, stored[0].entry.offsets[2] + 50)
    assert bad_records(stored[0]) == [2, 3]
    assert bad_records(stored[1]) == [0]


def _replace_record(item: StoredRecording, number: int, content: bytes) -> None:
    """Puts another content, with right checksums, in the place of a record of the same length."""
    begin, end = item.entry.offsets[number : number + 2]
    other = Path(item.shard).with_suffix(".other")
    with tf.io.TFRecordWriter(str(other)) as writer:
        writer.write(content)
    record = other.read_bytes()
    assert len(record) == end - begin
    with open(item.shard, "r+b") as file:
        file.seek(begin)
        file.write(record)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: bytes(len(content)),
        lambda content: content.replace(b"fLaC", b"fLaX"),
        lambda content: content.replace(b"r0", b"r9"),
        # 16,000 Hz in 20 bits, mono in 3, 16 bits a sample in 5: now 16,001 Hz.
        lambda content: content.replace(bytes([0x03, 0xE8, 0x00]), bytes([0x03, 0xE8, 0x10])),
    ],
    ids=["no Example", "no FLAC", "another recording", "another sample rate"],
)
def test_what_is_no_segment_is_bad_whatever_its_checksum_says(
    whole: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    stored = load_index(_copy(whole, tmp_path / "other"), "train")
    begin, end = stored[0].entry.offsets[1:3]
    content = Path(stored[0].shard).read_bytes()[begin + HEADER_BYTES : end - FOOTER_BYTES]
    changed = change(content)
    assert changed != content
    _replace_record(stored[0], 1, changed)
    assert [bad_records(item) for item in stored] == [[1], [], []]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_index_is_an_input_error_or_names_bad_records(
    whole: Path, data: st.DataObject
) -> None:
    index = sorted(whole.glob("*.index.json"))[0]
    content = index.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(0, 12))
    inserted = data.draw(st.binary(max_size=6) | st.sampled_from([b"1e9", b"null", b"-", b"[]"]))
    try:
        index.write_bytes(content[:position] + inserted + content[position + length :])
        try:
            stored = load_index(whole, "train")
        except InputError as error:
            assert index.name in str(error)
            return
        # What still looks like an index is compared with the records themselves.
        for item in stored:
            bad = bad_records(item)
            assert set(bad) <= set(range(len(item.entry.offsets) - 1))
    finally:
        index.write_bytes(content)


def test_a_missing_shard_is_said(whole: Path, tmp_path: Path) -> None:
    folder = _copy(whole, tmp_path / "missing")
    stored = load_index(folder, "train")
    Path(stored[0].shard).unlink()
    with pytest.raises(InputError, match="tfrecord: is missing"):
        load_index(folder, "train")
    with pytest.raises(InputError, match="cannot be read"):
        bad_records(stored[0])


def test_damage_after_the_check_is_one_line(whole: Path, tmp_path: Path) -> None:
    stored = load_index(_copy(whole, tmp_path / "later"), "train")
    # Before the first batch: the pipeline reads ahead, and may hold a small data set whole after it.
    for item in stored:
        Path(item.shard).write_bytes(bytes(item.size))
    batches = every_window(stored, 640, FrameGrid(16_000, 512)).batch(1)
    with pytest.raises(InputError, match="the prepared data cannot be read any more") as caught:
        list(readable(batches))
    assert "\n" not in str(caught.value)


def test_training_stops_at_damage_or_goes_on_without_it(tmp_path: Path, root: Path) -> None:
    random = np.random.default_rng(0)
    recordings = [
        (
            random.integers(-9000, 9000, SEGMENT_SAMPLES).astype(np.int16),
            Notes([1.0], [2.0], [60], [70]),
        )
        for _ in range(3)
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    write_prepared(folder, [recordings])
    damaged = load_index(folder, "train")[1]
    _flip(Path(damaged.shard), damaged.entry.offsets[0] + 1000)

    def train(*flags: str) -> subprocess.CompletedProcess[str]:
        return command(
            *("pipelines.commands.train", "--preset=tiny", "--training_steps=1"),
            *(f"--data={folder}", f"--run_dir={tmp_path / 'run'}", *flags),
            cwd=root,
        )

    stopped = train()
    assert stopped.returncode == 1
    (line,) = [line for line in stopped.stderr.splitlines() if line.startswith("error:")]
    assert "has 1 damaged record(s), and 0 are allowed" in line
    assert damaged.shard in line
    assert not (tmp_path / "run" / "weights.npz").exists()
    goes_on = train("--max_bad_records=1")
    assert goes_on.returncode == 0, goes_on.stderr
    assert "recording r1 is left out" in goes_on.stderr
    assert "2 recordings to train on" in goes_on.stdout
    assert (tmp_path / "run" / "weights.npz").exists()
