"""Read files inside .zip, .tar and .tar.gz archives without unpacking them.

Nothing is ever unpacked to a place that the archive names. Still, an archive in which a member's name leaves the
folder, or in which a member is a link, is refused as a whole: data sets have no such members.

A gzip stream can only be read from its beginning. `indexed_gzip` goes through it once per process and remembers
where to resume (32 kB for every 16 MB), so that a member of MusicNet's 11 GB is then reached in a fraction of a second.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import indexed_gzip

from tfamt.errors import InputError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

_CHUNK = 1 << 20
_SEEK_POINT_SPACING = 1 << 24
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    # The errors of zipfile for passwords and unknown compression.
    RuntimeError,
    OSError,
)


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Return whether the name is that of an archive."""
    return os.fspath(path).lower().endswith(ARCHIVE_SUFFIXES)


def list_members(path: str) -> list[str]:
    """Return the names of all files in an archive, sorted.

    Raises:
      InputError: the archive cannot be read, is damaged, or has a member that leaves the folder.
    """
    if _is_zip(path):
        with _damage_reported(path), zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        for info in infos:
            _check_zip_member(path, info)
        return sorted({info.filename for info in infos if not info.is_dir()})
    return sorted(_open_tar(path).members)


def read_member(path: str, member: str) -> Iterator[bytes]:
    """Yield the content of a member in pieces of at most 1 MiB, checked against its length and, in a zip, its checksum.

    Raises:
      InputError: as `list_members`; or there is no such member.
    """
    return _read_zip_member(path, member) if _is_zip(path) else _open_tar(path).read(member)


def check_name(archive: str, name: str) -> None:
    """Refuse a name that may lead out of its folder.

    Raises:
      InputError: the name is absolute, has a drive letter or goes up by "..".
    """
    parts = re.split(r"[/\\]", name)
    if not parts[0] or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise InputError(
            f"holds a name that leads out of its folder. Received: {name!r}",
            path=archive,
            fix="This is not the data set as distributed; download it again.",
        )


@dataclass(frozen=True)
class _Extent:
    """Where a member's content lies in the tar: byte offset and length."""

    offset: int
    size: int


class _Tar:
    """A tar, plain or compressed by gzip, whose members are reached at random.

    Attributes:
      members: name of each file -> where its content is.
    """

    def __init__(self, path: str):
        self._path = path
        self._lock = threading.Lock()
        with _damage_reported(path):
            self._compressed = None if path.lower().endswith(".tar") else _indexed(path)
            with self._opened() as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
                infos = archive.getmembers()
        for info in infos:
            _check_tar_member(path, info)
        self.members = {
            info.name: _Extent(info.offset_data, info.size) for info in infos if info.isfile()
        }

    def read(self, member: str) -> Iterator[bytes]:
        """Yield the content of a member in pieces; threads may read at the same time."""
        extent = self.members.get(member)
        if extent is None:
            raise _no_such_member(self._path, member)
        position, end = extent.offset, extent.offset + extent.size
        with _damage_reported(self._path, member), self._opened() as stream:
            while position < end:
                with self._lock:
                    stream.seek(position)
                    piece = stream.read(min(_CHUNK, end - position))
                if not piece:
                    raise EOFError("it ends too early")
                position += len(piece)
                yield piece

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if self._compressed is not None:
            yield self._compressed
        else:
            with open(self._path, "rb") as stream:
                yield stream


def _indexed(path: str) -> IO[bytes]:
    """Return a gzip stream with random access; it holds no open file between reads."""
    compressed = indexed_gzip.IndexedGzipFile(path, spacing=_SEEK_POINT_SPACING)
    # Goes through the whole file, and so finds damage that a list of members would not.
    compressed.build_full_index()
    compressed.seek(0)
    stream: IO[bytes] = compressed
    return stream


def _open_tar(path: str) -> _Tar:
    with _damage_reported(path):
        status = os.stat(path)
    return _open_tar_version(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _open_tar_version(path: str, size: int, modified: int) -> _Tar:
    """Open an archive; size and time are arguments so that a replaced archive is opened again."""
    return _Tar(path)


def _read_zip_member(path: str, member: str) -> Iterator[bytes]:
    with _damage_reported(path, member), zipfile.ZipFile(path) as archive:
        try:
            info = archive.getinfo(member)
        except KeyError:
            raise _no_such_member(path, member) from None
        _check_zip_member(path, info)
        with archive.open(info) as stream:
            while piece := stream.read(_CHUNK):
                yield piece


def _check_zip_member(path: str, info: zipfile.ZipInfo) -> None:
    check_name(path, info.filename)
    if stat.S_ISLNK(info.external_attr >> 16):
        raise _no_plain_file(path, info.filename)


def _check_tar_member(path: str, info: tarfile.TarInfo) -> None:
    check_name(path, info.name)
    if not (info.isfile() or info.isdir()):
        raise _no_plain_file(path, info.name)


@contextmanager
def _damage_reported(path: str, member: str | None = None) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        where = "" if member is None else f" at {member}"
        detail = getattr(error, "strerror", None) or error
        raise InputError(
            f"the archive cannot be read{where} ({detail})",
            path=path,
            fix="Compare its size with that of the original, and download it again if they differ.",
        ) from error


def _no_such_member(path: str, member: str) -> InputError:
    return InputError(f"the archive holds no {member}", path=path)


def _no_plain_file(path: str, member: str) -> InputError:
    return InputError(
        f"holds a link or device instead of a file. Received: {member!r}",
        path=path,
        fix="This is not the data set as distributed; download it again.",
    )


def _is_zip(path: str) -> bool:
    return path.lower().endswith(".zip")
