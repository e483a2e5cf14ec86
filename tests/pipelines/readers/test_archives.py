"""Test that archives are read in place, and refused if damaged or unsafe."""

from __future__ import annotations

import io
import os
import stat
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.readers.archives import is_archive, list_members, read_member
from tests.support.make_fixtures import write_tar_gz, write_zip
from tfamt.errors import InputError

FILES = {"set/b/two.bin": bytes(range(256)) * 40, "set/a.txt": b"one\n", "set/empty": b""}
NOISE = np.random.default_rng(0).bytes(200_000)
OUTSIDE = ["../evil", "set/../../evil", "/tmp/evil", "C:/evil", "..\\evil", "set\\..\\..\\evil"]

Writer = Callable[[Path, dict[str, bytes]], Path]


def _plain_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _plain_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


WRITERS = [
    pytest.param(write_zip, "set.zip", id="zip"),
    pytest.param(write_tar_gz, "set.tar.gz", id="tar.gz"),
    pytest.param(write_tar_gz, "set.tgz", id="tgz"),
    pytest.param(write_tar_gz, "set.tar", id="tar"),
]
COMPRESSED = [
    pytest.param(_plain_zip, "set.zip", id="zip"),
    pytest.param(_plain_tar, "set.tar.gz", id="tar.gz"),
]


def _read(path: Path, member: str) -> bytes:
    return b"".join(read_member(str(path), member))


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_members_and_contents(tmp_path: Path, write: Writer, name: str) -> None:
    path = write(tmp_path / name, FILES)
    assert is_archive(path)
    assert list_members(str(path)) == ["set/a.txt", "set/b/two.bin", "set/empty"]
    # In an order that needs going back, which a plain gzip stream could not.
    for member in ("set/b/two.bin", "set/empty", "set/a.txt", "set/b/two.bin"):
        assert _read(path, member) == FILES[member]
    with pytest.raises(InputError, match="the archive holds no set/c"):
        _read(path, "set/c")


def test_threads_read_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.readers.archives._CHUNK", 1000)
    files = {f"{n}.bin": np.random.default_rng(n).bytes(200_000) for n in range(4)}
    path = write_tar_gz(tmp_path / "set.tar.gz", files)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            contents = list(pool.map(lambda member: _read(path, member), [*files] * 4))
    finally:
        sys.setswitchinterval(interval)
    assert contents == [*files.values()] * 4


def test_other_files_are_no_archives() -> None:
    assert not any(is_archive(name) for name in ("a.gz", "zip", "a.wav", "a.zip.part"))
    assert is_archive("A.ZIP")


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize(("write", "name"), COMPRESSED)
def test_names_that_lead_out_are_refused(
    tmp_path: Path, write: Writer, name: str, outside: str
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    path = write(folder / name, {"set/a.txt": b"one", outside: b"evil"})
    for attempt in (
        lambda: list_members(str(path)),
        lambda: _read(path, outside),
    ):
        with pytest.raises(InputError, match="leads out of its folder") as caught:
            attempt()
        assert repr(outside) in str(caught.value)
    assert sorted(file.name for file in tmp_path.rglob("*")) == sorted(["here", name])


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("set/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr(link, "/etc/passwd")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("set/link")
        info.type, info.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / f"{kind.decode()}.tar", "w") as tarred:
            tarred.addfile(info)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 4
    for path in paths:
        with pytest.raises(InputError, match="link or device instead of a file.*'set/link'"):
            list_members(str(path))
        with pytest.raises(InputError, match="link or device instead of a file.*'set/link'"):
            _read(path, "set/link")


@pytest.mark.parametrize("keep", [0, 10, 100_000, -30, -5])
@pytest.mark.parametrize(("write", "name"), COMPRESSED)
def test_cut_off_archives_are_refused(tmp_path: Path, write: Writer, name: str, keep: int) -> None:
    path = write(tmp_path / name, {"set/noise.bin": NOISE})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=f"{name}: the archive cannot be read .*download it again"):
        list_members(str(path))


@pytest.mark.parametrize(("write", "name"), COMPRESSED)
def test_a_changed_bit_is_noticed(tmp_path: Path, write: Writer, name: str) -> None:
    path = write(tmp_path / name, {"set/noise.bin": NOISE})
    content = bytearray(path.read_bytes())
    content[100_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="the archive cannot be read"):
        list_members(str(path))
        _read(path, "set/noise.bin")


def test_a_password_is_reported(tmp_path: Path) -> None:
    path = _plain_zip(tmp_path / "set.zip", FILES)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        _read(path, "set/b/two.bin")


def test_a_missing_archive_is_reported(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(InputError, match="No such file"):
            list_members(str(tmp_path / name))


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_replaced_archive_is_read_anew(tmp_path: Path, write: Writer, name: str) -> None:
    path = write(tmp_path / name, {"a": b"old"})
    assert _read(path, "a") == b"old"
    write(path, {"a": b"new"})
    os.utime(path, ns=(0, 0))
    assert _read(path, "a") == b"new"


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_memory_does_not_grow_with_the_member(tmp_path: Path, write: Writer, name: str) -> None:
    size = 32 << 20
    path = write(tmp_path / name, {"big": bytes(size)})
    # Indexing a gzip stream takes four times the spacing of its seek points, whatever its length.
    assert list_members(str(path)) == ["big"]
    tracemalloc.start()
    try:
        pieces = [len(piece) for piece in read_member(str(path), "big")]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(pieces) == size
    assert max(pieces) <= 1 << 20
    assert peak < 6 << 20
