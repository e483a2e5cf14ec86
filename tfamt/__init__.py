"""Transcribe music automatically: recordings to notes.

>>> import tfamt
>>> notes = tfamt.transcribe("recording.flac")

Importing the package costs next to nothing: each name, and TensorFlow with it, loads at first use.
"""

import os

import lazy_loader

# From the first import on, so that every later fork is noticed.
from tfamt.utils import forks as _forks  # noqa: F401
from tfamt.utils.quiet_logs import quiet_tensorflow as _quiet_tensorflow
from tfamt.version import __version__ as __version__

_quiet_tensorflow()
# Without AVX-512, TensorFlow uses oneDNN's convolutions only on request; there they are two to three times as fast as
# its own. TensorFlow reads the variable when it loads; a value set by the user stays.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
