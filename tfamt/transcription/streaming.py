"""Transcribe a stream: notes while the music plays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tfamt.audio.reading import SAMPLE_RATE, Resampler
from tfamt.errors import InputError
from tfamt.notes.table import Notes, Row
from tfamt.transcription.note_decoder import NoteDecoder
from tfamt.transcription.transcriber import ModelOutput, Transcriber
from tfamt.transcription.windows import Window


class StreamingTranscriber:
    """Take a waveform in chunks of any size and return each note as soon as it is final.

    All notes together are those that `Transcriber.transcribe_blocks` returns for the whole waveform and the same
    `loudness`, bit by bit, since the network gets the same windows. `Transcriber.transcribe` measures the loudness in a
    first pass, which a stream does not have.

    >>> streaming = StreamingTranscriber(sample_rate=44100)
    >>> for chunk in chunks:
    ...     for onset, offset, pitch, velocity in streaming.push(chunk):
    ...         ...
    >>> last = streaming.finish()

    Args:
      transcriber: default: the model in the package. `Transcriber.load(window_frames=...)` with fewer frames gives
        notes sooner.
      sample_rate: of the chunks, Hz.
      loudness: of the whole recording (`tfamt.audio.loudness.loudness`) where it is known, for models that normalize
        it; None for the loudness so far.
      listener: called with the output of each window, in order.

    Raises:
      InputError: `sample_rate` is none that recordings have.
    """

    def __init__(
        self,
        transcriber: Transcriber | None = None,
        *,
        sample_rate: float = SAMPLE_RATE,
        loudness: float | None = None,
        listener: Callable[[ModelOutput], None] | None = None,
    ):
        self._transcriber = transcriber or Transcriber.load()
        self._resampler = Resampler(sample_rate)
        self._cutter = self._transcriber.cutter(loudness)
        self._decoder = NoteDecoder(self._transcriber.config.decoding, self._transcriber.grid)
        self._listener = listener
        self._finished = False

    @property
    def latency(self) -> float:
        """Return the longest time from the end of a note until it is returned, in seconds of audio.

        The note ends in the first frame that its window keeps, and the window must be complete. A sample rate other
        than the model's adds the delay of the resampler, below 0.1 s.
        """
        inference = self._transcriber.config.inference
        frames = inference.window_frames - inference.margin_frames + self._decoder.lag_frames
        return self._transcriber.grid.seconds(frames)

    def push(self, chunk: ArrayLike) -> Notes:
        """Take the samples that follow, [samples], floats within -1..1; return the notes that became final.

        Raises:
          InputError: the samples are not finite numbers in one dimension.
          ValueError: `finish` has been called.
        """
        self._require_open()
        samples = np.asarray(chunk, np.float32)
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise InputError(
                "a chunk must hold finite numbers, [samples]", fix=f"Received: {samples.shape}."
            )
        return Notes.from_rows(self._rows(self._cutter.push(self._resampler.push(samples))))

    def finish(self) -> Notes:
        """Return the notes that are left at the end of the waveform.

        Raises:
          ValueError: `finish` has been called before.
        """
        self._require_open()
        self._finished = True
        rows = self._rows(self._cutter.push(self._resampler.flush()))
        for windows in self._cutter.flush():
            rows += self._rows(windows)
        return Notes.from_rows(rows + self._decoder.finish())

    def _rows(self, windows: list[Window]) -> list[Row]:
        rows: list[Row] = []
        for window in windows:
            for output in self._transcriber.run_model([window]):
                rows += self._decoder.push(output.rolls)
                if self._listener:
                    self._listener(output)
        return rows

    def _require_open(self) -> None:
        if self._finished:
            raise ValueError("The stream has been finished: make another StreamingTranscriber.")
