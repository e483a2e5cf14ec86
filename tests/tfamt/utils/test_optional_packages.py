"""Test commands in an environment without the packages of the extras."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import ROOT
from tfamt.errors import InputError
from tfamt.utils.optional_packages import missing_package, require_package

# An import of a module that is None fails like one that is not installed.
BASE_ONLY = """
import atexit, importlib, json, sys
from pathlib import Path
given = json.loads(sys.argv.pop(1))
sys.modules.update(dict.fromkeys(given["hidden"]))
imported = lambda: sorted({name.partition(".")[0] for name, found in sys.modules.items() if found})
atexit.register(lambda: Path(given["imported"]).write_text(json.dumps(imported())))
importlib.import_module(given["module"]).cli()
"""
NOTES = "tests/data/prelude_notes.csv"


def _requirements(distribution: str) -> set[str]:
    """Names of what a distribution requires here without any extra."""
    try:
        requirements = map(Requirement, metadata.requires(distribution) or [])
    except metadata.PackageNotFoundError:
        return set()
    return {
        canonicalize_name(each.name)
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def _base() -> set[str]:
    """Names of all distributions that installing tfamt without extras brings."""
    found, new = set[str](), {"tfamt"}
    while new:
        found |= new
        new = set().union(*map(_requirements, new)) - found
    return found


def _providers() -> dict[str, set[str]]:
    """Names of the distributions that have a module, by its name."""
    found = metadata.packages_distributions()
    return {name: set(map(canonicalize_name, owners)) for name, owners in found.items()}


def _run(module: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command as with the base installation; imported.json gets what it imports."""
    base = _base()
    hidden = [name for name, owners in _providers().items() if not owners & base]
    assert {"matplotlib", "pandas", "scipy", "apache_beam"} <= set(hidden)
    # TensorFlow 2.17 requires it, later ones do not.
    hidden.append("tensorboard")
    imported = str(folder / "imported.json")
    given = json.dumps({"module": module, "hidden": hidden, "imported": imported})
    return subprocess.run(
        [sys.executable, "-c", BASE_ONLY, given, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_transcribing_needs_the_base_and_no_more(tmp_path: Path) -> None:
    output = tmp_path / "output"
    done = _run(
        *("tfamt.commands.transcribe", tmp_path, "--csv", "--json", "--wav"),
        *(f"--output_dir={output}", "examples/prelude.ogg"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in output.iterdir()) == [
        *("prelude.csv", "prelude.json", "prelude.mid", "prelude.notes.wav")
    ]
    providers = _providers()
    imported = json.loads((tmp_path / "imported.json").read_text("utf-8"))
    used = set[str]().union(*(providers.get(name, set()) for name in imported))
    # Besides what transcribing needs the base has one package, of 6 MB, for Notes.to_pretty_midi.
    assert _requirements("tfamt") - used == {"pretty-midi"}


@pytest.mark.parametrize(
    ("arguments", "needs", "extra"),
    [
        (("tfamt.commands.transcribe", "--png", "a.wav"), "matplotlib", "plots"),
        (
            ("pipelines.commands.evaluate", f"--reference={NOTES}", f"--estimate={NOTES}"),
            "mir_eval",
            "evaluation",
        ),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(
    arguments: tuple[str, ...], needs: str, extra: str, tmp_path: Path
) -> None:
    module, *flags = arguments
    done = _run(module, tmp_path, *flags)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"needs {needs}, which is not installed. Install it: pip install 'tfamt[{extra}]'." in (
        done.stderr
    )
    assert len(done.stderr.splitlines()) == 1


def test_only_extras_are_named() -> None:
    assert missing_package(ModuleNotFoundError("no", name="no_such_package")) is None
    # Part of the base: a broken installation, which is no matter of extras.
    assert missing_package(ModuleNotFoundError("no", name="soxr")) is None
    problem = missing_package(ModuleNotFoundError("no", name="google_crc32c.extra"))
    assert "tfamt[data]" in str(problem)
    require_package("soundfile", "data", "this")
    with pytest.raises(InputError, match=r"this needs no_such_package"):
        require_package("no_such_package", "data", "this")
