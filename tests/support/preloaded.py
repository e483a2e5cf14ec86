"""Import the packages that processes forked in tests/support/processes.py share.

Nothing that defines flags: commands share names of flags.
"""

# ruff: noqa: F401
import keras
import mir_eval
import scipy.signal
import soundfile
import tensorboard.plugins.hparams.api
import tensorflow
import tqdm
from tensorflow_io.python.ops import core_ops

import pipelines.input.training_windows
import pipelines.preparation.integrity
import tfamt.training.trainer

# Reads the library of its operations.
dir(core_ops)
