"""Measure how fast tfamt is on this machine, and how much memory it takes.

Usage: bin/benchmark PART [flags]

`bin/benchmark PART --help` shows the flags of a part. Figures of a busy machine mean little: the commands repeat what
they measure and give medians.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks.parts
from tfamt.commands.app import run
from tfamt.errors import InputError

PARTS = sorted(module.name for module in pkgutil.iter_modules(benchmarks.parts.__path__))
__doc__ = f"{__doc__.strip()}\n\nParts: {', '.join(PARTS)}."


def main(argv: list[str]) -> int:
    """Name the parts: if one was given, its own `main` has been called instead."""
    raise InputError(
        f"name the part to measure: {', '.join(PARTS)}. Received: {' '.join(argv[1:]) or 'nothing'}"
    )


def cli() -> None:
    """Run the console script."""
    if len(sys.argv) > 1 and sys.argv[1] in PARTS:
        part = sys.argv.pop(1)
        run(importlib.import_module(f"benchmarks.parts.{part}").main)
    run(main)


if __name__ == "__main__":
    cli()
