"""Notes while the music goes on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tfamt.audio import SAMPLE_RATE, Resampler
from tfamt.decoding import NoteDecoder
from tfamt.errors import InputError
from tfamt.notes import Notes, Row
from tfamt.transcription import Frames, Transcriber
from tfamt.windows import Cut


class StreamingTranscriber:
    """Takes a waveform in chunks of any size and gives each note as soon as it is certain.

    All notes together are those that `Transcriber.transcribe_blocks` gives for the whole waveform and the same
    `level`, bit by bit, since the network sees the same windows. `Transcriber.transcribe` finds the level out before it
    begins, as a stream cannot.

    >>> streaming = StreamingTranscriber(sample_rate=44100)
    >>> for chunk in chunks:
    ...     for onset, offset, pitch, velocity in streaming.push(chunk):
    ...         ...
    >>> rest = streaming.finish()

    Args:
      transcriber: default: the model in the package. `Transcriber.load(window_frames=...)` with fewer frames gives
        notes sooner.
      sample_rate: of the chunks, Hz.
      level: loudness of the whole (`tfamt.level.loudness`), where it is known, for models of scaling "level"; otherwise
        the loudness so far counts.
      listener: called with every stretch of frames, in order.

    Raises:
      InputError: `sample_rate` is none that recordings have.
    """

    def __init__(
        self,
        transcriber: Transcriber | None = None,
        *,
        sample_rate: float = SAMPLE_RATE,
        level: float | None = None,
        listener: Callable[[Frames], None] | None = None,
    ):
        self._transcriber = transcriber or Transcriber.load()
        self._resampler = Resampler(sample_rate)
        self._cutter = self._transcriber.cutter(level)
        self._decoder = NoteDecoder(self._transcriber.config.decoding, self._transcriber.grid)
        self._listener = listener
        self._finished = False

    @property
    def latency(self) -> float:
        """Seconds of audio after the end of a note until it is given, at the most.

        The note ends in the first frame that its window keeps, and the window must be complete. A sample rate other
        than the model's adds the delay of the resampler, below 0.1 s.
        """
        inference = self._transcriber.config.inference
        frames = inference.window_frames - inference.margin_frames + self._decoder.lag_frames
        return self._transcriber.grid.seconds(frames)

    def push(self, chunk: ArrayLike) -> Notes:
        """Takes the samples that follow, [samples], floats within -1..1; returns the notes that became certain.

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
        """The notes that are left when the waveform has ended.

        Raises:
          ValueError: it has been called before.
        """
        self._require_open()
        self._finished = True
        rows = self._rows(self._cutter.push(self._resampler.rest()))
        for cuts in self._cutter.rest():
            rows += self._rows(cuts)
        return Notes.from_rows(rows + self._decoder.finish())

    def _rows(self, cuts: list[Cut]) -> list[Row]:
        rows: list[Row] = []
        for cut in cuts:
            for frames in self._transcriber.run([cut]):
                rows += self._decoder.push(frames.rolls)
                if self._listener:
                    self._listener(frames)
        return rows

    def _require_open(self) -> None:
        if self._finished:
            raise ValueError("The stream has been finished: make another StreamingTranscriber.")
