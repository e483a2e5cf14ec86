"""Test windows of a prepared data set against a plain numpy re-implementation."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines.input.training_windows import segments_touched, training_batches
from pipelines.input.window_plan import training_plan
from pipelines.preparation.index import StoredRecording, load_index, totals_of
from pipelines.preparation.records import (
    SEGMENT_SAMPLES,
    Segment,
    decode,
    encode,
    index_of,
)
from tests.support.small_data import every_window, write_prepared
from tfamt.errors import InputError
from tfamt.frames import FrameGrid
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.notes.table import Notes

GRID = FrameGrid(16000, 512)
# Whole seconds would make every border fall on a frame: these lengths do not.
TOTALS = (3 * SEGMENT_SAMPLES + 12_345, 5_001, SEGMENT_SAMPLES, 2 * SEGMENT_SAMPLES - 1)


def _recording(number: int) -> tuple[np.ndarray, Notes]:
    random = np.random.default_rng(number)
    total = TOTALS[number]
    audio = random.integers(-20_000, 20_000, total).astype(np.int16)
    onset = np.sort(random.uniform(0, total / 16_000, 3 + total // 4_000)).round(6)
    notes = Notes(
        onset,
        (onset + random.exponential(1.0, len(onset))).round(6),
        random.integers(21, 109, len(onset)),
        random.integers(1, 128, len(onset)),
    )
    return audio, notes


def write_repeated(folder: Path, count: int, segments: int, samples: int) -> None:
    """A prepared data set of `count` recordings, each of so many times the same segment, in little time and disk."""
    folder.mkdir()
    audio = np.zeros(samples, np.int16)
    items = [
        Segment(f"r{number}", "g", index, segments * samples, audio, Notes([0.1], [0.2], [60]))
        for number in range(count)
        for index in range(segments)
    ]
    record = encode(items[0])
    with tf.io.TFRecordWriter(str(folder / "train-00000-of-00001.tfrecord")) as writer:
        for _ in items:
            writer.write(record)
    levels = {segment.recording: 0.0 for segment in items}
    entries = [
        dataclasses.asdict(entry) for entry in index_of([record] * len(items), items, levels)
    ]
    (folder / "train-00000-of-00001.index.json").write_text(json.dumps({"recordings": entries}))
    (folder / "manifest.json").write_text("{}")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    write_prepared(folder, [[_recording(0), _recording(1)], [_recording(2), _recording(3)]])
    return folder


def _expected(number: int, start: int, num_frames: int) -> dict[str, np.ndarray]:
    """The window cut from the whole recording, without TensorFlow."""
    audio, notes = _recording(number)
    samples = num_frames * GRID.hop
    waveform = np.zeros(samples, np.float32)
    begin, end = max(start, 0), min(start + samples, len(audio))
    waveform[begin - start : end - start] = audio[begin:end] / 32_768
    return {"waveform": waveform, **notes_to_rolls(notes, num_frames, GRID, start)}


@pytest.mark.parametrize("num_frames", [100, 640, 1500])
def test_training_windows_equal_numpy(prepared: Path, num_frames: int) -> None:
    stored = load_index(prepared, "train")
    batches = training_batches(stored, num_frames=num_frames, batch_size=3, grid=GRID, seed=7)
    plan = training_plan(totals_of(stored), num_frames * GRID.hop, seed=7)
    for batch in itertools.islice(batches, 8):
        for row in range(3):
            spec = next(plan)
            assert int(batch["recording"][row]) == spec.recording
            assert int(batch["start"][row]) == spec.start
            for name, value in _expected(spec.recording, spec.start, num_frames).items():
                np.testing.assert_allclose(batch[name][row], value, atol=1e-6, err_msg=name)


def test_evaluation_windows_hold_every_recording_once(prepared: Path) -> None:
    stored = load_index(prepared, "train")
    audio: dict[int, list[np.ndarray]] = {}
    for batch in every_window(stored, 640, GRID).batch(4):
        for recording, waveform in zip(
            batch["recording"].numpy(), batch["waveform"].numpy(), strict=True
        ):
            audio.setdefault(int(recording), []).append(waveform)
    for number, total in enumerate(TOTALS):
        joined = np.concatenate(audio[number])
        np.testing.assert_allclose(joined[:total] * 32_768, _recording(number)[0], atol=1e-2)
        assert not joined[total:].any()


def test_every_second_is_seen_equally_often(prepared: Path) -> None:
    stored = load_index(prepared, "train")
    window = 640 * GRID.hop
    per_epoch = sum(-(-total // window) for total in TOTALS)
    covered = [np.zeros(-(-total // 1000)) for total in TOTALS]
    epochs = 300
    # A plan's epochs tile each recording exactly once; stop where an epoch ends.
    seen: Counter[int] = Counter()
    for spec in itertools.islice(
        training_plan(totals_of(stored), window, seed=1), epochs * per_epoch
    ):
        probes = np.arange(0, TOTALS[spec.recording], 1000)
        covered[spec.recording] += (probes >= spec.start) & (probes < spec.start + window)
        seen[spec.recording] += 1
    for coverage in covered:
        # Within an epoch the cover is exact, so only the cut at the end can make a difference.
        assert coverage.max() - coverage.min() <= 1
        assert coverage.mean() > 0.7 * epochs


def test_the_plan_goes_on_from_any_window(prepared: Path) -> None:
    stored = load_index(prepared, "train")
    whole = list(itertools.islice(training_plan(totals_of(stored), 51_200, seed=3), 400))
    for first in (1, 57, 300):
        assert (
            list(itertools.islice(training_plan(totals_of(stored), 51_200, 3, first), 20))
            == whole[first : first + 20]
        )
    other = list(itertools.islice(training_plan(totals_of(stored), 51_200, seed=4), 400))
    assert other != whole


def test_windows_of_a_group_are_of_one_recording_and_have_one_seed(prepared: Path) -> None:
    totals, window = totals_of(load_index(prepared, "train")), 51_200
    grouped = list(itertools.islice(training_plan(totals, window, 3, group=3), 400))
    for begin in range(0, 399, 3):
        assert len({(spec.recording, spec.seed) for spec in grouped[begin : begin + 3]}) == 1
    # An epoch has one grid over each recording: of the first, all windows come, some twice to complete a group.
    phases: dict[int, int] = {}
    first_epoch = list(
        itertools.takewhile(
            lambda spec: (
                phases.setdefault(spec.recording, spec.start % window) == spec.start % window
            ),
            training_plan(totals, window, seed=3),
        )
    )
    counts = Counter(spec.recording for spec in first_epoch)
    complete = sum(-(-count // 3) * 3 for count in counts.values())
    assert complete > len(first_epoch)
    places = Counter((spec.recording, spec.start) for spec in grouped[:complete])
    assert places.keys() == {(spec.recording, spec.start) for spec in first_epoch}
    assert max(places.values()) <= 3
    again = list(itertools.islice(training_plan(totals, window, 3, first=57, group=3), 20))
    assert again == grouped[57:77]


def test_resumed_batches_equal_those_of_an_undisturbed_run(prepared: Path) -> None:
    stored = load_index(prepared, "train")
    settings = {"num_frames": 100, "batch_size": 2, "grid": GRID, "seed": 11}
    undisturbed = list(itertools.islice(training_batches(stored, **settings), 9))
    resumed = list(itertools.islice(training_batches(stored, first_step=6, **settings), 3))
    for ours, theirs in zip(resumed, undisturbed[6:], strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize(
    ("start", "samples", "total", "expected"),
    [
        (0, SEGMENT_SAMPLES, 5 * SEGMENT_SAMPLES, (0, 0)),
        (1, SEGMENT_SAMPLES, 5 * SEGMENT_SAMPLES, (0, 1)),
        (-5, 10, 100, (0, 0)),
        (SEGMENT_SAMPLES - 1, 2, SEGMENT_SAMPLES, (0, 0)),
        (SEGMENT_SAMPLES, 3 * SEGMENT_SAMPLES, 9 * SEGMENT_SAMPLES, (1, 3)),
    ],
)
def test_segments_touched(start: int, samples: int, total: int, expected: tuple[int, int]) -> None:
    assert segments_touched(start, samples, total) == expected


def test_records_keep_everything() -> None:
    audio, notes = _recording(1)
    segment = Segment("ä/r", "piano", 3, 9 * SEGMENT_SAMPLES, audio, notes)
    again = decode(encode(segment))
    assert (again.recording, again.group, again.index, again.total) == (
        "ä/r",
        "piano",
        3,
        segment.total,
    )
    np.testing.assert_array_equal(again.audio, audio)
    assert again.notes == notes
    assert encode(segment) == encode(again)


def test_what_is_not_prepared_is_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json is missing"):
        load_index(tmp_path, "train")
    with pytest.raises(InputError, match="no recording of the split 'test'"):
        load_index(prepared, "test")


def test_stored_knows_the_size_of_its_shard(prepared: Path) -> None:
    for item in load_index(prepared, "train"):
        assert isinstance(item, StoredRecording)
        assert item.size == Path(item.shard).stat().st_size >= item.entry.offsets[-1]
