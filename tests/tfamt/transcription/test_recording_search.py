"""Test which files names, folders and patterns stand for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfamt.notes.sonify import write_wav
from tfamt.notes.table import Notes
from tfamt.transcription.jobs import plan, read_list
from tfamt.transcription.recording_search import SearchResult, find, without_suffix

NFC, NFD = "\u00c9tude", "E\u0301tude"


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(result: SearchResult, folder: Path) -> list[str]:
    return [str(recording.path.relative_to(folder)) for recording in result.recordings]


def left_out(result: SearchResult, folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): why for path, why in result.left_out.items()}


def test_hidden_files_count_only_where_they_are_named(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", ".a.wav", "._a.wav", ".git/b.wav", "c/._d.wav", "c/d.flac", "e.txt")
    result = find([str(tmp_path)])
    assert found(result, tmp_path) == ["a.wav", "c/d.flac"]
    assert not result.problems and not result.left_out
    assert found(find([f"{tmp_path}/**/*.wav"]), tmp_path) == ["a.wav"]
    assert found(find([f"{tmp_path}/*/*"]), tmp_path) == ["c/d.flac"]
    assert found(find([f"{tmp_path}/.*"]), tmp_path) == [".a.wav"]
    assert found(find([f"{tmp_path}/.git", f"{tmp_path}/._a.wav"]), tmp_path) == [
        ".git/b.wav",
        "._a.wav",
    ]


def test_links_to_files_are_followed_and_loops_end(tmp_path: Path) -> None:
    make(tmp_path, "in/a.wav", "in/sub/b.wav", "outside/c.wav", "in/folder.wav/d.wav")
    inside = tmp_path / "in"
    (inside / "sub" / "loop").symlink_to("..")
    (inside / "sub" / "other_loop").symlink_to(".")
    (inside / "c.wav").symlink_to("../outside/c.wav")
    (inside / "gone.wav").symlink_to("missing")
    (inside / "self.wav").symlink_to("self.wav")
    result = find([str(inside)])
    assert found(result, inside) == [
        "a.wav",
        "folder.wav/d.wav",
        "sub/b.wav",
        "c.wav",
        "gone.wav",
        "self.wav",
    ]
    not_followed = "is a link to a folder; name it to transcribe the recordings there"
    assert left_out(result, inside) == {"sub/loop": not_followed, "sub/other_loop": not_followed}
    named = find([str(inside), f"{inside}/sub/loop"])
    assert found(named, inside) == found(result, inside)
    assert "sub/loop" not in left_out(named, inside)
    assert left_out(named, inside)["sub/loop/a.wav"] == f"is the same file as {inside}/a.wav"
    # What cannot be opened fails by itself.
    _, problems = plan(find([f"{inside}/*n*.wav", f"{inside}/self.wav"]).recordings, {}, None)
    assert [problem.problem for problem in problems.values()] == [
        "does not exist",
        "cannot be opened (Too many levels of symbolic links)",
    ]
    assert found(find([f"{inside}/**/**/b.wav"]), inside) == ["sub/b.wav"]
    assert found(find([f"{inside}/sub/loop/a.wav", f"{inside}/*/loop/a.wav"]), inside) == [
        "sub/loop/a.wav"
    ]


def test_a_file_of_several_names_is_one_recording(tmp_path: Path) -> None:
    make(tmp_path, "b.wav", "sub/c.wav")
    (tmp_path / "a.wav").symlink_to("b.wav")
    os.link(tmp_path / "b.wav", tmp_path / "sub" / "hard.wav")
    result = find([str(tmp_path), f"{tmp_path}/sub/../b.wav", f"{tmp_path}/sub", f"{tmp_path}/**"])
    assert found(result, tmp_path) == ["b.wav", "sub/c.wav"]
    assert left_out(result, tmp_path) == {
        "a.wav": f"is the same file as {tmp_path}/b.wav",
        "sub/hard.wav": f"is the same file as {tmp_path}/b.wav",
    }
    named = find([f"{tmp_path}/b.wav", f"{tmp_path}/a.wav"])
    assert left_out(named, tmp_path) == {"a.wav": f"is the same file as {tmp_path}/b.wav"}
    # The first name counts.
    result = find([f"{tmp_path}/a.wav", str(tmp_path)])
    assert found(result, tmp_path) == ["a.wav", "sub/c.wav"]


def test_the_sound_of_notes_is_no_recording(tmp_path: Path) -> None:
    make(tmp_path, "a.flac", "a.notes.wav", "B.WAV", "B.notes.wav", "lonely.notes.wav", "a.mid")
    notes = Notes.from_rows([(0.0, 0.1, 60, 80)])
    write_wav(notes, tmp_path / "made.notes.wav")
    result = find([str(tmp_path)])
    assert found(result, tmp_path) == ["B.WAV", "a.flac", "lonely.notes.wav"]
    guess = "is taken for the notes of {} as sound; name the file itself to transcribe it"
    assert left_out(result, tmp_path) == {
        "a.notes.wav": guess.format(tmp_path / "a.flac"),
        "B.notes.wav": guess.format(tmp_path / "B.WAV"),
    }
    assert found(find([f"{tmp_path}/*"]), tmp_path) == ["B.WAV", "a.flac", "lonely.notes.wav"]
    named = find([f"{tmp_path}/made.notes.wav", f"{tmp_path}/a.notes.wav"])
    assert found(named, tmp_path) == ["made.notes.wav", "a.notes.wav"]
    both = find([str(tmp_path), f"{tmp_path}/a.notes.wav"])
    assert found(both, tmp_path)[-1] == "a.notes.wav"
    assert left_out(both, tmp_path).keys() == {"B.notes.wav"}
    assert soundfile.info(tmp_path / "made.notes.wav").frames == 2205 + 3308


def test_both_forms_of_an_accent_are_found(tmp_path: Path) -> None:
    make(tmp_path, f"{NFD}.wav", f"{NFD}/{NFC}.flac")
    for name in (NFC, NFD):
        assert found(find([f"{tmp_path}/{name}.wav"]), tmp_path) == [f"{NFD}.wav"]
        assert found(find([f"{tmp_path}/{name}*.w*"]), tmp_path) == [f"{NFD}.wav"]
        assert found(find([f"{tmp_path}/{name}"]), tmp_path) == [f"{NFD}/{NFC}.flac"]
    # Their results would have one name where a file system knows one form only.
    make(tmp_path, f"{NFC}.wav")
    _, problems = plan(find([f"{tmp_path}/*.wav"]).recordings, {"mid": ".mid"}, None)
    assert [error.problem for error in problems.values()] == [
        f"shares its name with {tmp_path}/{other}.wav: their results would collide"
        for other in (NFC, NFD)
    ]


def test_a_folder_that_cannot_be_read_is_a_problem() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        make(Path(place), "a.wav", "closed/b.wav")
        os.chmod(Path(place, "closed"), 0)
        user = os.geteuid()
        if user == 0:
            # The superuser may read everything.
            os.seteuid(65_534)
        try:
            results = [
                find([name])
                for name in (place, f"{place}/**/*.wav", f"{place}/*/*.wav", f"{place}/closed")
            ]
        finally:
            os.seteuid(user)
            os.chmod(Path(place, "closed"), 0o755)
    problem = f"{place}/closed: cannot be searched (Permission denied). Check the permissions of the folder."
    assert [[str(error) for error in result.problems] for result in results] == [[problem]] * 4
    assert [len(result.recordings) for result in results] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.wav", "a"),
        ("A.FLAC", "A"),
        ("Sonata No.1", "Sonata No.1"),
        ("Sonata No.1.wav", "Sonata No.1"),
        ("op.28.no.4.mp3", "op.28.no.4"),
        ("a.mp3.wav", "a.mp3"),
        ("ends in a dot..wav", "ends in a dot."),
        (".wav", ".wav"),
        ("...wav", "...wav"),
        ("take.xyz", "take.xyz"),
    ],
)
def test_only_the_suffix_of_audio_is_none_of_the_name(name: str, stem: str, tmp_path: Path) -> None:
    assert str(without_suffix(Path("x.y", name))) == f"x.y/{stem}"
    samples = np.random.default_rng(0).normal(0, 0.01, 1600)
    soundfile.write(tmp_path / "sound", samples, 16_000, format="WAV")
    (tmp_path / "sound").rename(tmp_path / name)
    for output_dir in (None, str(tmp_path)):
        (job,), problems = plan(
            find([str(tmp_path / name)]).recordings,
            {"mid": ".mid", "wav": ".notes.wav"},
            output_dir,
        )
        assert not problems
        assert {kind: str(path) for kind, path in job.outputs.items()} == {
            "mid": f"{tmp_path}/{stem}.mid",
            "wav": f"{tmp_path}/{stem}.notes.wav",
        }


def test_a_list_may_hold_any_name(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/odd \xff.wav "
    with open(odd, "wb"):
        pass
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbfa.wav\r\n  b.wav \n\n" + odd + b"\nnel\xc2\x85 \xe2\x80\xa8.wav")
    assert read_list(path) == ["a.wav", "b.wav", os.fsdecode(odd), "nel\x85 \u2028.wav"]


def test_no_result_takes_the_place_of_a_recording(tmp_path: Path) -> None:
    for name in ("a.wav", "a.notes.wav"):
        soundfile.write(tmp_path / name, np.zeros(1600), 16_000)
    recordings = find([f"{tmp_path}/a.wav", f"{tmp_path}/a.notes.wav"]).recordings
    endings = {"mid": ".mid", "wav": ".notes.wav"}
    jobs, problems = plan(recordings, endings, None, overwrite=True)
    assert [job.recording.name for job in jobs] == ["a.notes.wav"]
    assert {path.name: error.problem for path, error in problems.items()} == {
        "a.wav": f"would put a result in the place of the recording {tmp_path}/a.notes.wav"
    }
