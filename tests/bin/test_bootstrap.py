"""Test the launchers in bin/ on a tiny project: real environments, real pip, no network."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[2] / "bin" / "_bootstrap.py"
# Builds the project's wheel with nothing but the standard library, notes that it did, and fails on demand.
BACKEND = """
import os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    with open("builds", "a") as builds:
        builds.write("build\\n")
    if os.environ.get("BREAK_BUILD"):
        raise RuntimeError("no space left on the moon")
    info = "tfamt-7.0.dist-info/"
    files = {
        info + "METADATA": "Metadata-Version: 2.1\\nName: tfamt\\nVersion: 7.0\\nProvides-Extra: data\\n"
            "Provides-Extra: test\\nRequires-Dist: not-to-be-had>=1; extra == \\"test\\"\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "tfamt.pth": os.getcwd() + "/source\\n",
    }
    files[info + "RECORD"] = "".join(name + ",,\\n" for name in [*files, info + "RECORD"])
    name = "tfamt-7.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
COMMAND = """
import json, os, sys
print(os.getcwd(), *sys.argv[1:], sep="|")
sys.exit(len(sys.argv))
"""
LAUNCHER = """#!{python}
from _bootstrap import launch

launch("tfamt.hello", extras={extras})
"""


class Project:
    """A checkout with launchers `hello` (no extras), `prepare` (data) and `check` (test)."""

    def __init__(self, root: Path):
        self.root = root
        self.marker = root / ".venv" / "tfamt-installed"
        for name in ("bin", "source/tfamt"):
            (root / name).mkdir(parents=True)
        shutil.copy(BOOTSTRAP, root / "bin")
        (root / "setup.py").write_text("# dependencies, first edition\n")
        (root / "pyproject.toml").write_text(PYPROJECT)
        (root / "backend.py").write_text(BACKEND)
        (root / "source/tfamt/__init__.py").touch()
        (root / "source/tfamt/hello.py").write_text(COMMAND)
        for name, extras in (("hello", ()), ("prepare", ("data",)), ("check", ("test",))):
            path = root / "bin" / name
            path.write_text(LAUNCHER.format(python=sys.executable, extras=extras))
            path.chmod(0o755)

    def start(
        self, *command: str, cwd: Path | None = None, python: str = "", **environment: str
    ) -> subprocess.Popen[str]:
        launcher = [str(self.root / "bin" / command[0]), *command[1:]]
        # The interpreter of these tests may itself have tfamt: -S hides it, as a fresh machine would not have it.
        return subprocess.Popen(
            [python, *launcher] if python else [sys.executable, "-S", *launcher],
            cwd=cwd or self.root,
            env={**os.environ, "PIP_NO_INDEX": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **options: object) -> tuple[int, str, str]:
        process = self.start(*command, **options)  # type: ignore[arg-type]
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    @property
    def builds(self) -> int:
        path = self.root / "builds"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that two commands, started at the same moment, have set up."""
    project = Project(tmp_path_factory.mktemp("with space") / "checkout")
    commands = [project.start("hello", name) for name in ("one", "two")]
    ends = [(command.communicate(timeout=120), command.returncode) for command in commands]
    assert [(out, code) for (out, _), code in ends] == [
        (f"{project.root}|one\n", 2),
        (f"{project.root}|two\n", 2),
    ], ends
    assert project.builds == 1
    assert sorted("first use" in err for (_, err), _ in ends) == [False, True]
    return project


def test_later_uses_say_nothing_and_install_nothing(installed: Project, tmp_path: Path) -> None:
    builds = installed.builds
    # Modules of the caller's folder are not the command's business.
    for name in ("tfamt", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('wrong module')")
    code, out, err = installed.run("hello", "--flag=a b", "ü", cwd=tmp_path)
    assert (code, out, err) == (3, f"{tmp_path}|--flag=a b|ü\n", "")
    assert installed.builds == builds


def test_extras_are_added_when_a_command_needs_them(installed: Project) -> None:
    builds = installed.builds
    assert installed.run("prepare")[:2] == (1, f"{installed.root}\n")
    assert installed.marker.read_text().split("\n")[1] == ",data"
    assert installed.builds == builds + 1
    # And stay when one that needs fewer comes next.
    installed.run("hello")
    assert installed.builds == builds + 1


def test_a_flag_asks_for_its_extra(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "execute", lambda _, extras: asked.append(extras))
    for arguments in (["--png", "a.wav"], ["-png=true"], ["png", "--pngs"], []):
        monkeypatch.setattr(sys, "argv", ["hello", *arguments])
        bootstrap.launch("tfamt.hello", ["data"], {"png": "plots"})
    assert asked == [["data", "plots"], ["data", "plots"], ["data"], ["data"]]
    asked.clear()
    for arguments in (["--format=onnx"], ["--format", "onnx"], ["--format=savedmodel", "onnx"], []):
        monkeypatch.setattr(sys, "argv", ["hello", *arguments])
        bootstrap.launch("tfamt.hello", extras_of_flags={"format=onnx": "serving"})
    assert asked == [["serving"], ["serving"], [], []]


@pytest.mark.parametrize(("minor", "missing"), [(12, ["older"]), (13, ["newer"]), (14, ["newer"])])
def test_requirements_of_other_pythons_are_not_missed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, minor: int, missing: list[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, minor, 1))
    requirements = [
        'older==1; (python_version < "3.13" and sys_platform != "win32") and extra == "data"',
        'newer>=1; python_version >= "3.13" and extra == "data"',
        'another; extra == "serving"',
    ]
    assert bootstrap.missing_packages(requirements, ["data"]) == missing


def test_changed_dependencies_update_the_environment(installed: Project) -> None:
    builds, extras = installed.builds, installed.marker.read_text().split("\n")[1]
    before = installed.marker.read_text().split("\n")[0]
    (installed.root / "setup.py").write_text("# dependencies, second edition\n")
    code, out, err = installed.run("hello")
    assert (code, out) == (1, f"{installed.root}\n")
    assert "updating" in err and "first use" not in err
    assert installed.builds == builds + 1
    state, kept = installed.marker.read_text().split("\n")[:2]
    assert state != before and kept == extras


def test_failed_installation_is_reported_and_finished_next_time(tmp_path: Path) -> None:
    project = Project(tmp_path / "checkout")
    code, out, err = project.run("hello", BREAK_BUILD="1")
    assert (code, out) == (1, "")
    assert "no space left on the moon" in err
    assert "error: installing tfamt and what it needs failed" in err
    assert "Traceback" not in err.split("error: installing")[1]
    assert not project.marker.exists()
    assert project.run("check")[0] == 1  # an extra that cannot be had
    assert not project.marker.exists()
    code, out, err = project.run("hello")
    assert (code, out) == (1, f"{project.root}\n")
    assert "going on with installing" in err
    assert project.marker.exists()
    # What else can break: the environment's Python is gone, say by an upgrade of the system.
    shutil.rmtree(project.root / ".venv" / "bin")
    code, out, err = project.run("hello")
    assert (code, out) == (1, f"{project.root}\n")
    assert "first use" in err


def test_environment_that_has_tfamt_is_used(installed: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    python = str(installed.root / ".venv" / "bin" / "python")
    assert other.run("hello", "x", python=python) == (2, f"{other.root}|x\n", "")
    assert not (other.root / ".venv").exists()
    code, out, err = other.run("check", python=python)
    assert (code, out) == (1, "")
    assert "has tfamt, but not not-to-be-had" in err
    assert f"pip install '{other.root}[test]'" in err
    assert not (other.root / ".venv").exists()


def test_own_environment_gets_what_it_lacks_when_active(installed: Project) -> None:
    python = str(installed.root / ".venv" / "bin" / "python")
    installed.marker.unlink()
    code, _, err = installed.run("hello", python=python)
    assert code == 1 and "going on with installing" in err
    assert installed.marker.read_text().split("\n")[1] == ""


def test_checkout_that_cannot_be_written(tmp_path: Path) -> None:
    project = Project(tmp_path / "checkout")
    (project.root / ".venv.lock").mkdir()
    code, out, err = project.run("hello")
    assert (code, out) == (1, "")
    assert err == f"error: {project.root}/.venv cannot be set up ({_directory_error(project)}).\n"


def _directory_error(project: Project) -> str:
    return f"[Errno 21] Is a directory: '{project.root}/.venv.lock'"


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_bootstrap", BOOTSTRAP)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only one on PATH."""
    folder = tmp_path / "search"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _executable(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def _run_under(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], executable: str) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(sys, "_base_executable", executable)


def test_python_that_is_too_old_is_refused(
    bootstrap: ModuleType, search_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_under(monkeypatch, (3, 8, 1), _executable(search_path / "python3", "echo 3.8"))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer .* This is Python 3\.8"):
        bootstrap.find_python()


def test_another_python_is_looked_for(
    bootstrap: ModuleType, search_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_under(monkeypatch, (3, 10, 4), _executable(search_path / "python3", "echo 3.10"))
    # What version managers leave behind for versions that are not active.
    _executable(search_path / "python3.14", "exit 127")
    _executable(search_path / "python3.11", "echo 3.11")
    good = _executable(search_path / "python3.13", "echo 3.13")
    assert bootstrap.find_python() == good


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_the_python_at_hand_is_taken_before_newer_ones(
    bootstrap: ModuleType, search_path: Path, monkeypatch: pytest.MonkeyPatch, minor: int
) -> None:
    own = _executable(search_path / "python3", f"echo 3.{minor}")
    _run_under(monkeypatch, (3, minor, 1), own)
    _executable(search_path / "python3.14", "echo 3.14")
    assert bootstrap.find_python() == own


def test_a_python_newer_than_all_wheels_is_the_last_choice(
    bootstrap: ModuleType, search_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = _executable(search_path / "python3", "echo 3.19")
    _run_under(monkeypatch, (3, 19, 0), own)
    assert bootstrap.find_python() == own
    known = _executable(search_path / "python3.12", "echo 3.12")
    assert bootstrap.find_python() == known


def test_python_without_venv_names_the_package(
    bootstrap: ModuleType, search_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_under(monkeypatch, (3, 11, 2), _executable(search_path / "python3", "exit 1"))
    with pytest.raises(SystemExit, match=r"apt-get install python3\.11-venv"):
        bootstrap.find_python()


def test_gpu_counts_only_if_it_answers(bootstrap: ModuleType, search_path: Path) -> None:
    assert bootstrap.has_gpu() is False
    _executable(search_path / "nvidia-smi", "exit 9")
    assert bootstrap.has_gpu() is False
    _executable(search_path / "nvidia-smi", "exit 0")
    assert bootstrap.has_gpu() is True


def test_old_pythons_can_read_the_launchers() -> None:
    paths = [
        BOOTSTRAP,
        *(path for path in BOOTSTRAP.parent.iterdir() if path.suffix == "" and path.is_file()),
    ]
    assert len(paths) >= 5
    for path in paths:
        ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 6))
