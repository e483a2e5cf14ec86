"""Decode probabilities into notes, frame by frame, in memory that does not grow with the recording.

Times: frame t stands for t * hop / sample_rate, its centre, and labels are rounded to the nearest frame
(`tfamt.notes.piano_roll`); so neither decoder adds the half frame that flooring costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tfamt.config import DecodingConfig
from tfamt.frames import FrameGrid
from tfamt.notes.table import DEFAULT_VELOCITY, LOWEST_PITCH, NUM_PITCHES, Notes, Row
from tfamt.transcription.offsets import (
    TAIL_FRAMES,
    Column,
    expected_score_offsets,
    frames_until_faded,
    sounding_probabilities,
)

Roll = NDArray[np.float32]
Rolls = Mapping[str, Roll]

GRACE_FRAMES = 3
"""How far the piano roll may lag behind an onset before the note counts as one frame long."""


@dataclass
class _OpenNote:
    frame: int
    position: float
    strength: float
    velocity: int
    sounding: bool = False
    evidence: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))


def decode(rolls: Rolls, config: DecodingConfig, grid: FrameGrid) -> Notes:
    """Return the notes of whole rolls.

    Args:
      rolls: probabilities 0..1, [frames, 88] each: "pianoroll"; for the method "onsets" also "onset", for offsets of
        the best expected score also "offset"; "velocity" where there is one.
      config: thresholds and method.
      grid: sample rate and hop of the frames.
    """
    decoder = NoteDecoder(config, grid)
    rows = decoder.push(rolls) + decoder.finish()
    return Notes.from_rows(rows)


class NoteDecoder:
    """Takes rolls in pieces of any length and gives notes as they end; the pieces' lengths change nothing.

    Two methods (`DecodingConfig.method`) differ in what opens a note:

    - "edges" (Cheuk et al., ICPR 2020): the first frame at or above the threshold after one below it.
    - "onsets": a local maximum of the onset roll at or above its threshold, placed between frames by its
      neighbours; its velocity is the mean of the three frames, weighted by the onset roll. A new onset of a sounding
      key ends the note before it.

    In both a note ends where the piano roll falls below its threshold, and is given one frame later; or, with
    `DecodingConfig.offsets` "expected_score", at the offset with the best expected score
    (`tfamt.transcription.offsets`), given when that is known.
    """

    def __init__(self, config: DecodingConfig, grid: FrameGrid):
        self.config = config
        self.grid = grid
        self._by_expected_score = config.offsets == "expected_score"
        self._needed: tuple[str, ...] = ("pianoroll",)
        if config.method == "onsets":
            self._needed += ("onset",)
        if self._by_expected_score:
            self._needed += ("offset",)
        # Frame `_first` is the frame before the first that is still to be looked at.
        self._first = -1
        self._rolls: dict[str, Roll] = {}
        # Evidence of note ends for every key and frame of `_rolls`: probability to sound, and the offset roll.
        self._ends = np.zeros((0, NUM_PITCHES, 2))
        self._open: dict[int, _OpenNote] = {}
        # Key, note, and the position where it ends, or for expected-score offsets the latest where it can.
        self._closed: list[tuple[int, _OpenNote, float]] = []

    @property
    def lag_frames(self) -> int:
        """Return how many frames after the end of a note its decoding may need."""
        return TAIL_FRAMES + 1 if self._by_expected_score else GRACE_FRAMES

    def push(self, rolls: Rolls) -> list[Row]:
        """Take the frames that follow; return (onset, offset, pitch, velocity) rows of notes that ended."""
        names = (*self._needed, *(("velocity",) if "velocity" in rolls else ()))
        if not self._rolls:
            self._rolls = {name: np.zeros((1, NUM_PITCHES), np.float32) for name in names}
        self._rolls = {name: np.concatenate([self._rolls[name], rolls[name]]) for name in names}
        self._decode()
        return self._rows()

    def finish(self) -> list[Row]:
        """Return the notes that are still open, which end with the recording."""
        if not self._rolls:
            return []
        silence = np.zeros((1, NUM_PITCHES), np.float32)
        rows = self.push(dict.fromkeys(self._rolls, silence))
        # The frame of silence itself has not been looked at.
        end = self._first + 1
        for key in list(self._open):
            self._close(key, float(end))
        self._rolls, self._first = {}, -1
        return rows + self._rows()

    def _decode(self) -> None:
        """Decode every frame that has a neighbour on both sides, then drop it from the buffer."""
        pianoroll = self._rolls["pianoroll"]
        looked_at = len(pianoroll) - 2
        if looked_at < 1:
            return
        threshold = self.config.pianoroll_threshold
        sounding = pianoroll >= threshold
        if self.config.method == "edges":
            opens = sounding[1:-1] & ~sounding[:-2]
        else:
            onset = self._rolls["onset"]
            middle = onset[1:-1]
            opens = (
                (middle >= self.config.onset_threshold)
                & (middle > onset[:-2])
                & (middle >= onset[2:])
            )
        if self._by_expected_score:
            sounds = sounding_probabilities(pianoroll, threshold)
            self._ends = np.stack([sounds, self._rolls["offset"]], axis=-1)
        new_notes = self._new_notes(opens)
        for key in sorted(new_notes.keys() | self._open.keys()):
            self._decode_key(key, new_notes.get(key, []), sounding[:, key])
        self._first += looked_at
        self._rolls = {name: roll[-2:] for name, roll in self._rolls.items()}

    def _new_notes(self, opens: NDArray[np.bool_]) -> dict[int, list[_OpenNote]]:
        """Return by key the notes that open in frames 1..n-2 of the buffer (`opens` [n - 2, 88]), in order."""
        keys, frames = np.nonzero(opens.T)
        frames += 1
        onsets = self.config.method == "onsets"
        roll = self._rolls["onset" if onsets else "pianoroll"]
        reach = (-1, 0, 1) if onsets else (0,)
        around = np.stack([roll[frames + step, keys] for step in reach]).astype(np.float64)
        positions = (self._first + frames).astype(np.float64)
        if onsets:
            positions = np.maximum(positions + peak_offset(*around), 0.0)
        velocities = np.full(len(keys), DEFAULT_VELOCITY)
        if "velocity" in self._rolls:
            values = np.stack([self._rolls["velocity"][frames + step, keys] for step in reach])
            mean = (values * around).sum(axis=0) / around.sum(axis=0)
            velocities = np.rint(127 * mean).clip(1, 127).astype(np.int64)
        new_notes: dict[int, list[_OpenNote]] = {}
        columns = (keys, self._first + frames, positions, roll[frames, keys], velocities)
        for key, *values in zip(*(column.tolist() for column in columns), strict=True):
            new_notes.setdefault(key, []).append(_OpenNote(*values))
        return new_notes

    def _decode_key(
        self, key: int, new_notes: list[_OpenNote], sounding: NDArray[np.bool_]
    ) -> None:
        """Decode one key's frames 1..n-2 of the buffer."""
        cursor, end = 1, len(sounding) - 1
        for note in new_notes:
            index = note.frame - self._first
            self._close_if_ended(key, sounding, cursor, index)
            cursor = index
            previous = self._open.get(key)
            if previous is not None and self._too_close(previous, note):
                if note.strength <= previous.strength:
                    continue
            elif previous is not None:
                self._close(key, note.position)
            self._open[key] = note
        self._close_if_ended(key, sounding, cursor, end)

    def _too_close(self, previous: _OpenNote, note: _OpenNote) -> bool:
        gap = self.grid.seconds(note.position - previous.position)
        return gap * 1000.0 < self.config.min_gap_ms

    def _close_if_ended(self, key: int, sounding: NDArray[np.bool_], begin: int, end: int) -> None:
        """End the key's open note if the piano roll falls in the buffer's frames begin..end-1."""
        note = self._open.get(key)
        if note is None:
            return
        if self._by_expected_score:
            self._close_if_faded(key, note, begin, end)
            return
        begin = max(begin, note.frame - self._first)
        if not note.sounding:
            limit = note.frame - self._first + GRACE_FRAMES
            rises = np.flatnonzero(sounding[begin : min(end, limit)])
            if not len(rises):
                if end >= limit:
                    self._close(key, note.position + 1.0)
                return
            note.sounding = True
            begin += int(rises[0])
        falls = np.flatnonzero(~sounding[begin:end])
        if not len(falls):
            return
        index = begin + int(falls[0])
        position = float(self._first + index)
        if self.config.method == "onsets":
            last, next_ = self._rolls["pianoroll"][index - 1 : index + 1, key].tolist()
            # Labels are rounded: a clean fall between two frames means an offset half a frame later.
            crossing = (last - self.config.pianoroll_threshold) / max(last - next_, 1e-9)
            position += crossing - 0.5
        self._close(key, position)

    def _close_if_faded(self, key: int, note: _OpenNote, begin: int, end: int) -> None:
        """Collect the buffer's frames begin..end-1; end the key's open note once it has faded."""
        begin = max(begin, note.frame + 1 - self._first)
        evidence = np.concatenate([note.evidence, self._ends[begin:end, key]])
        length = frames_until_faded(evidence[:, 0])
        note.evidence = evidence[:length]
        if length is not None:
            self._close(key, float("inf"))

    def _close(self, key: int, position: float) -> None:
        self._closed.append((key, self._open.pop(key), position))

    def _rows(self) -> list[Row]:
        """Return the rows of notes that were closed, in that order, and drop them."""
        closed, self._closed = self._closed, []
        if not closed:
            return []
        keys, notes, given = zip(*closed, strict=True)
        begin, end = np.array([note.position for note in notes]), np.array(given)
        if self._by_expected_score:
            first = np.array([note.frame + 1 for note in notes])
            evidence = [note.evidence for note in notes]
            ends = first + expected_score_offsets(evidence, first - begin, self.grid.seconds(1.0))
            end = np.minimum(np.maximum(ends, begin + 1.0), end)
        onset, offset = self.grid.time_of(begin), self.grid.time_of(np.maximum(end, begin))
        kept = (offset - onset) * 1000.0 >= self.config.min_note_ms
        pitch = np.array(keys) + LOWEST_PITCH
        velocity = np.array([note.velocity for note in notes])
        columns = (onset, offset, pitch, velocity)
        return [*zip(*(column[kept].tolist() for column in columns), strict=True)]


def peak_offset(before: Column, peak: Column, after: Column) -> Column:
    """Return the tops of triangles, in frames from their highest samples: -0.5..0.5, of the arguments' shape.

    Exact for the onset rolls of `tfamt.notes.piano_roll`, for any height (compare Kong et al., 2021, section
    III-E).
    """
    height = peak - np.minimum(before, after)
    flat = np.zeros_like(height)
    return 0.5 * np.divide(after - before, height, out=flat, where=height > 0)
