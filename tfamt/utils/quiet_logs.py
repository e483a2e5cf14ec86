"""Silence the messages of other packages."""

from __future__ import annotations

import importlib.abc
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType


@contextmanager
def quiet() -> Iterator[None]:
    """Hide messages below errors: some packages log every step."""
    before = logging.root.manager.disable
    # Not the level of a logger: TensorFlow sets that of absl's again while it saves.
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def quiet_native() -> Iterator[None]:
    """Hide what native code writes to stderr, unless TF_CPP_MIN_LOG_LEVEL asks for notes.

    XLA reports its first compilation, and Grappler GPUs, at any level. Errors are still raised.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") < "1":
        yield
        return
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # There is none.
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Hide what native code of a package writes to stderr while the package is imported for the first time."""

    def __init__(self, package: str):
        self._package = package

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name != self._package:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module: ModuleType) -> None:
                with quiet_native():
                    load(module)

            spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


def quiet_import(package: str) -> None:
    """Hide what native code of a package writes to stderr during its import, whenever that comes.

    TensorFlow 2.20 and later notes its settings while it loads, at any level of TF_CPP_MIN_LOG_LEVEL.
    """
    if package not in sys.modules:
        sys.meta_path.insert(0, _QuietFinder(package))


def quiet_tensorflow() -> None:
    """Hide the notes of TensorFlow's native code, unless TF_CPP_MIN_LOG_LEVEL is set: its errors come as exceptions.

    At its default level it calls it an error that a processor has no AVX-512.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    quiet_import("tensorflow")
