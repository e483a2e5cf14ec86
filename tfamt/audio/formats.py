"""Compare the headers of audio files with the bytes that follow.

libsndfile silently takes what is left of a truncated file for the whole, reads nothing from a wav file
whose writer could not go back to fill in its size, and guesses the length of an mp3 file that does not
state it, which cuts variable-bit-rate files short. The functions here raise on the first and mend the others.

Sources: RIFF/RF64: EBU Tech 3306; Ogg pages: RFC 3533; FLAC: RFC 9639; MPEG audio: ISO/IEC 11172-3.
"""

from __future__ import annotations

import io
import mmap
import struct
from dataclasses import dataclass
from typing import Any

from tfamt.errors import InputError

Bytes = bytes | mmap.mmap

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
"""Of the files that are taken for recordings, in lower case; the first of several is preferred."""

_COPY_AGAIN = "Copy or export the file again; it was probably cut off on its way."
_CONVERT = "Convert it to flac or wav with another program first."


class Spliced(io.RawIOBase):
    """A read-only file: `prefix`, then `data` from `start` on, without copying `data`."""

    def __init__(self, prefix: bytes, data: Bytes, start: int):
        super().__init__()
        self._prefix, self._data, self._start = prefix, data, start
        self._size = len(prefix) + len(data) - start
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes from the beginning."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, as in any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from prefix and data."""
        view = memoryview(buffer).cast("B")
        shift = self._position - len(self._prefix)
        if shift < 0:
            piece = self._prefix[self._position : self._position + len(view)]
        else:
            begin = self._start + shift
            piece = self._data[begin : begin + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


@dataclass(frozen=True)
class Checked:
    """The outcome of `check`.

    Attributes:
      mended: what to read instead of the file, or None if the file itself can be read.
    """

    mended: Spliced | None = None


def check(data: Bytes, path: str) -> Checked:
    """Compare the header of an audio file with its content.

    Files of no known kind pass: libsndfile has the last word on them.

    Args:
      data: the whole file, best as a memory map.
      path: the name for messages.

    Raises:
      InputError: the file is truncated, or its length cannot be determined.
    """
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return _check_wav(data, path)
    if data[:4] == b"OggS":
        return _check_ogg(data, path)
    if data[:4] == b"fLaC":
        return _check_flac(data, path)
    start = _id3_size(data)
    if (first := _mpeg_frame(data, start)) is not None:
        return _check_mp3(data, path, start, first)
    return Checked()


# --- wav ---


def _check_wav(data: Bytes, path: str) -> Checked:
    position, data_size, frame_bytes = 12, None, 1
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if name == b"data":
            break
        if name == b"ds64" and len(data) >= position + 16:
            (data_size,) = struct.unpack_from("<Q", data, position + 8)
        if name == b"fmt " and len(data) >= position + 16:
            (frame_bytes,) = struct.unpack_from("<H", data, position + 12)
        position += size + size % 2
    else:
        return Checked()
    available = len(data) - position
    frame_bytes = max(1, frame_bytes)
    claimed = size if data_size is None else data_size
    (riff_size,) = struct.unpack_from("<I", data, 4)
    if data_size is None and _is_unknown_size(claimed, riff_size, position, available):
        return Checked(_with_data_size(data, path, position, available, frame_bytes))
    if (claimed - available) // frame_bytes >= 1:
        raise InputError(
            f"is truncated: its header announces {claimed:,} bytes of audio, {available:,} are there",
            path=path,
            fix=_COPY_AGAIN,
        )
    return Checked()


def _is_unknown_size(claimed: int, riff_size: int, start: int, available: int) -> bool:
    """Return whether a data size is a placeholder of a program that wrote to a pipe or was stopped."""
    if claimed == 0:
        return available > 0 and (riff_size in (0, 0xFFFFFFFF) or riff_size + 8 <= start)
    # ffmpeg writes all ones; SoX and arecord a little under or exactly 2 GiB.
    near_2_gib = 0x7FFF0000 <= claimed <= 0x80000000
    return claimed == 0xFFFFFFFF or (near_2_gib and claimed > available)


def _with_data_size(data: Bytes, path: str, start: int, available: int, frame: int) -> Spliced:
    size = available - available % frame
    if size + start > 0xFFFFFFFF:
        raise InputError(
            "is longer than the 4 GiB that a wav header can state", path=path, fix=_CONVERT
        )
    header = bytearray(data[:start])
    struct.pack_into("<I", header, 4, start - 8 + size)
    struct.pack_into("<I", header, start - 4, size)
    return Spliced(bytes(header), data, start)


# --- ogg and flac ---


def _check_ogg(data: Bytes, path: str) -> Checked:
    # A page has at most 65,307 bytes, so the last one begins within that distance of the end.
    last = data.rfind(b"OggS", max(0, len(data) - 2 * 65_307))
    complete = last >= 0 and len(data) >= last + 27 and len(data) >= last + 27 + data[last + 26]
    if complete:
        segments = data[last + 26]
        body = sum(data[last + 27 : last + 27 + segments])
        complete = len(data) >= last + 27 + segments + body and bool(data[last + 5] & 4)
    if not complete:
        raise InputError(
            "is truncated: its last Ogg page is incomplete or does not end the stream",
            path=path,
            fix=_COPY_AGAIN,
        )
    if data[last + 14 : last + 18] != data[14:18]:
        raise InputError(
            "holds several Ogg streams, of which only the first could be read",
            path=path,
            fix=_CONVERT,
        )
    return Checked()


def _check_flac(data: Bytes, path: str) -> Checked:
    total = int.from_bytes(data[21:26], "big") & 0xFFFFFFFFF
    if len(data) >= 26 and total == 0:
        raise InputError(
            "does not state how many samples it holds (its writer had no seekable output)",
            path=path,
            fix="Write it again with `flac` or `ffmpeg -i` to a file instead of a pipe.",
        )
    return Checked()


# --- mp3 ---

_BITRATES_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_V1 = (44_100, 48_000, 32_000)


@dataclass(frozen=True)
class _MpegFrame:
    header: bytes
    size: int
    side_info: int

    def like(self, other: _MpegFrame) -> bool:
        """Return whether both have the same version, layer and sample rate, as frames of one stream have."""
        mine, theirs = self.header, other.header
        return mine[1] & 0xFE == theirs[1] & 0xFE and mine[2] & 0x0C == theirs[2] & 0x0C


def _id3_size(data: Bytes) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if data[5] & 0x10 else 0)


def _mpeg_frame(data: Bytes, position: int) -> _MpegFrame | None:
    """Return the frame of MPEG audio layer III that begins at `position`, if one does."""
    header = bytes(data[position : position + 4])
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = _RATES_V1[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kilobits = (_BITRATES_V1 if first else _BITRATES_V2)[bitrate]
    size = (144_000 if first else 72_000) * kilobits // hertz + (header[2] >> 1 & 1)
    mono = header[3] >> 6 == 3
    side_info = (17 if mono else 32) if first else (9 if mono else 17)
    return _MpegFrame(header, size, side_info)


def _check_mp3(data: Bytes, path: str, start: int, first: _MpegFrame) -> Checked:
    head = data[start : start + first.size]
    tag = head[4 + first.side_info : 12 + first.side_info]
    if (tag[:4] in (b"Xing", b"Info") and tag[7:8] and tag[7] & 1) or b"VBRI" in head[36:40]:
        return Checked()
    count = _count_mpeg_frames(data, start, first)
    return Checked(Spliced(_info_frame(first, count), data, start))


def _count_mpeg_frames(data: Bytes, position: int, first: _MpegFrame) -> int:
    count = 0
    while position >= 0:
        frame = _mpeg_frame(data, position)
        if frame is not None and frame.like(first) and position + frame.size <= len(data):
            count += 1
            position += frame.size
        else:
            position = data.find(b"\xff", position + 1)
    return count


def _info_frame(first: _MpegFrame, count: int) -> bytes:
    """Return a frame that states the number of frames after it, as encoders put it first ("Info" tag)."""
    # No checksum, a bit rate at which every sample rate has room for the tag, no padding.
    header = bytes((0xFF, first.header[1] | 1, 0x90 | first.header[2] & 0x0C, first.header[3]))
    frame = _mpeg_frame(header, 0) or first
    tag = b"Info" + struct.pack(">II", 1, count)
    return (header + bytes(frame.side_info) + tag).ljust(frame.size, b"\0")
