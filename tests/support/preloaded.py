"""Import the packages that processes forked in tests/support/processes.py share.

Nothing that defines flags: commands share names of flags.
"""

# ruff: noqa: F401
import importlib.util

import keras
import mir_eval
import scipy.signal
import soundfile
import tensorboard.plugins.hparams.api
import tensorflow
import tqdm

import pipelines.input.training_windows
import pipelines.preparation.integrity
import tfamt.training.trainer

if importlib.util.find_spec("tensorflow_io"):
    # Reads the library of its operations.
    dir(importlib.import_module("tensorflow_io.python.ops.core_ops"))
