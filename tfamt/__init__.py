"""Automatic music transcription: recordings to notes.

>>> import tfamt
>>> notes = tfamt.transcribe("recording.flac")

Importing the package costs next to nothing: what it offers is loaded, and TensorFlow with it, at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfamt.version import __version__

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
