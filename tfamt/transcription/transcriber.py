"""Recordings to notes, in windows: memory does not grow with the recording."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from tfamt.audio import SAMPLE_RATE, Audio, read_blocks
from tfamt.backends import CONCURRENT_WINDOWS, Array, Backend, keras_backend
from tfamt.config import Config, replace
from tfamt.decoding import NoteDecoder
from tfamt.frames import FrameGrid
from tfamt.level import STRETCH, loudness
from tfamt.notes import Notes, Row
from tfamt.overlap import ahead, closing
from tfamt.precision import AUTO
from tfamt.weights import load_transcriber, shipped_weights
from tfamt.windows import Cut, WindowCutter, window_cutter

if TYPE_CHECKING:
    import keras

_BLOCK_SECONDS = 80 * STRETCH / SAMPLE_RATE
"""Whole stretches, so that the loudest of all blocks is the loudest of the recording."""
_KEPT_BLOCKS = 30
"""How many blocks of a recording are kept at most: ten minutes, 39 MB."""


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
    """A model that is loaded once and transcribes any number of recordings, several at a time if you like.

    Args:
      config: of the model.
      backend: runs the network; called from threads.
      batch: how many windows the backend is given at once, always as many: the last ones are joined by silence. More
        than one helps where calls are expensive, as they are with servers and GPUs.
      at_once: how many calls of the backend are under way at the same time for a recording, each in a thread of its
        own.
    """

    def __init__(self, config: Config, backend: Backend, *, batch: int = 1, at_once: int = 1):
        for name, value in (("batch", batch), ("at_once", at_once)):
            if value < 1:
                raise ValueError(f"{name} must be 1 or more. Received: {value}")
        self.config = config
        self.grid = FrameGrid(config.spectrogram.sample_rate, config.spectrogram.hop)
        self._infer = backend
        self._batch = batch
        self._at_once = at_once

    @classmethod
    def load(
        cls,
        weights: str | os.PathLike[str] | None = None,
        *,
        window_frames: int | None = None,
        precision: str = AUTO,
    ) -> Transcriber:
        """The model of a weights file; the one in the package if not given.

        Args:
          weights: the file.
          window_frames: how many frames the network sees at once, if not as many as the config says. Fewer mean notes
            sooner in a stream, and somewhat worse ones.
          precision: "float32"; "mixed_bfloat16", which on processors that have it takes three fifths of the time and
            moves probabilities by up to a few hundredths; or "auto" for the faster one here.

        Raises:
          InputError: the file is not a weights file, the windows are too short for their margins, or there is no
            such precision.
        """
        config, model = load_transcriber(weights or shipped_weights(), precision)
        if window_frames is not None:
            config = replace(config, "inference", window_frames=window_frames)
        return cls.from_model(config, model)

    @classmethod
    def from_model(cls, config: Config, model: keras.Model) -> Transcriber:
        """A model that is in memory, in this process.

        Args:
          config: of the model.
          model: from scaled spectrogram to {head: roll}, among others.
        """
        return cls(config, keras_backend(config, model), at_once=CONCURRENT_WINDOWS)

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
        level = None
        blocks: Iterable[Array] = _blocks(audio, sample_rate)
        if self.config.spectrogram.normalizes_loudness:
            # A stroke is loud or soft beside the whole recording, so that is heard once before.
            level, heard = _heard(blocks)
            blocks = _blocks(audio, sample_rate) if heard is None else heard
        return self.transcribe_blocks(blocks, level=level, listener=listener)

    def transcribe_blocks(
        self,
        blocks: Iterable[Array],
        *,
        level: float | None = None,
        listener: Callable[[Frames], None] | None = None,
    ) -> Notes:
        """`transcribe` for a waveform that comes in blocks, float32 [samples] at the model's sample rate.

        Models of scaling "level" want the loudness of the whole (`tfamt.level.loudness`); if it is not given, the
        loudness so far counts, and notes can come out a little different.

        The blocks are made in one thread, the network runs in others, notes are put together in the caller's. What any
        of them raises reaches the caller when all have ended.
        """
        decoder = NoteDecoder(self.config.decoding, self.grid)
        rows: list[Row] = []
        with closing(ahead(self.frames(ahead(blocks), level))) as stretches:
            for frames in stretches:
                rows += decoder.push(frames.rolls)
                if listener:
                    listener(frames)
        return Notes.from_rows(rows + decoder.finish())

    def frames(self, blocks: Iterable[Array], level: float | None = None) -> Iterator[Frames]:
        """The network's output for every frame of a waveform, window by window, without seams.

        Arguments are those of `transcribe_blocks`.
        """
        under_way: deque[Future[list[Frames]]] = deque()
        with (
            closing(blocks) as received,
            ThreadPoolExecutor(self._at_once, "tfamt-network") as pool,
        ):
            for batch in self._batches(received, self.cutter(level)):
                under_way.append(pool.submit(lambda cuts: [*self.run(cuts)], batch))
                # One more than there are threads, so that none of them has to wait for the next window.
                if len(under_way) > self._at_once:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()

    def _batches(self, blocks: Iterable[Array], cutter: WindowCutter) -> Iterator[list[Cut]]:
        waiting: list[Cut] = []
        for cuts in chain((cutter.push(block) for block in blocks), cutter.rest()):
            waiting += cuts
            while len(waiting) >= self._batch:
                yield waiting[: self._batch]
                del waiting[: self._batch]
        if waiting:
            yield waiting

    def cutter(self, level: float | None = None) -> WindowCutter:
        """What cuts one recording, of this loudness if it is known, into windows for `run`."""
        return window_cutter(self.config, level)

    def run(self, cuts: Sequence[Cut]) -> Iterator[Frames]:
        """What the network says about the kept frames of windows, at most a batch of them."""
        waveforms = np.zeros((self._batch, len(cuts[0].waveform)), np.float32)
        for row, cut in enumerate(cuts):
            waveforms[row] = cut.waveform
        outputs = self._infer(waveforms)
        margin = self.config.inference.margin_frames
        for row, cut in enumerate(cuts):
            kept = {
                name: array[row, margin : margin + cut.frames] for name, array in outputs.items()
            }
            spectrogram = kept.pop("spectrogram", None)
            yield Frames(spectrogram, kept, self.grid.seconds(cut.first + cut.frames))


def _blocks(audio: Audio, sample_rate: int | None) -> Iterator[Array]:
    return read_blocks(audio, sample_rate=sample_rate, block_seconds=_BLOCK_SECONDS)


def _heard(blocks: Iterable[Array]) -> tuple[float, list[Array] | None]:
    """The loudness of a recording, and its blocks if they are few enough to be kept: a long one is read once more."""
    level = 0.0
    kept: list[Array] | None = []
    for number, block in enumerate(blocks):
        level = max(level, loudness(block))
        if number == _KEPT_BLOCKS:
            kept = None
        if kept is not None:
            kept.append(block)
    return level, kept


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
