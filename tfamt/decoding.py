"""Probabilities to notes, frame by frame, in memory that does not grow with the recording.

Times: frame t stands for t * hop / sample_rate, its centre, and labels are rounded to the nearest frame
(`tfamt.pianoroll`); so neither decoder adds the half frame that flooring costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tfamt.config import DecodingConfig
from tfamt.frames import FrameGrid
from tfamt.notes import DEFAULT_VELOCITY, LOWEST_PITCH, NUM_PITCHES, Notes, Row
from tfamt.offsets import TAIL_FRAMES, chances_to_sound, frames_until_faded, likeliest_end

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
    heard: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))


def decode(rolls: Rolls, config: DecodingConfig, grid: FrameGrid) -> Notes:
    """Notes of whole rolls.

    Args:
      rolls: probabilities 0..1, [frames, 88] each: "pianoroll"; for the method "onsets" also "onset", for the likeliest
        offsets also "offset"; "velocity" where there is one.
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
      neighbours; its velocity is the mean of the three frames, weighted by the onset roll. A new stroke of a sounding
      key ends the note before it.

    In both a note ends where the piano roll falls below its threshold, and is given one frame later; or, with
    `DecodingConfig.offsets` "likeliest", where it most likely does (`tfamt.offsets`), given when that is known.
    """

    def __init__(self, config: DecodingConfig, grid: FrameGrid):
        self.config = config
        self.grid = grid
        self._likeliest = config.offsets == "likeliest"
        self._needed: tuple[str, ...] = ("pianoroll",)
        if config.method == "onsets":
            self._needed += ("onset",)
        if self._likeliest:
            self._needed += ("offset",)
        # Frame `_first` is the frame before the first that is still to be looked at.
        self._first = -1
        self._rolls: dict[str, Roll] = {}
        # What tells where notes end, of every key and frame of `_rolls`: chances to sound, and the offset roll.
        self._ends = np.zeros((0, NUM_PITCHES, 2))
        self._open: dict[int, _OpenNote] = {}

    @property
    def lag_frames(self) -> int:
        """How many frames behind the end of a note, as the threshold sees it, may be needed to tell it."""
        return TAIL_FRAMES + 1 if self._likeliest else GRACE_FRAMES

    def push(self, rolls: Rolls) -> list[Row]:
        """Takes the frames that follow and returns (onset, offset, pitch, velocity) rows of notes that ended."""
        names = (*self._needed, *(("velocity",) if "velocity" in rolls else ()))
        if not self._rolls:
            self._rolls = {name: np.zeros((1, NUM_PITCHES), np.float32) for name in names}
        self._rolls = {name: np.concatenate([self._rolls[name], rolls[name]]) for name in names}
        return self._decode()

    def finish(self) -> list[Row]:
        """The notes that are still open end with the recording."""
        if not self._rolls:
            return []
        silence = np.zeros((1, NUM_PITCHES), np.float32)
        rows = self.push(dict.fromkeys(self._rolls, silence))
        # The frame of silence itself has not been looked at.
        end = self._first + 1
        rows += [row for key in list(self._open) for row in self._close(key, float(end))]
        self._rolls, self._first = {}, -1
        return rows

    def _decode(self) -> list[Row]:
        """Looks at every frame that has a neighbour on both sides, then forgets it."""
        pianoroll = self._rolls["pianoroll"]
        looked_at = len(pianoroll) - 2
        if looked_at < 1:
            return []
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
        if self._likeliest:
            sounds = chances_to_sound(pianoroll, threshold)
            self._ends = np.stack([sounds, self._rolls["offset"]], axis=-1)
        rows = []
        for key in sorted(set(np.flatnonzero(opens.any(axis=0)).tolist()) | set(self._open)):
            rows += self._decode_key(key, np.flatnonzero(opens[:, key]) + 1, sounding[:, key])
        self._first += looked_at
        self._rolls = {name: roll[-2:] for name, roll in self._rolls.items()}
        return rows

    def _decode_key(
        self, key: int, opens: NDArray[np.int64], sounding: NDArray[np.bool_]
    ) -> list[Row]:
        """One key's frames 1..n-2 of the buffer; `opens` are the frames that may open a note."""
        rows = []
        cursor, end = 1, len(sounding) - 1
        for index in opens.tolist():
            rows += self._close_if_ended(key, sounding, cursor, index)
            cursor = index
            note = self._note_at(key, index)
            previous = self._open.get(key)
            if previous is not None and self._too_close(previous, note):
                if note.strength <= previous.strength:
                    continue
            elif previous is not None:
                rows += self._close(key, note.position)
            self._open[key] = note
        return rows + self._close_if_ended(key, sounding, cursor, end)

    def _note_at(self, key: int, index: int) -> _OpenNote:
        frame = self._first + index
        if self.config.method == "edges":
            strength = float(self._rolls["pianoroll"][index, key])
            return _OpenNote(
                frame, float(frame), strength, self._velocity(key, slice(index, index + 1))
            )
        around = slice(index - 1, index + 2)
        before, peak, after = self._rolls["onset"][around, key].tolist()
        position = max(frame + peak_offset(before, peak, after), 0.0)
        velocity = self._velocity(key, around, self._rolls["onset"][around, key])
        return _OpenNote(frame, position, peak, velocity)

    def _velocity(self, key: int, frames: slice, weights: Roll | None = None) -> int:
        """The MIDI velocity that these frames of the buffer tell, on the average."""
        if "velocity" not in self._rolls:
            return DEFAULT_VELOCITY
        heard = self._rolls["velocity"][frames, key]
        mean = heard.mean() if weights is None else heard @ weights / weights.sum()
        return min(max(round(127 * float(mean)), 1), 127)

    def _too_close(self, previous: _OpenNote, note: _OpenNote) -> bool:
        gap = self.grid.seconds(note.position - previous.position)
        return gap * 1000.0 < self.config.min_gap_ms

    def _close_if_ended(
        self, key: int, sounding: NDArray[np.bool_], begin: int, end: int
    ) -> list[Row]:
        """Ends the key's open note if the piano roll falls in the buffer's frames begin..end-1."""
        note = self._open.get(key)
        if note is None:
            return []
        if self._likeliest:
            return self._close_if_faded(key, note, begin, end)
        begin = max(begin, note.frame - self._first)
        if not note.sounding:
            limit = note.frame - self._first + GRACE_FRAMES
            rises = np.flatnonzero(sounding[begin : min(end, limit)])
            if not len(rises):
                return self._close(key, note.position + 1.0) if end >= limit else []
            note.sounding = True
            begin += int(rises[0])
        falls = np.flatnonzero(~sounding[begin:end])
        if not len(falls):
            return []
        index = begin + int(falls[0])
        position = float(self._first + index)
        if self.config.method == "onsets":
            last, next_ = self._rolls["pianoroll"][index - 1 : index + 1, key].tolist()
            # Labels are rounded: a clean fall between two frames means an offset half a frame later.
            crossing = (last - self.config.pianoroll_threshold) / max(last - next_, 1e-9)
            position += crossing - 0.5
        return self._close(key, position)

    def _close_if_faded(self, key: int, note: _OpenNote, begin: int, end: int) -> list[Row]:
        """Listens to the buffer's frames begin..end-1; ends the key's open note if no more of it is to be heard."""
        begin = max(begin, note.frame + 1 - self._first)
        heard = np.concatenate([note.heard, self._ends[begin:end, key]])
        length = frames_until_faded(heard[:, 0])
        note.heard = heard[:length]
        return self._close(key, float("inf")) if length is not None else []

    def _likeliest_end(self, note: _OpenNote, latest: float) -> float:
        first = note.frame + 1
        sounds, offset = note.heard.T
        lead = first - note.position
        end = first + likeliest_end(sounds, offset, lead, self.grid.seconds(1.0))
        return min(max(end, note.position + 1.0), latest)

    def _close(self, key: int, position: float) -> list[Row]:
        note = self._open.pop(key)
        if self._likeliest:
            position = self._likeliest_end(note, position)
        onset = self.grid.seconds(note.position)
        offset = self.grid.seconds(max(position, note.position))
        if (offset - onset) * 1000.0 < self.config.min_note_ms:
            return []
        return [(onset, offset, key + LOWEST_PITCH, note.velocity)]


def peak_offset(before: float, peak: float, after: float) -> float:
    """Where the top of a triangle lies, in frames from its highest sample: -0.5..0.5.

    Exact for the onset rolls of `tfamt.pianoroll`, whatever their height (compare Kong et al., 2021, section III-E).
    """
    lower = min(before, after)
    if peak <= lower:
        return 0.0
    return 0.5 * (after - before) / (peak - lower)
