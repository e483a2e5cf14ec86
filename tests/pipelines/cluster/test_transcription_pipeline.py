"""Test transcription by Beam: the notes of the local command, existing results, damaged recordings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipelines.cluster.transcription_pipeline import base_of, target_of
from tests.support.processes import command
from tests.tfamt.commands import test_transcribe as local


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return command("pipelines.commands.transcribe_cluster", *arguments)


@pytest.mark.slow
def test_the_same_notes_as_the_local_command(root: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "prelude.ogg").write_bytes((root / "examples" / "prelude.ogg").read_bytes())
    local.write(source / "noise.ogg", local.noise(2.0), subtype="VORBIS")
    (source / "bad.ogg").write_text("no audio")
    done = run(f"--recordings={source}/**.ogg", f"--output={out}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {source}/bad.ogg: is not audio")
    assert done.stdout == "2 done, 1 failed\n"
    assert local.run(f"--output_dir={tmp_path}/local", source / "deep").returncode == 0
    ours = (out / "deep" / "prelude.ogg.mid").read_bytes()
    assert ours == (tmp_path / "local" / "prelude.mid").read_bytes()
    assert not list(out.rglob("*.part"))

    (out / "noise.ogg.mid").write_bytes(b"mine")
    again = run(f"--recordings={source}/**.ogg", f"--output={out}")
    assert again.returncode == 1
    assert again.stdout == "1 failed, 2 there already\n"
    assert (out / "noise.ogg.mid").read_bytes() == b"mine"
    (report,) = out.glob("report-*.jsonl")
    states = [json.loads(line)["state"] for line in report.read_text().splitlines()]
    assert sorted(states) == ["failed", "there already", "there already"]


@pytest.mark.parametrize(
    ("pattern", "base"),
    [
        ("/a/b/*.wav", "/a/b/"),
        ("/a/b?/c.wav", "/a/"),
        ("gs://bucket/a/**.wav", "gs://bucket/a/"),
        ("/a/b.wav", "/a/"),
    ],
)
def test_results_keep_the_names_below_the_pattern(pattern: str, base: str) -> None:
    assert base_of(pattern) == base


def test_where_results_go() -> None:
    assert target_of("/a/b/c.wav", "/a/", "/out") == "/out/b/c.wav.mid"


def test_a_pattern_that_matches_nothing(tmp_path: Path) -> None:
    done = run(f"--recordings={tmp_path}/*.wav", f"--output={tmp_path}/out")
    assert done.returncode == 1
    assert "matches no file" in done.stderr
    assert "Traceback" not in done.stderr
