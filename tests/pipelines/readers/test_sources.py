"""Test finding and opening of files, and the join of labels with velocities."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from pipelines.readers.recordings import LeftOut, Recording, Source
from pipelines.readers.sources import (
    choose,
    find_sources,
    local_path,
    read_bytes,
    read_notes,
    read_notes_and_remarks,
    with_velocities,
)
from tests.support.make_fixtures import (
    MAPS_NOTES,
    maps_text,
    midi,
    write_files,
    write_tar_gz,
    write_zip,
)
from tfamt.errors import InputError
from tfamt.notes.table import Notes


def test_files_are_found_at_any_depth_and_in_archives(tmp_path: Path) -> None:
    write_files(tmp_path, {"b/c/x.wav": b"", "a.txt": b"", ".hidden/x.wav": b"", "b/._x.wav": b""})
    write_zip(tmp_path / "b/set.zip", {"set/y.wav": b"", "__MACOSX/set/._y.wav": b""})
    write_tar_gz(tmp_path / "set.tar.gz", {"set/z.wav": b"", "set/._z.wav": b""})
    # A circle of links.
    (tmp_path / "b/up").symlink_to(tmp_path)
    sources, left_out = find_sources(str(tmp_path))
    found = [os.path.relpath(str(source), tmp_path) for source in sources]
    assert found == ["a.txt", "b/c/x.wav", "b/set.zip!set/y.wav", "set.tar.gz!set/z.wav"]
    assert left_out == []
    archive = str(tmp_path / "b/set.zip")
    assert find_sources(archive) == ([Source(archive, "set/y.wav")], [])


def test_links_out_of_the_folder_are_named_and_followed_on_demand_only(tmp_path: Path) -> None:
    write_files(tmp_path, {"far/c/x.wav": b"", "far/y.mid": b"", "root/own/z.wav": b""})
    write_zip(tmp_path / "far/set.zip", {"w.wav": b""})
    root = tmp_path / "root"
    links = {
        "folder": tmp_path / "far/c",
        "y.mid": Path("../far/y.mid"),
        "set.zip": tmp_path / "far/set.zip",
        "own/through": root / "folder",
        # Names that begin alike, and a link that leads nowhere.
        "root2": tmp_path / "root2",
        "inside": root / "own",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    sources, left_out = find_sources(str(root))
    assert [os.path.relpath(str(item), root) for item in sources] == ["inside/z.wav", "own/z.wav"]
    names = ["folder", "inside/through", "own/through", "root2", "set.zip", "y.mid"]
    assert sorted(left_out) == [
        LeftOut(
            str(root / name),
            "a link that leads out of the folder is followed with --follow_links only",
        )
        for name in names
    ]
    (root / "root2").unlink()
    sources, left_out = find_sources(str(root), follow_links=True)
    assert [os.path.relpath(str(item), root) for item in sources] == [
        *("folder/x.wav", "inside/through/x.wav", "inside/z.wav", "own/through/x.wav"),
        *("own/z.wav", "set.zip!w.wav", "y.mid"),
    ]
    assert left_out == []
    # The folder itself may be a link.
    (tmp_path / "alias").symlink_to(root)
    assert len(find_sources(str(tmp_path / "alias"))[0]) == 2


def test_wrong_roots_are_reported(tmp_path: Path) -> None:
    (tmp_path / "file.wav").write_bytes(b"")
    with pytest.raises(InputError, match="there is no such folder"):
        find_sources(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="is not a folder"):
        find_sources(str(tmp_path / "file.wav"))


def test_the_better_file_is_chosen_and_the_others_are_named() -> None:
    mp3, wav, far, text = (Source(name) for name in ("x.mp3", "x.wav", "y/x.wav", "x.txt"))
    packed = Source("set.zip", "set/x.wav")
    suffixes = (".wav", ".mp3")
    assert choose([text], suffixes) == (None, [])
    assert choose([mp3, text, wav], suffixes) == (wav, [LeftOut("x.mp3", "x.wav is used instead")])
    assert choose([far, wav], suffixes) == (wav, [LeftOut("y/x.wav", "x.wav is used instead")])
    assert choose([packed, wav], suffixes) == (wav, [])
    assert choose([packed, mp3], suffixes) == (
        packed,
        [LeftOut("x.mp3", "set.zip!set/x.wav is used instead")],
    )


def test_a_plain_file_is_used_where_it_is(tmp_path: Path) -> None:
    path = write_files(tmp_path, {"x.wav": b"sound"}) / "x.wav"
    with local_path(Source(str(path))) as local:
        assert local == path
    assert read_bytes(Source(str(path))) == b"sound"
    for read in (read_bytes, lambda source: local_path(source).__enter__()):
        with pytest.raises(InputError, match=r"gone\.wav"):
            read(Source(str(tmp_path / "gone.wav")))


def test_a_member_is_copied_under_its_name_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    content = bytes(range(256)) * 8192
    archive = write_zip(tmp_path / "set.zip", {"set/x.WAV": content})
    with local_path(Source(str(archive), "set/x.WAV")) as local:
        assert local.name == "x.WAV"
        assert temporary in local.parents
        assert local.read_bytes() == content
    assert list(temporary.iterdir()) == []
    assert read_bytes(Source(str(archive), "set/x.WAV")) == content


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    archive = write_zip(tmp_path / "set.zip", {"x.wav": bytes(1 << 20)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the size of files fails a write as a full disk does: in the middle.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with (
            pytest.raises(InputError, match=r"x\.wav: cannot be written .*TMPDIR"),
            local_path(Source(str(archive), "x.wav")),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(temporary.iterdir()) == []


def test_velocities_come_from_the_nearest_note_of_the_pitch() -> None:
    notes = Notes(
        [0.5, 1.0, 1.05, 2.0, 3.0, 4.0], [0.6, 1.04, 1.2, 2.5, 3.5, 4.5], [60, 60, 60, 60, 61, 62]
    )
    reference = Notes(
        [0.501, 1.045, 0.99, 2.021, 3.0, 5.0],
        [0.502, 1.05, 1.0, 2.1, 3.1, 5.1],
        [60, 60, 60, 60, 60, 61],
        [10, 30, 20, 40, 50, 60],
    )
    joined, missing = with_velocities(notes, reference)
    # 2.0 is 21 ms from the nearest; 3.0 is another pitch there; pitch 62 is not there at all.
    assert joined.velocity.tolist() == [10, 20, 30, 64, 64, 64]
    assert missing == 3
    assert (joined.onset == notes.onset).all()
    assert (joined.offset == notes.offset).all()
    assert (joined.pitch == notes.pitch).all()


def test_velocities_of_empty_tables() -> None:
    notes = Notes([1.0], [2.0], [60])
    assert with_velocities(notes, Notes.empty()) == (notes, 1)
    assert with_velocities(Notes.empty(), notes) == (Notes.empty(), 0)


def test_notes_of_a_recording(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "x.txt": maps_text(MAPS_NOTES),
            "x.mid": midi(MAPS_NOTES[:2], held=0.25, pedal_up=1.25),
            "bad.txt": b"OnsetTime\tOffsetTime\tMidiPitch\r\n1\t0\t60\r\n",
        },
    )

    def recording(labels: str, velocities: str | None) -> Recording:
        source = Source(str(tmp_path / velocities)) if velocities else None
        return Recording(
            "x", "train", "x", "x", Source("x.wav"), Source(str(tmp_path / labels)), "", source
        )

    offsets = {(0.5, 60): 1.25, (0.5, 64): 1.25, (1.0, 60): 1.25}
    missing = f"{tmp_path}/x.mid: lacks 1 of 3 notes, which got velocity 64"
    for labels, velocities, expected, said in (
        ("x.txt", None, [64, 64, 64], []),
        ("x.txt", "x.mid", [50, 60, 64], [missing]),
        ("x.mid", None, [50, 60], []),
    ):
        notes, remarks = read_notes_and_remarks(recording(labels, velocities))
        assert notes.velocity.tolist() == expected
        assert remarks == said
        assert {
            (onset, pitch): offset for onset, offset, pitch, _ in notes
        }.items() <= offsets.items()
        assert read_notes(recording(labels, velocities)) == notes
    with pytest.raises(InputError, match=r"bad\.txt.*line 2"):
        read_notes(recording("bad.txt", None))


def test_broken_labels_in_an_archive_are_named_with_it(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "set.zip", {"set/x.txt": b"hello\n"})
    labels = Source(str(archive), "set/x.txt")
    with pytest.raises(InputError, match=r"set\.zip!set/x\.txt: line 1"):
        read_notes(Recording("x", "train", "x", "x", labels, labels, ""))
