"""Test every reader on damaged files: a valid result or a clear error.

Sound is in test_audio_fuzz.py, servers and SavedModels are in test_serving_hostile.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipelines.input.test_training_windows import _recording
from tests.support.fuzzing import CASES, bounded, damaged
from tests.support.small_data import write_prepared
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.network.weights import load_weights, save_weights
from tfamt.notes.label_files import parse_labels
from tfamt.notes.midi import parse_midi
from tfamt.notes.table import Notes
from tfamt.presets import preset


def check(read: Callable[[], Any], name: str) -> Any:
    """What is read; None if there is an error that names the file in a few words."""
    with bounded(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except InputError as error:
            assert str(error).startswith(name), error
            assert len(str(error)) < 800
            return None


# --- MIDI ---


def midi(events: list[tuple[int, mido.Message]], ticks: int = 500) -> bytes:
    track = mido.MidiTrack([message.copy(time=time) for time, message in events])
    file = io.BytesIO()
    mido.MidiFile(ticks_per_beat=ticks, tracks=[track, track]).save(file=file)
    return file.getvalue()


MUSIC = midi(
    [
        (0, mido.MetaMessage("set_tempo", tempo=400_000)),
        (0, mido.MetaMessage("time_signature", numerator=3, denominator=4)),
        (0, mido.MetaMessage("key_signature", key="Bb")),
        (0, mido.Message("program_change", program=1)),
        (10, mido.Message("control_change", control=64, value=127)),
        (0, mido.Message("note_on", note=60, velocity=70)),
        (300, mido.Message("note_on", note=60, velocity=70)),
        (5, mido.Message("sysex", data=(1, 2, 3))),
        (100, mido.Message("note_off", note=60)),
        (400, mido.Message("control_change", control=64, value=0)),
        (0, mido.MetaMessage("end_of_track")),
    ]
)
bytes7 = st.integers(0, 127)
messages = (
    st.builds(
        mido.Message,
        st.sampled_from(("note_on", "note_off")),
        channel=st.integers(8, 9),
        note=bytes7,
        velocity=bytes7,
    )
    | st.builds(mido.Message, st.just("control_change"), control=st.just(64), value=bytes7)
    | st.builds(mido.MetaMessage, st.just("set_tempo"), tempo=st.integers(0, 2**24 - 1))
)
# Deltas to the longest that a file can state.
deltas = st.integers(0, 1000) | st.integers(0, 2**21) | st.just(2**28 - 1)
compositions = st.builds(
    midi, st.lists(st.tuples(deltas, messages), max_size=8), st.integers(1, 2**15 - 1)
)


@pytest.mark.fuzz
@CASES
@given(damaged(MUSIC) | damaged(MUSIC) | compositions | st.binary(max_size=100))
def test_midi(content: bytes) -> None:
    notes = check(lambda: parse_midi(content, "x.mid"), "x.mid: ")
    assert notes is None or np.isfinite(notes.intervals).all()


# --- labels ---

LABELS = {
    "x.txt": b"OnsetTime\tOffsetTime\tMidiPitch\r\n0.5\t1.25\t60\r\n0.7\t1e0\t108\r\n\r\n",
    "own.csv": b'onset,offset,pitch,velocity\n0.5,1.25,60,64\n"0.7",1,108,127\n',
    "musicnet.csv": b"start_time,end_time,instrument,note,start_beat,end_beat,note_value\n"
    b"9182,90078,43,53,4.0,1.5,Dotted Quarter\n",
}
fields = (
    st.integers().map(str)
    | st.floats().map(str)
    | st.text(max_size=10)
    | st.sampled_from(["9" * 30, "1e999", "-0", '"', "\0", "٣", "1_0"])
)


# Longer than Python's int and csv take; made late, so that Hypothesis does not show them in every message.
fields |= st.sampled_from((5_000, 140_000)).map(lambda length: "1" * length)


@st.composite
def tables(draw: st.DrawFn, good: bytes) -> bytes:
    """The right header, and rows of fields of any kind."""
    header = good.splitlines()[0].decode()
    separator = "\t" if "\t" in header else ","
    rows = draw(st.lists(st.lists(fields, max_size=8), max_size=4))
    return "\n".join([header, *(separator.join(row) for row in rows)]).encode("utf-8", "replace")


@pytest.mark.fuzz
@pytest.mark.parametrize("name", LABELS)
def test_labels(name: str) -> None:
    @CASES
    @given(damaged(LABELS[name]) | tables(LABELS[name]) | st.binary(max_size=100))
    def read(content: bytes) -> None:
        notes = check(lambda: parse_labels(content, name), f"{name}: ")
        assert notes is None or (np.isfinite(notes.intervals).all() and (notes.velocity > 0).all())

    read()


# --- weights and configs ---


@pytest.mark.fuzz
def test_weights(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    stored = {"transcriber/a": np.ones((2, 3), np.float32), "transcriber/b": np.float32([4])}
    save_weights(path, preset("piano"), stored)
    good = path.read_bytes()
    packed = io.BytesIO()
    np.savez_compressed(packed, config=np.frombuffer(preset("piano").to_json().encode(), np.uint8))

    @CASES
    @given(damaged(good, packed.getvalue()) | damaged(good[:400]) | st.binary(max_size=300))
    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = check(lambda: load_weights(path), str(path))
        assert found is None or all(array.dtype == np.float32 for array in found[1].values())

    read()


def test_weights_that_unpack_to_gigabytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("transcriber/a.npy", "w", force_zip64=True) as entry,
    ):
        for _ in range(520):
            entry.write(bytes(2**20))
    assert path.stat().st_size < 4e6
    with pytest.raises(InputError, match="is not a weights file of tfamt"), bounded():
        load_weights(path)


# --- flagfiles ---


def flagfiles(folder: Path) -> None:
    """Runs the flags of bin/train from damaged flagfiles, in this process."""
    from absl import flags

    from pipelines.commands import train
    from tfamt.commands.app import run
    from tfamt.commands.config_flags import config_from_flags

    def main(argv: list[str]) -> int:
        assert isinstance(config_from_flags()[0], Config)
        return 0

    main.__module__ = train.__name__
    goods = [path.read_bytes() for path in sorted(Path("configs").glob("*.flags"))]
    # Those of absl itself start debuggers and write profiles.
    modules = flags.FLAGS.flags_by_module_dict()
    names = st.sampled_from(
        [flag.name for name in modules if not name.startswith("absl") for flag in modules[name]]
    )
    lines = st.builds("--{}={}".format, names, fields) | st.text(max_size=30)
    path = folder / "x.flags"
    os.chdir(folder)

    @CASES
    @given(
        damaged(*goods)
        | st.lists(lines, max_size=4).map("\n".join).map(lambda text: text.encode("utf-8", "replace"))
        | st.binary(max_size=100)
    )  # fmt: skip
    def read(content: bytes) -> None:
        path.write_bytes(content)
        said = io.StringIO()
        sys.argv = ["train", f"--flagfile={path}"]
        flags.FLAGS.unparse_flags()
        for name in flags.FLAGS:
            flags.FLAGS[name].unparse()
        with bounded(), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as end:
            run(main)
        assert end.value.code in (0, 1, 2)
        assert said.getvalue().startswith("error: ") == (end.value.code != 0), said.getvalue()

    read()


@pytest.mark.fuzz
def test_flagfiles(tmp_path: Path, root: Path) -> None:
    # In a process of its own: flags are global.
    code = "import sys; from pathlib import Path; from tests.test_fuzz import flagfiles; flagfiles(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=root, timeout=3600
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


# --- prepared data ---


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    write_prepared(folder, [[_recording(1)]])
    return folder


@pytest.mark.fuzz
def test_indexes_and_shards(prepared: Path) -> None:
    from pipelines.preparation.index import load_index
    from pipelines.preparation.integrity import leave_out_damaged

    shard, index = prepared / "train-00000-of-00001.tfrecord", next(prepared.glob("*.index.json"))
    whole = {path: path.read_bytes() for path in (shard, index)}
    entry = json.loads(whole[index])["recordings"][0]
    values = st.none() | st.text(max_size=5) | st.integers() | st.lists(st.integers(), max_size=3)
    altered = st.builds(
        lambda key, value: json.dumps({"recordings": [entry | {key: value}]}).encode(),
        st.sampled_from(sorted(entry)),
        values,
    )
    nested = st.integers(1, 10**5).map(lambda n: b"[" * n)

    @CASES
    @given(
        damaged(whole[shard]).map(lambda content: (shard, content))
        | (damaged(whole[index]) | altered | nested).map(lambda content: (index, content))
    )
    def read(damage: tuple[Path, bytes]) -> None:
        path, content = damage
        path.write_bytes(content)
        try:
            kept = check(
                lambda: leave_out_damaged(load_index(prepared, "train"), 0, lambda _: None),
                str(prepared),
            )
            # What is let through is what was written.
            assert kept is None or [item.entry.total for item in kept] == [5_001]
        finally:
            path.write_bytes(whole[path])

    read()


@pytest.mark.fuzz
def test_records_with_right_checksums(prepared: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    from pipelines.preparation.index import StoredRecording, load_index
    from pipelines.preparation.integrity import bad_records, readable
    from pipelines.preparation.records import FOOTER_BYTES, HEADER_BYTES, parse

    (stored,) = load_index(prepared, "train")
    record = Path(stored.shard).read_bytes()[HEADER_BYTES:-FOOTER_BYTES]
    shard = tmp_path / "x.tfrecord"
    parsed = tf.function(parse, input_signature=[tf.TensorSpec([], tf.string)])

    @CASES
    @given(damaged(record) | st.binary(max_size=100))
    def read(content: bytes) -> None:
        with tf.io.TFRecordWriter(str(shard)) as writer:
            writer.write(content)
        size = shard.stat().st_size
        entry = dataclasses.replace(stored.entry, offsets=(0, size))
        with bounded():
            if bad_records(StoredRecording(str(shard), size, entry)):
                return
        batches = readable(map(parsed, [tf.constant(content)]))
        found = check(lambda: next(batches), "the prepared data cannot be read any more")
        assert found is None or found["audio"].shape == (5_001,)

    read()


def test_nothing_of_the_good_files_is_refused(prepared: Path) -> None:
    assert parse_midi(MUSIC, "x.mid") == Notes(
        [0.008] * 2 + [0.248] * 2, [0.248] * 2 + [0.652] * 2, [60] * 4, [70] * 4
    )
    assert {name: len(parse_labels(content, name)) for name, content in LABELS.items()} == {
        "x.txt": 2, "own.csv": 2, "musicnet.csv": 1,
    }  # fmt: skip
