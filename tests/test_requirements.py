"""Test which TensorFlow the markers in setup.py choose, by system and Python."""

from __future__ import annotations

from importlib import metadata

import pytest
from packaging.requirements import Requirement

LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}
ARM = {"sys_platform": "linux", "platform_machine": "aarch64"}
MAC = {"sys_platform": "darwin", "platform_machine": "arm64"}
WINDOWS = {"sys_platform": "win32", "platform_machine": "AMD64"}


def _chosen(system: dict[str, str], python: str, extra: str = "") -> set[str]:
    """Return the requirements of tfamt there that concern TensorFlow."""
    environment = {**system, "python_version": python, "extra": extra}
    requirements = map(Requirement, metadata.requires("tfamt") or [])
    return {
        f"{found.name}{found.specifier}"
        for found in requirements
        if found.name.startswith("tensorflow")
        and (found.marker is None or found.marker.evaluate(environment))
    }


@pytest.mark.parametrize(
    ("system", "python", "expected"),
    [
        (LINUX, "3.11", "tensorflow-cpu==2.17.1"),
        (LINUX, "3.12", "tensorflow-cpu==2.17.1"),
        (LINUX, "3.13", "tensorflow-cpu>=2.20"),
        (LINUX, "3.14", "tensorflow-cpu>=2.22.0rc0"),
        (LINUX, "3.15", "tensorflow-cpu>=2.22.0rc0"),
        (WINDOWS, "3.11", "tensorflow-cpu==2.17.1"),
        (WINDOWS, "3.13", "tensorflow-cpu>=2.20"),
        (MAC, "3.12", "tensorflow==2.17.1"),
        (MAC, "3.13", "tensorflow>=2.20"),
        (ARM, "3.11", "tensorflow==2.17.1"),
        (ARM, "3.14", "tensorflow>=2.22.0rc0"),
    ],
)
def test_one_tensorflow_and_no_tensorflow_io_for_transcribing(
    system: dict[str, str], python: str, expected: str
) -> None:
    assert _chosen(system, python) == {expected}


@pytest.mark.parametrize(
    ("system", "python", "has_it"),
    [
        *((LINUX, "3.11", True), (MAC, "3.12", True), (ARM, "3.12", True)),
        *((LINUX, "3.13", False), (WINDOWS, "3.11", False), (WINDOWS, "3.13", False)),
    ],
)
def test_training_uses_tensorflow_io_where_it_has_wheels(
    system: dict[str, str], python: str, has_it: bool
) -> None:
    added = _chosen(system, python, "data") - _chosen(system, python)
    assert added == ({"tensorflow-io==0.37.1"} if has_it else set())
