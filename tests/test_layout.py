"""Test the limits of the layout: sizes of packages, modules and pages, file names, flagfiles."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTIONS = ("tfamt", "pipelines", "benchmarks")
# Command, and the module behind it: the same thing by design.
MIRRORS = frozenset({"exercises.py"})


def modules(distribution: str) -> list[Path]:
    found = sorted((ROOT / distribution).rglob("*.py"))
    assert found, distribution
    return found


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_no_package_has_more_than_14_modules(distribution: str) -> None:
    packages = defaultdict(list)
    for path in modules(distribution):
        if path.name not in ("__init__.py", "__main__.py"):
            packages[path.parent.relative_to(ROOT)].append(path.stem)
    assert {package: names for package, names in packages.items() if len(names) > 14} == {}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_no_module_has_more_than_300_lines(distribution: str) -> None:
    assert {str(path): lines(path) for path in modules(distribution) if lines(path) > 300} == {}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_no_two_modules_share_a_file_name(distribution: str) -> None:
    paths = defaultdict(list)
    for path in modules(distribution):
        if not path.name.startswith("__") and path.name not in MIRRORS:
            paths[path.name].append(str(path.relative_to(ROOT)))
    assert [shared for shared in paths.values() if len(shared) > 1] == []


def test_tests_mirror_the_packages() -> None:
    for distribution in ("tfamt", "pipelines"):
        rooms = {path.parent.relative_to(ROOT) for path in modules(distribution)}
        tested = {
            path.parent.relative_to(ROOT / "tests")
            for path in (ROOT / "tests" / distribution).rglob("test_*.py")
        }
        assert tested <= rooms


def test_pages_and_flagfiles_stay_few_and_short() -> None:
    assert lines(ROOT / "README.md") <= 120
    assert lines(ROOT / "BUILD.md") <= 150
    assert len(list((ROOT / "configs").glob("*.flags"))) <= 12


def test_the_import_contracts_hold() -> None:
    """The layers, and no circles: pyproject.toml."""
    from importlinter.api import read_configuration

    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    assert sorted(contract["type"] for contract in contracts) == [
        "acyclic_siblings", "layers", "layers", "layers",
    ]  # fmt: skip
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert "Contracts: 4 kept, 0 broken." in run.stdout


def test_shipped_code_imports_no_tests() -> None:
    shipped = [path for name in DISTRIBUTIONS for path in modules(name)]
    pattern = re.compile(r"^\s*(from|import) tests\b", re.MULTILINE)
    assert pattern.search("    from tests.support import processes")
    assert [path for path in shipped if pattern.search(path.read_text("utf-8"))] == []
