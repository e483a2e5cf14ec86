"""What a transcription is delivered as, besides MIDI (`tfamt.midi`).

Every writer refuses to replace a file unless told to, and leaves either the whole file or none.
"""

from tfamt.outputs.overview import Overview
from tfamt.outputs.picture import write_png
from tfamt.outputs.sound import write_wav
from tfamt.outputs.tables import Provenance, write_csv, write_json

__all__ = ["Overview", "Provenance", "write_csv", "write_json", "write_png", "write_wav"]
