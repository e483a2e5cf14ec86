"""Choose the model of a batch and the files that it writes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tfamt import network, serving, transcription
from tfamt.errors import InputError
from tfamt.transcription.journal import file_digest
from tfamt.transcription.recording_search import SOUND_ENDING
from tfamt.utils.optional_packages import require_package
from tfamt.version import __version__


@dataclass(frozen=True)
class ModelSource:
    """Which model transcribes, and where it runs.

    Attributes:
      weights: a weights file; None for the model in the package.
      window_frames: frames per window; None for the number in the config.
      precision: "float32", "mixed_bfloat16" or "auto" (`Transcriber.load`).
      server: address of a model on a server, which replaces all of the above: grpc://HOST:PORT/MODEL or
        http://HOST:PORT/MODEL.
      server_timeout: seconds to wait for each answer of the server.
    """

    weights: str | os.PathLike[str] | None = None
    window_frames: int | None = None
    precision: str = "auto"
    server: str | None = None
    server_timeout: float = 60.0

    def load(self, recordings: int = 1) -> transcription.Transcriber:
        """Return a transcriber for that number of recordings at a time.

        Raises:
          InputError: the weights cannot be used, or the server does not answer.
        """
        if self.server:
            return serving.remote_transcriber(self.server, timeout=self.server_timeout)
        transcription.share_cores(recordings)
        return transcription.Transcriber.load(
            self.weights, window_frames=self.window_frames, precision=self.precision
        )

    def name_of(self, transcriber: transcription.Transcriber) -> str:
        """Return the name of the model in results: of the weights file, or of the config."""
        return Path(self.weights).name if self.weights else transcriber.config.name

    def fingerprint(self) -> dict[str, object]:
        """Return all settings that notes depend on, for the journal."""
        return {
            "version": __version__,
            "weights": self.server
            or file_digest(network.resolve_weights(self.weights or network.shipped_weights())),
            "precision": self.precision,
            "window_frames": self.window_frames,
        }


@dataclass(frozen=True)
class OutputOptions:
    """Which files are written for each recording, and where; MIDI always is.

    Attributes:
      folder: of the results, made if missing; None for the folder of each recording.
      csv: whether notes are also written as .csv.
      json: whether notes and their provenance are also written as .json.
      png: whether spectrogram, piano roll and notes are also drawn as .png.
      wav: whether notes are also synthesised into a .notes.wav.
      program: General MIDI program of the track, 0..127.
      overwrite: whether existing files may be replaced.
      partial: whether a recording that breaks off is transcribed up to there; it is an error all the same.
    """

    folder: str | os.PathLike[str] | None = None
    csv: bool = False
    json: bool = False
    png: bool = False
    wav: bool = False
    program: int = 0
    overwrite: bool = False
    partial: bool = False

    def __post_init__(self) -> None:
        """Refuse pictures where nothing can draw them, before the first recording is transcribed."""
        if self.png:
            require_package("matplotlib", "plots", "a picture of a transcription (png)")

    @property
    def endings(self) -> dict[str, str]:
        """Return the ending of each kind of file."""
        optional = {"csv": ".csv", "json": ".json", "png": ".png"}
        endings = {"mid": ".mid", **{k: e for k, e in optional.items() if getattr(self, k)}}
        return endings | ({"wav": SOUND_ENDING} if self.wav else {})


@dataclass(frozen=True)
class FileResult:
    """What became of one recording.

    Attributes:
      recording: its file.
      outputs: its results by kind ("mid", "csv", "json", "png", "wav"); none if it failed, but for an
        `IncompleteError` with `OutputOptions.partial`.
      notes: how many notes were found.
      error: why it failed; None if it did not. An exception of another type is its `__cause__`.
      skipped: whether it was done before, according to the journal.
      left_out: why it was not transcribed though nothing is wrong with it; empty otherwise.
    """

    recording: Path
    outputs: dict[str, Path]
    notes: int = 0
    error: InputError | None = None
    skipped: bool = False
    left_out: str = ""
