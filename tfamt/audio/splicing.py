"""Replace the beginning of a file without copying it."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO


class SplicedFile(io.RawIOBase):
    """A read-only file: `prefix`, then `file` from `start` on.

    Args:
      prefix: bytes of the new beginning.
      file: a seekable binary file; stays open.
      start: position in it, bytes.
    """

    def __init__(self, prefix: bytes, file: BinaryIO, start: int):
        super().__init__()
        self._prefix, self._file, self._start = prefix, file, start
        self._size = len(prefix) + file.seek(0, io.SEEK_END) - start
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
        """Fill the buffer from prefix and file."""
        view = memoryview(buffer).cast("B")
        behind = self._position - len(self._prefix)
        if behind < 0:
            piece = self._prefix[self._position : self._position + len(view)]
        else:
            self._file.seek(self._start + behind)
            piece = self._file.read(len(view))
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def with_data_size(file: BinaryIO, start: int, size: int) -> SplicedFile:
    """Return a wav as an RF64 whose header states the size of its samples.

    Args:
      file: the wav.
      start: position of its first sample, bytes.
      size: of all samples, bytes.
    """
    file.seek(12)
    chunks = file.read(start - 12 - 8)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, size + start + 28, size, 0, 0)
    unknown = b"\xff\xff\xff\xff"
    prefix = b"RF64" + unknown + b"WAVE" + ds64 + chunks + b"data" + unknown
    return SplicedFile(prefix, file, start)
