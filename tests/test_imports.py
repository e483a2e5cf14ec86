"""Test which packages an import loads; the layers are contracts in pyproject.toml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Packages that take a noticeable part of a second to import.
HEAVY = frozenset(
    {
        "apache_beam",
        "keras",
        "matplotlib",
        "mir_eval",
        "pretty_midi",
        "scipy",
        "soundfile",
        "tensorflow",
        "tensorflow_io",
    }
)
COMMANDS = [
    f"{package}.commands.{path.stem}"
    for package in ("tfamt", "pipelines")
    for path in sorted((ROOT / package / "commands").glob("[!_]*.py"))
]


def modules_after(code: str) -> set[str]:
    """Top-level packages that are loaded after `code` has run in a fresh interpreter."""
    code += "\nimport json, sys\nprint(json.dumps([*{n.partition('.')[0] for n in sys.modules}]))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    return set(json.loads(run.stdout))


def test_bare_import_loads_nothing_but_itself() -> None:
    loaded = modules_after("import tfamt; assert tfamt.__version__; dir(tfamt)")
    assert loaded & (HEAVY | {"numpy", "absl", "pipelines"}) == set()


@pytest.mark.parametrize("module", COMMANDS)
def test_commands_import_heavy_packages_late(module: str) -> None:
    assert modules_after(f"import {module}") & HEAVY == set()


def test_package_offers_its_members_lazily() -> None:
    code = """
import tfamt
assert "Notes" in dir(tfamt) and "tfamt.notes.table" not in sys.modules
import tfamt.notes.table
assert tfamt.Notes is tfamt.notes.table.Notes
assert "tensorflow" not in sys.modules
from tfamt import build_model, transcribe
print(build_model.__module__, transcribe.__module__)
try:
    tfamt.nothing
except AttributeError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", "import sys" + code], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.splitlines() == [
        "tfamt.network.model tfamt.transcription.transcriber",
        "No tfamt attribute nothing",
    ], run.stderr


@pytest.mark.parametrize(("chosen", "taken"), [({}, "1"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0")])
def test_convolutions_of_onednn_unless_the_user_says_otherwise(
    chosen: dict[str, str], taken: str
) -> None:
    rest = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    code = 'import os, tfamt; print(os.environ["TF_ENABLE_ONEDNN_OPTS"])'
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=rest | chosen, check=True, capture_output=True
    )
    assert run.stdout.decode().strip() == taken
