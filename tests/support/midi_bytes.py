"""Build MIDI files byte by byte, also such as no library writes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

END = b"\xff\x2f\x00"
Event = tuple[int, bytes]
"""Absolute tick, and the bytes of the event without its delta time."""


def variable(number: int) -> bytes:
    """A number of 7 bits a byte."""
    assert number >= 0, "events must be in order"
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack(">I", len(content)) + content


def track(events: Sequence[Event], end: int | None = None) -> bytes:
    """A track chunk of events in order, with its end at tick `end`, by default that of the last event."""
    content, now = bytearray(), 0
    for tick, event in [*events, (events[-1][0] if end is None else end, END)]:
        content += variable(tick - now) + event
        now = tick
    return chunk(b"MTrk", bytes(content))


def file(*tracks: bytes, kind: int = 1, division: int = 500, announced: int | None = None) -> bytes:
    """A file of chunks. With the default division and tempo a tick is a millisecond."""
    count = len(tracks) if announced is None else announced
    return chunk(b"MThd", struct.pack(">HHH", kind, count, division)) + b"".join(tracks)


def on(pitch: int, velocity: int = 64, channel: int = 0) -> bytes:
    return bytes([0x90 | channel, pitch, velocity])


def off(pitch: int, channel: int = 0) -> bytes:
    return bytes([0x80 | channel, pitch, 64])


def control(number: int, value: int, channel: int = 0) -> bytes:
    return bytes([0xB0 | channel, number, value])


def pedal(value: int, channel: int = 0) -> bytes:
    return control(64, value, channel)


def tempo(microseconds: int) -> bytes:
    return b"\xff\x51\x03" + microseconds.to_bytes(3, "big")


def riff(midi: bytes) -> bytes:
    """RIFF MIDI, with a list of odd length before and after the data."""
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    body = b"RMID" + extra + b"data" + struct.pack("<I", len(midi)) + midi
    body += b"\0" * (len(midi) % 2) + extra
    return b"RIFF" + struct.pack("<I", len(body)) + body
