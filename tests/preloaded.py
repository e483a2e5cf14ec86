"""What every process forked in tests/processes.py has at hand: importing it takes a second of each otherwise."""

import importlib

from tensorflow_io.python.ops import core_ops

# Nothing that defines flags: commands share names of flags.
for name in (
    *("tfamt", "tensorflow", "keras", "scipy.signal", "soundfile", "mir_eval", "tfamt.training"),
    *("tensorboard.plugins.hparams.api", "tqdm", "pipelines.integrity", "pipelines.windows"),
):
    importlib.import_module(name)
# Reads the library of its operations.
dir(core_ops)
