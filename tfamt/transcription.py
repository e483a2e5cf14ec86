"""Recordings to notes, in windows: memory does not grow with the recording."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfamt.audio import Audio, read_blocks
from tfamt.config import Config
from tfamt.decoding import NoteDecoder
from tfamt.frames import FrameGrid, windows
from tfamt.notes import Notes, Row
from tfamt.weights import load_transcriber, shipped_weights

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Frames:
    """What the network says about a stretch of a recording.

    Attributes:
      spectrogram: float32 [frames, bins], the scaled input.
      rolls: float32 [frames, 88] by head.
      seconds: how far into the recording the stretch reaches.
    """

    spectrogram: Array
    rolls: dict[str, Array]
    seconds: float


class Transcriber:
    """A model that is loaded once and transcribes any number of recordings.

    Args:
      weights: a weights file; the model in the package if not given.

    Raises:
      InputError: the file is not a weights file.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None):
        import tensorflow as tf

        from tfamt.model import build_frontend

        self.config: Config
        self.config, transcriber = load_transcriber(weights or shipped_weights())
        spectrogram = self.config.spectrogram
        frontend = build_frontend(spectrogram)
        self.grid = FrameGrid(spectrogram.sample_rate, spectrogram.hop)
        samples = self.config.inference.window_frames * spectrogram.hop

        @tf.function(input_signature=[tf.TensorSpec([1, samples], tf.float32)])
        def infer(waveform: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            scaled = frontend(waveform)
            return scaled, transcriber(scaled, training=False)

        self._infer = infer

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
        decoder = NoteDecoder(self.config.decoding, self.grid)
        rows: list[Row] = []
        for frames in self.frames(audio, sample_rate=sample_rate):
            rows += decoder.push(frames.rolls)
            if listener:
                listener(frames)
        return Notes.from_rows(rows + decoder.finish())

    def frames(self, audio: Audio, *, sample_rate: int | None = None) -> Iterator[Frames]:
        """The network's output for every frame of a recording, window by window, without seams."""
        inference = self.config.inference
        blocks = read_blocks(audio, sample_rate=sample_rate)
        for waveform, first, count in cut_windows(
            blocks, self.grid, inference.window_frames, inference.margin_frames
        ):
            spectrogram, rolls = self._infer(waveform[None])
            kept = slice(inference.margin_frames, inference.margin_frames + count)
            yield Frames(
                spectrogram[0, kept].numpy(),
                {name: roll[0, kept].numpy() for name, roll in rolls.items()},
                float(self.grid.time_of(first + count)),
            )


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
    return Transcriber(weights)


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
