"""Follow the channels of a MIDI file as a synthesiser does: which keys are held when, and where the pedal is."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfamt.notes.midi_events import (
    ALL_SOUND_OFF,
    NOTE_ON,
    RESET_CONTROLLERS,
    SUSTAIN_CONTROLLER,
    MidiFile,
    Track,
    count,
)
from tfamt.notes.table import SUSTAIN_THRESHOLD, Notes

DEFAULT_TEMPO = 500_000
"""Microseconds per quarter note where a file states no tempo."""
PERCUSSION = 9
"""Channel 10, counted from 0."""


@dataclass(frozen=True, eq=False)
class MidiChannel:
    """One channel of a MIDI file; each port has sixteen.

    Attributes:
      number: 0..15, and 16 more for each further port.
      held: notes as the keys were held.
      pedal: float64 [m, 2], (seconds, CC64 value) in order of time.
    """

    number: int
    held: Notes
    pedal: NDArray[np.float64]

    @property
    def is_percussion(self) -> bool:
        """Return whether it is channel 10 of its port, whose notes are percussion."""
        return self.number % 16 == PERCUSSION


def follow_channels(file: MidiFile, remarks: list[str]) -> list[MidiChannel]:
    """Return the channels that have notes, with times from the file's beginning.

    A key or pedal belongs to its channel, on whichever track its events are. A note-off ends what the key began in
    earlier ticks. A note that never ends lasts until the end of the file.

    Args:
      file: its tracks.
      remarks: what was ignored is added.
    """
    if file.kind == 2:
        parts = [[track] for track in file.tracks]
        if len(parts) > 1:
            remarks.append(f"its {count(len(parts), 'track')} of type 2 read one after the other")
    else:
        parts = [file.tracks]
    channels: list[MidiChannel] = []
    lost = _Lost()
    begin = 0.0
    for tracks in parts:
        clock = _Clock(file, tracks)
        end = max(track.end for track in tracks)
        for number, channel in sorted(_follow(tracks).items()):
            channel.finish(end)
            channels.append(channel.in_seconds(number, clock, begin, lost))
        begin += float(clock.seconds(np.array([end]))[0])
    remarks += lost.remarks
    silent = {
        channel.number % 16 + 1
        for channel in channels
        if not len(channel.held) and (channel.pedal[:, 1] >= SUSTAIN_THRESHOLD).any()
    }
    if silent:
        numbers = ", ".join(map(str, sorted(silent)))
        remarks.append(f"a sustain pedal on a channel without notes ignored (channel {numbers})")
    return [channel for channel in channels if len(channel.held)]


@dataclass
class _Lost:
    """Numbers of notes that a file does not state properly."""

    endless: int = 0
    without_length: int = 0

    @property
    def remarks(self) -> list[str]:
        remarks = []
        if self.endless:
            remarks.append(f"{count(self.endless, 'note')} without an end ended with the file")
        if self.without_length:
            remarks.append(f"{count(self.without_length, 'note')} without length ignored")
        return remarks


class _Clock:
    """Convert ticks into seconds.

    Args:
      file: how long a tick is.
      tracks: whose tempo changes count, on whichever of them.
    """

    def __init__(self, file: MidiFile, tracks: Iterable[Track]):
        if file.ticks_per_quarter is None:
            self._ticks = np.zeros(1, np.int64)
            self._begin, self._tempo = np.zeros(1), np.ones(1)
            self._ticks_per_unit = file.ticks_per_second
            return
        # A sort by tick alone keeps the order of tracks, of which the last decides.
        changes = sorted((item for t in tracks for item in t.tempos), key=lambda item: item[0])
        by_tick = {0: DEFAULT_TEMPO} | dict(changes)
        self._ticks = np.array([*by_tick], np.int64)
        self._tempo = np.array([*by_tick.values()], np.float64)
        self._ticks_per_unit = file.ticks_per_quarter * 1e6
        # Whole numbers, so that errors do not add up.
        begin, elapsed = [0], 0
        ticks, tempos = [*by_tick], [*by_tick.values()]
        for earlier, later, tempo in zip(ticks, ticks[1:], tempos, strict=False):
            elapsed += (later - earlier) * tempo
            begin.append(elapsed)
        self._begin = np.array([item / self._ticks_per_unit for item in begin])

    def seconds(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return float64 [n] for ticks int64 [n]."""
        index = np.searchsorted(self._ticks, ticks, side="right") - 1
        since = (ticks - self._ticks[index]) * self._tempo[index] / self._ticks_per_unit
        seconds: NDArray[np.float64] = self._begin[index] + since
        return seconds


class _Channel:
    """Keys and pedal of a channel while its events pass, times in ticks."""

    def __init__(self) -> None:
        self.begin, self.end = array("q"), array("q")
        self.pitch, self.velocity = array("B"), array("B")
        self.pedal_ticks, self.pedal_values = array("q"), array("B")
        self.endless = 0
        self._sounding: dict[int, list[int]] = {}
        # Pitches that were released in the tick of their onset: nothing ended yet, since merging tracks may have
        # put the release of an earlier note behind the onset.
        self._released_at_onset: set[int] = set()
        self._pedal = 0
        self._pedal_returns: int | None = None

    def press(self, tick: int, pitch: int, velocity: int) -> None:
        if pitch in self._released_at_onset:
            # It had no length after all: its end stays its begin.
            self._released_at_onset.discard(pitch)
            del self._sounding[pitch]
        self._sounding.setdefault(pitch, []).append(len(self.begin))
        self.begin.append(tick)
        self.end.append(tick)
        self.pitch.append(pitch)
        self.velocity.append(velocity)

    def release(self, tick: int, pitch: int) -> None:
        sounding = self._sounding.get(pitch)
        if not sounding:
            return
        if self.begin[sounding[0]] == tick:
            self._released_at_onset.add(pitch)
            return
        self._released_at_onset.discard(pitch)
        earlier = 0
        while earlier < len(sounding) and self.begin[sounding[earlier]] < tick:
            self.end[sounding[earlier]] = tick
            earlier += 1
        if earlier == len(sounding):
            del self._sounding[pitch]
        else:
            del sounding[:earlier]

    def control(self, tick: int, number: int, value: int) -> None:
        if number == SUSTAIN_CONTROLLER:
            self.move_pedal(tick, value)
        elif number == RESET_CONTROLLERS:
            self.move_pedal(tick, 0)
        else:
            for pitch in [*self._sounding]:
                self.release(tick, pitch)
            if number == ALL_SOUND_OFF and self._pedal >= SUSTAIN_THRESHOLD:
                value = self._pedal
                self.move_pedal(tick, 0)
                # The pedal stays down; a tick later it holds nothing that sounded before.
                self._pedal, self._pedal_returns = value, tick + 1

    def move_pedal(self, tick: int, value: int) -> None:
        self._return_pedal(tick)
        self._pedal, self._pedal_returns = value, None
        self.pedal_ticks.append(tick)
        self.pedal_values.append(value)

    def _return_pedal(self, tick: int) -> None:
        if self._pedal_returns is not None and self._pedal_returns < tick:
            self.pedal_ticks.append(self._pedal_returns)
            self.pedal_values.append(self._pedal)

    def finish(self, tick: int) -> None:
        """End what sounds at the end of the file."""
        self._return_pedal(tick)
        for pitch, sounding in self._sounding.items():
            if pitch in self._released_at_onset:
                continue
            for index in sounding:
                self.end[index] = tick
                self.endless += self.begin[index] < tick

    def in_seconds(self, number: int, clock: _Clock, begin: float, lost: _Lost) -> MidiChannel:
        press, end = np.asarray(self.begin), np.asarray(self.end)
        long = end > press
        if number % 16 != PERCUSSION:
            lost.endless += self.endless
            lost.without_length += int((~long).sum())
        onset, offset = (begin + clock.seconds(ticks[long]) for ticks in (press, end))
        pitch, velocity = (np.asarray(item)[long] for item in (self.pitch, self.velocity))
        pedal = np.stack(
            [
                begin + clock.seconds(np.asarray(self.pedal_ticks)),
                np.asarray(self.pedal_values, np.float64),
            ],
            axis=1,
        )
        return MidiChannel(number, Notes(onset, offset, pitch, velocity), pedal)


def _follow(tracks: list[Track]) -> dict[int, _Channel]:
    """Return the channels after all events of simultaneous tracks."""
    if len(tracks) == 1:
        ticks, codes = memoryview(tracks[0].ticks), memoryview(tracks[0].codes)
    else:
        all_ticks = np.concatenate([np.asarray(track.ticks) for track in tracks])
        all_codes = np.concatenate([np.asarray(track.codes) for track in tracks])
        order = np.argsort(all_ticks, kind="stable")
        ticks, codes = all_ticks[order].data, all_codes[order].data
    channels: dict[int, _Channel] = {}
    # Buffers make one integer at a time, where lists would hold all of them.
    for tick, code in zip(ticks, codes, strict=True):
        status, first, second = code >> 16 & 0xFF, code >> 8 & 0xFF, code & 0xFF
        number = (code >> 24) * 16 + (status & 0x0F)
        channel = channels.get(number)
        if channel is None:
            channel = channels[number] = _Channel()
        kind = status & 0xF0
        if kind > NOTE_ON:
            channel.control(tick, first, second)
        elif kind == NOTE_ON and second:
            channel.press(tick, first, second)
        else:
            channel.release(tick, first)
    return channels
