"""Automatic music transcription: recordings to notes.

>>> import tfamt
>>> notes = tfamt.transcribe("recording.flac")

Importing the package costs next to nothing: what it offers is loaded, and TensorFlow with it, at first use.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from tfamt.version import __version__

# Where a processor has no AVX-512, TensorFlow takes oneDNN's convolutions only if asked to; there they are two to three
# times as fast as its own. It looks when it starts; a value set by the user stays.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if TYPE_CHECKING:
    from tfamt.model import build_model
    from tfamt.notes import Notes
    from tfamt.streaming import StreamingTranscriber
    from tfamt.transcription import Transcriber, transcribe

__all__ = [
    "Notes",
    "StreamingTranscriber",
    "Transcriber",
    "__version__",
    "build_model",
    "transcribe",
]

_HOMES = {
    "Notes": "tfamt.notes",
    "StreamingTranscriber": "tfamt.streaming",
    "Transcriber": "tfamt.transcription",
    "build_model": "tfamt.model",
    "transcribe": "tfamt.transcription",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
