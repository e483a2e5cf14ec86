"""Test piano rolls, written out by hand, in numpy and in TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipelines.input.roll_graph import notes_to_rolls_graph
from tfamt.frames import FrameGrid
from tfamt.notes.piano_roll import Rolls, notes_to_rolls
from tfamt.notes.table import NUM_PITCHES, Notes

GRID = FrameGrid(sample_rate=100, hop=10)  # 10 frames per second
A0, C4 = 0, 39


def _graph(notes: Notes, num_frames: int, start_sample: int = 0) -> Rolls:
    rolls = tf.function(notes_to_rolls_graph, autograph=False)(
        tf.constant(notes.onset, tf.float64),
        tf.constant(notes.offset, tf.float64),
        tf.constant(notes.pitch, tf.int64),
        tf.constant(notes.velocity, tf.int64),
        num_frames=num_frames,
        grid=GRID,
        start_sample=tf.constant(start_sample, tf.int64),
    )
    return {name: roll.numpy() for name, roll in rolls.items()}


def _numpy(notes: Notes, num_frames: int, start_sample: int = 0) -> Rolls:
    return notes_to_rolls(notes, num_frames, GRID, start_sample)


both = pytest.mark.parametrize("make", [_numpy, _graph])
THIRD = np.float32(1 / 3)


def _check(rolls: Rolls, key: int, **columns: list[float]) -> None:
    for name, column in columns.items():
        np.testing.assert_allclose(rolls[name][:, key], column, atol=1e-6, err_msg=name)


@both
def test_one_note(make) -> None:
    rolls = make(Notes([0.2], [0.5], [60], [127]), 8)
    _check(
        rolls,
        C4,
        pianoroll=[0, 0, 1, 1, 1, 0, 0, 0],
        onset=[0, THIRD, 1, THIRD, 0, 0, 0, 0],
        offset=[0, 0, 0, 0, THIRD, 1, THIRD, 0],
        velocity=[0, 1, 1, 1, 0, 0, 0, 0],
    )
    for roll in rolls.values():
        assert np.count_nonzero(np.delete(roll, C4, axis=1)) == 0


@both
def test_times_between_frames(make) -> None:
    # Onset at frame 1.5 (rounds up), offset at frame 3.25 (rounds down).
    rolls = make(Notes([0.15], [0.325], [21], [64]), 6)
    _check(
        rolls,
        A0,
        pianoroll=[0, 0, 1, 0, 0, 0],
        onset=[0, 2 / 3, 2 / 3, 0, 0, 0],
        offset=[0, 0, 1 - 1.25 / 1.5, 1 - 0.25 / 1.5, 1 - 0.75 / 1.5, 0],
        velocity=[0, 64 / 127, 64 / 127, 0, 0, 0],
    )


@both
def test_struck_again_without_a_gap(make) -> None:
    rolls = make(Notes([0.1, 0.5], [0.5, 0.7], [60, 60], [40, 80]), 9)
    _check(
        rolls,
        C4,
        pianoroll=[0, 1, 1, 1, 1, 1, 1, 0, 0],
        onset=[THIRD, 1, THIRD, 0, THIRD, 1, THIRD, 0, 0],
        offset=[0, 0, 0, 0, THIRD, 1, THIRD, 1, THIRD],
        velocity=[40 / 127] * 3 + [0] + [80 / 127] * 3 + [0, 0],
    )


@both
def test_triangles_that_meet_keep_the_larger_value(make) -> None:
    rolls = make(Notes([0.1, 0.3], [0.2, 0.4], [60, 60], [90, 30]), 5)
    # Frame 2 belongs to both onsets: the louder counts.
    _check(rolls, C4, onset=[THIRD, 1, THIRD, 1, THIRD], velocity=[90 / 127] * 3 + [30 / 127] * 2)


@both
def test_zero_length_note_sounds_for_one_frame(make) -> None:
    _check(make(Notes([0.2], [0.2], [60]), 5), C4, pianoroll=[0, 0, 1, 0, 0])


@both
def test_overlapping_equal_pitches(make) -> None:
    rolls = make(Notes([0.1, 0.2], [0.6, 0.3], [60, 60]), 8)
    _check(rolls, C4, pianoroll=[0, 1, 1, 1, 1, 1, 0, 0])


@both
def test_notes_across_the_borders_of_a_window(make) -> None:
    # The window covers 1.0 s .. 1.5 s: one note comes in from before, one goes on behind, one spans it all, the last
    # two lie outside.
    notes = Notes(
        [0.5, 1.4, 0.2, 0.1, 1.7], [1.2, 3.0, 9.0, 0.8, 1.9], [60, 62, 64, 65, 67], [1, 2, 3, 4, 5]
    )
    rolls = make(notes, 5, start_sample=100)
    _check(rolls, 39, pianoroll=[1, 1, 0, 0, 0], onset=[0] * 5, offset=[0, THIRD, 1, THIRD, 0])
    _check(rolls, 41, pianoroll=[0, 0, 0, 0, 1], onset=[0, 0, 0, THIRD, 1], offset=[0] * 5)
    _check(rolls, 43, pianoroll=[1] * 5, onset=[0] * 5, offset=[0] * 5)
    for key in (44, 46):
        _check(rolls, key, pianoroll=[0] * 5, onset=[0] * 5, offset=[0] * 5, velocity=[0] * 5)


@both
def test_window_that_begins_before_the_recording(make) -> None:
    rolls = make(Notes([0.0], [0.2], [60], [127]), 6, start_sample=-20)
    _check(rolls, C4, pianoroll=[0, 0, 1, 1, 0, 0], onset=[0, THIRD, 1, THIRD, 0, 0])


@both
def test_pitches_that_a_piano_does_not_have(make) -> None:
    rolls = make(Notes([0.1, 0.1, 0.1, 0.1], [0.3] * 4, [20, 21, 108, 109]), 5)
    assert np.flatnonzero(rolls["pianoroll"].any(axis=0)).tolist() == [0, 87]


@both
def test_no_notes(make) -> None:
    assert {name: roll.sum() for name, roll in make(Notes.empty(), 4).items()} == {
        "pianoroll": 0,
        "onset": 0,
        "offset": 0,
        "velocity": 0,
    }


def test_numpy_and_tensorflow_agree_on_random_notes() -> None:
    random = np.random.default_rng(3)
    for start in (-777, 0, 12345):
        onset = random.uniform(0, 200, 3000)
        notes = Notes(
            onset,
            onset + random.exponential(0.5, 3000),
            random.integers(15, 115, 3000),
            random.integers(1, 128, 3000),
        )
        ours, graph = _numpy(notes, 400, start), _graph(notes, 400, start)
        for name, roll in ours.items():
            assert roll.shape == (400, NUM_PITCHES)
            np.testing.assert_allclose(graph[name], roll, atol=1e-6, err_msg=name)
            assert roll.any()
