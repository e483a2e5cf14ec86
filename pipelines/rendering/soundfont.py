"""Write SoundFonts of one instrument (SoundFont 2.04 technical specification, E-mu 2006, sections 4 to 8)."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfamt.utils.atomic_files import atomic_write

_GUARD = 46
"""Zeros that the format requires after every sample."""
_RELEASE, _INSTRUMENT, _KEYS, _VELOCITIES, _SAMPLE, _ROOT = 38, 41, 43, 44, 53, 58
"""Numbers of generators (section 8.1.2)."""
_MONO = 1


@dataclass(frozen=True)
class Zone:
    """A sample, and the keys and velocities that it is played for.

    Attributes:
      samples: int16 [samples], not looped.
      root: MIDI pitch at which it sounds as it is.
      keys: lowest and highest MIDI pitch.
      velocities: lowest and highest.
    """

    samples: NDArray[np.int16]
    root: int
    keys: tuple[int, int]
    velocities: tuple[int, int]


def write_soundfont(
    path: str | os.PathLike[str], name: str, zones: Sequence[Zone], *, rate: int, release: float
) -> None:
    """Write a SoundFont with one preset, bank 0, program 0.

    Args:
      path: the file; replaced if it exists.
      name: of preset and instrument, 19 ASCII characters at most.
      zones: of the instrument.
      rate: of all samples, Hz.
      release: seconds that a note takes to fade once it has been let go.

    Raises:
      InputError: the file cannot be written.
    """
    information = [
        ("ifil", struct.pack("<HH", 2, 1)),
        ("isng", _text("EMU8000")),
        ("INAM", _text(name)),
    ]
    silence = np.zeros(_GUARD, np.int16)
    sound = np.concatenate([part for zone in zones for part in (zone.samples, silence)])
    body = b"sfbk" + b"".join(
        _list(kind, chunks)
        for kind, chunks in (
            ("INFO", information),
            ("sdta", [("smpl", sound.astype("<i2").tobytes())]),
            ("pdta", _articulation(name, zones, rate, release)),
        )
    )
    atomic_write(path, _chunk("RIFF", body))


def _articulation(
    name: str, zones: Sequence[Zone], rate: int, release: float
) -> list[tuple[str, bytes]]:
    timecents = round(1200 * math.log2(release))
    headers: list[bytes] = []
    bags: list[bytes] = []
    generators: list[bytes] = []
    begin = 0
    for number, zone in enumerate(zones):
        end = begin + len(zone.samples)
        headers.append(_header(f"s{number}", begin, end, rate, zone.root, _MONO))
        begin = end + _GUARD
        bags.append(struct.pack("<HH", len(generators), 0))
        # The order matters: keys first, the sample last.
        generators += [
            struct.pack("<HBB", _KEYS, *zone.keys),
            struct.pack("<HBB", _VELOCITIES, *zone.velocities),
            struct.pack("<Hh", _RELEASE, timecents),
            struct.pack("<HH", _ROOT, zone.root),
            struct.pack("<HH", _SAMPLE, number),
        ]
    bags.append(struct.pack("<HH", len(generators), 0))
    # Every table ends with a record that holds the end of the last one.
    nothing = bytes(4)
    return [
        ("phdr", _preset(name, 0) + _preset("EOP", 1)),
        ("pbag", nothing + struct.pack("<HH", 1, 0)),
        ("pmod", bytes(10)),
        ("pgen", struct.pack("<HH", _INSTRUMENT, 0) + nothing),
        ("inst", struct.pack("<20sH", name.encode(), 0) + struct.pack("<20sH", b"EOI", len(zones))),
        ("ibag", b"".join(bags)),
        ("imod", bytes(10)),
        ("igen", b"".join(generators) + nothing),
        ("shdr", b"".join(headers) + _header("EOS", 0, 0, 0, 0, 0)),
    ]


def _preset(name: str, bag: int) -> bytes:
    return struct.pack("<20sHHHIII", name.encode(), 0, 0, bag, 0, 0, 0)


def _header(name: str, begin: int, end: int, rate: int, root: int, kind: int) -> bytes:
    return struct.pack(
        "<20sIIIIIBbHH", name.encode(), begin, end, begin, end, rate, root, 0, 0, kind
    )


def _list(kind: str, chunks: Sequence[tuple[str, bytes]]) -> bytes:
    content = b"".join(_chunk(name, data) for name, data in chunks)
    return _chunk("LIST", kind.encode() + content)


def _chunk(name: str, data: bytes) -> bytes:
    return name.encode() + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _text(value: str) -> bytes:
    data = value.encode() + b"\0"
    return data + bytes(len(data) % 2)
