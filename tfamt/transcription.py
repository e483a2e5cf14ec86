"""Recordings to notes, in windows: memory does not grow with the recording."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tfamt.audio import Audio, read_blocks
from tfamt.backends import Array, Backend, keras_backend
from tfamt.config import Config
from tfamt.decoding import NoteDecoder
from tfamt.frames import FrameGrid, windows
from tfamt.notes import Notes, Row
from tfamt.weights import load_transcriber, shipped_weights


@dataclass(frozen=True)
class Frames:
    """What the network says about a stretch of a recording.

    Attributes:
      spectrogram: float32 [frames, bins], the scaled input; None if the backend does not tell.
      rolls: float32 [frames, 88] by head.
      seconds: how far into the recording the stretch reaches.
    """

    spectrogram: Array | None
    rolls: dict[str, Array]
    seconds: float


class Transcriber:
    """A model that is loaded once and transcribes any number of recordings.

    Args:
      config: of the model.
      backend: runs the network.
    """

    def __init__(self, config: Config, backend: Backend):
        self.config = config
        self.grid = FrameGrid(config.spectrogram.sample_rate, config.spectrogram.hop)
        self._infer = backend

    @classmethod
    def load(cls, weights: str | os.PathLike[str] | None = None) -> Transcriber:
        """The model of a weights file; the one in the package if not given.

        Raises:
          InputError: the file is not a weights file.
        """
        config, model = load_transcriber(weights or shipped_weights())
        return cls(config, keras_backend(config, model))

    def transcribe(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        listener: Callable[[Frames], None] | None = None,
    ) -> Notes:
        """The notes of a recording.

        Args:
          audio: a file, its bytes, or samples [samples] or [samples, channels].
          sample_rate: Hz; needed with samples only.
          listener: called with every stretch of frames, in order: for progress and pictures.

        Raises:
          InputError: the audio cannot be used.
        """
        blocks = read_blocks(audio, sample_rate=sample_rate)
        return self.transcribe_blocks(blocks, listener=listener)

    def transcribe_blocks(
        self, blocks: Iterator[Array], *, listener: Callable[[Frames], None] | None = None
    ) -> Notes:
        """`transcribe` for a waveform that comes in blocks, float32 [samples] at the model's sample rate."""
        decoder = NoteDecoder(self.config.decoding, self.grid)
        rows: list[Row] = []
        for frames in self.frames(blocks):
            rows += decoder.push(frames.rolls)
            if listener:
                listener(frames)
        return Notes.from_rows(rows + decoder.finish())

    def frames(self, blocks: Iterator[Array]) -> Iterator[Frames]:
        """The network's output for every frame of a waveform, window by window, without seams."""
        inference = self.config.inference
        for waveform, first, count in cut_windows(
            blocks, self.grid, inference.window_frames, inference.margin_frames
        ):
            kept = slice(inference.margin_frames, inference.margin_frames + count)
            outputs = {name: array[0, kept] for name, array in self._infer(waveform[None]).items()}
            spectrogram = outputs.pop("spectrogram", None)
            yield Frames(spectrogram, outputs, float(self.grid.time_of(first + count)))


def cut_windows(
    blocks: Iterator[Array], grid: FrameGrid, window_frames: int, margin_frames: int
) -> Iterator[tuple[Array, int, int]]:
    """Blocks of a waveform to overlapping windows (`tfamt.frames.windows`), with silence around the recording.

    Yields:
      (waveform float32 [window_frames * hop], first kept frame, number of kept frames that the recording has).
    """
    samples = window_frames * grid.hop
    buffer = np.zeros(margin_frames * grid.hop, np.float32)
    received, ended = 0, False
    for window in windows(window_frames, margin_frames):
        while len(buffer) < samples and not ended:
            block = next(blocks, None)
            if block is None:
                ended = True
            else:
                received += len(block)
                buffer = np.concatenate([buffer, block])
        first = window.start + window.keep_from
        kept = window.keep_to - window.keep_from
        if ended:
            kept = min(kept, grid.num_frames(received) - first)
            if kept <= 0:
                return
        yield np.pad(buffer[:samples], (0, max(samples - len(buffer), 0))), first, kept
        buffer = buffer[(window.keep_to - window.keep_from) * grid.hop :]


@functools.lru_cache(maxsize=1)
def _cached(weights: str | None) -> Transcriber:
    return Transcriber.load(weights)


def transcribe(
    audio: Audio,
    *,
    sample_rate: int | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Notes:
    """The notes of a recording, with the defaults of `bin/transcribe`; the model stays loaded for the next call.

    Args:
      audio: a file, its bytes, or samples [samples] or [samples, channels].
      sample_rate: Hz; needed with samples only.
      weights: a weights file; the model in the package if not given.

    Raises:
      InputError: the audio or the weights cannot be used.
    """
    transcriber = _cached(os.fspath(weights) if weights else None)
    return transcriber.transcribe(audio, sample_rate=sample_rate)
