"""Run the benchmarks of a checkout: python benchmarks PART [flags]."""

import sys
from pathlib import Path

# In the place of this folder: benchmarks is a package of the checkout, not of the installation.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.command import cli  # noqa: E402

cli()
