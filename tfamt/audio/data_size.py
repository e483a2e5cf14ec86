"""Find out how much audio a file announces, where FFmpeg gives no answer.

It takes what is left of a truncated file for the whole, and a size that wrapped at 4 GiB for the true one.

Sources: RIFF, RF64 and BW64: EBU Tech 3306, ITU-R BS.2088; Wave64: Sony; CAF: Apple Core Audio Format; Info
tag: LAME; VBRI tag: Fraunhofer.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

_WRAP = 2**32
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_MAX_CHUNKS = 1000
_MAX_PAGE = 65_307


@dataclass(frozen=True)
class DataSize:
    """Bytes of samples of a file.

    Attributes:
      announced: in the header; `available` where the header leaves it open.
      available: from the beginning of the samples to the end of the file.
      open_start: position of the samples in a wav whose header leaves the size open, or states a remainder of 4 GiB;
        None where the header is right.
    """

    announced: int
    available: int
    open_start: int | None = None

    @property
    def missing(self) -> float:
        """Return what is missing, as a fraction of what is there."""
        return max(0, self.announced - self.available) / max(1, self.available)


def read_data_size(file: BinaryIO, size: int) -> DataSize | None:
    """Read the announced size of the samples in a wav, RF64, BW64, Wave64, CAF or avi file.

    Args:
      file: positioned anywhere; its position afterwards is undefined.
      size: of the file, bytes.

    Returns:
      None for files of other kinds, and for those without samples.
    """
    file.seek(0)
    head = file.read(40)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _wav(file, size, struct.unpack_from("<I", head, 4)[0])
    if head[:4] == b"RIFF" and head[8:12] == b"AVI " and size > 12:
        return DataSize(struct.unpack_from("<I", head, 4)[0] - 4, size - 12)
    if head[:16] == _W64_RIFF and len(head) == 40:
        return _wave64(file, size)
    if head[:4] == b"caff":
        return _caf(file, size)
    return None


def _wav(file: BinaryIO, size: int, riff_size: int) -> DataSize | None:
    position, big = 12, None
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            return None
        name, claimed = struct.unpack("<4sI", header)
        position += 8
        if name == b"data":
            return _wav_data(claimed, big, riff_size, position, size - position)
        if name == b"ds64" and len(content := file.read(16)) == 16:
            (big,) = struct.unpack_from("<Q", content, 8)
        position += claimed + claimed % 2
    return None


def _wav_data(
    claimed: int, big: int | None, riff_size: int, start: int, available: int
) -> DataSize:
    if big is not None and claimed == _WRAP - 1:
        return DataSize(big, available)
    if _is_open(claimed, riff_size, start, available):
        return DataSize(available, available, start)
    if available - claimed >= _WRAP:
        # The chunks after the samples are small: the header states what is left of the size after whole 4 GiB.
        wraps = (available - claimed) // _WRAP
        return DataSize(claimed + wraps * _WRAP, available, start)
    return DataSize(claimed, available)


def _is_open(claimed: int, riff_size: int, start: int, available: int) -> bool:
    """Return whether a data size is a placeholder of a program that wrote to a pipe or was stopped."""
    if claimed == 0:
        return available > 0 and (riff_size in (0, _WRAP - 1) or riff_size + 8 <= start)
    # FFmpeg writes all ones; SoX and arecord a little under or exactly 2 GiB.
    near_2_gib = 0x7FFF0000 <= claimed <= 0x80000000
    return claimed == _WRAP - 1 or (near_2_gib and claimed > available)


def _wave64(file: BinaryIO, size: int) -> DataSize | None:
    position = 40
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        header = file.read(24)
        if len(header) < 24:
            return None
        claimed = struct.unpack_from("<Q", header, 16)[0]
        if header[:16] == _W64_DATA:
            return DataSize(max(0, claimed - 24), size - position - 24)
        # Chunks begin at multiples of 8 bytes; their size includes this header.
        position += max(24, claimed + -claimed % 8)
    return None


def _caf(file: BinaryIO, size: int) -> DataSize | None:
    position = 8
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        header = file.read(12)
        if len(header) < 12:
            return None
        name, claimed = struct.unpack(">4sq", header)
        position += 12
        if name == b"data":
            # The samples come after a count of edits, 4 bytes.
            available, claimed = size - position - 4, claimed - 4
            return DataSize(available if claimed < 0 else claimed, available)
        position += max(0, claimed)
    return None


def read_tagged_frames(content: bytes) -> int | None:
    """Return the number of MPEG audio frames that an Info, Xing or VBRI tag states.

    Args:
      content: the bytes before the first frame of audio, in whose last frame the tag stands.
    """
    for tag in (b"Xing", b"Info"):
        place = content.rfind(tag)
        if 0 <= place <= len(content) - 12 and content[place + 7] & 1:
            return int(struct.unpack_from(">I", content, place + 8)[0])
    place = content.rfind(b"VBRI")
    if 0 <= place <= len(content) - 18:
        return int(struct.unpack_from(">I", content, place + 14)[0])
    return None


def is_page_cut_off(file: BinaryIO) -> bool:
    """Return whether the last page of an Ogg file (RFC 3533) is incomplete."""
    size = file.seek(0, io.SEEK_END)
    # A page has at most 65,307 bytes, so the last one begins within that distance of the end, or more follows it.
    file.seek(max(0, size - 2 * _MAX_PAGE))
    content = file.read()
    place = content.rfind(b"OggS")
    if place < 0:
        return False
    page = content[place:]
    return len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])
