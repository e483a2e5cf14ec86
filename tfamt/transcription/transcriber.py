"""Transcribe recordings in windows, in memory that does not grow with their length."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfamt import network, transcription
from tfamt.audio.loudness import LOUDNESS_BLOCK, LoudnessMeter
from tfamt.audio.reading import SAMPLE_RATE, Audio, read_blocks
from tfamt.config import Config, replace
from tfamt.errors import IncompleteError, InputError
from tfamt.notes.table import Notes, Row
from tfamt.transcription.loaded_models import LoadedModels
from tfamt.transcription.note_decoder import NoteDecoder
from tfamt.transcription.prefetch import closing, prefetch
from tfamt.transcription.windows import Window, WindowCutter, window_cutter
from tfamt.utils.forks import exclusive_loading

if TYPE_CHECKING:
    import keras

    from tfamt.transcription.backends import Backend

Array = NDArray[np.float32]

_BLOCK_SECONDS = 80 * LOUDNESS_BLOCK / SAMPLE_RATE
"""A whole number of loudness blocks, as `LoudnessMeter` takes them."""
_CACHED_BLOCKS = 30
"""Blocks of a recording that are kept in memory at most: ten minutes, 39 MB."""
_LOADED_MODELS = 4
"""Models of `transcribe` that stay loaded."""


@dataclass(frozen=True)
class ModelOutput:
    """The network's output for consecutive frames of a recording.

    Attributes:
      spectrogram: float32 [frames, bins], the scaled input; None if the backend does not return it.
      rolls: float32 [frames, 88] by head.
      seconds: position in the recording after the last of these frames.
    """

    spectrogram: Array | None
    rolls: dict[str, Array]
    seconds: float


class Transcriber:
    """A loaded model that transcribes any number of recordings, several at a time if desired.

    Args:
      config: of the model.
      backend: runs the network; called from threads.
      batch: windows per call of the backend, always as many: silence fills the last batch. More than one helps where
        calls are expensive, as with servers and GPUs.
      concurrent_windows: calls of the backend at the same time for one recording, each in its own thread.
    """

    def __init__(
        self, config: Config, backend: Backend, *, batch: int = 1, concurrent_windows: int = 1
    ):
        for name, value in (("batch", batch), ("concurrent_windows", concurrent_windows)):
            if value < 1:
                raise ValueError(f"{name} must be 1 or more. Received: {value}")
        self.config = config
        self.grid = config.spectrogram.grid
        self._backend = backend
        self._name = f"the model {config.name!r}"
        self._batch = batch
        self._concurrent_windows = concurrent_windows

    @classmethod
    @exclusive_loading()
    def load(
        cls,
        weights: str | os.PathLike[str] | None = None,
        *,
        window_frames: int | None = None,
        precision: str = "auto",
    ) -> Transcriber:
        """Load the model of a weights file; default: the one in the package.

        Args:
          weights: the file.
          window_frames: frames per window, instead of the number in the config. Fewer give notes sooner in a stream,
            and somewhat worse ones.
          precision: "float32"; "mixed_bfloat16", which takes three fifths of the time on processors that have it and
            moves probabilities by up to a few hundredths; or "auto" for the faster one on this machine.

        Raises:
          InputError: the file is not a weights file, the windows are too short for their margins, or the precision is
            unknown.
          ForkedProcessError: TensorFlow was running in the parent of this forked process.
        """
        path = weights or network.shipped_weights()
        config, model = network.load_transcriber(path, precision)
        if window_frames is not None:
            config = replace(config, "inference", window_frames=window_frames)
        transcriber = cls.from_model(config, model)
        transcriber._name = os.fspath(path)
        return transcriber

    @classmethod
    def from_model(cls, config: Config, model: keras.Model) -> Transcriber:
        """Return a transcriber that runs a model in this process.

        Args:
          config: of the model.
          model: from scaled spectrogram to {head: roll}, among others.
        """
        backend = transcription.keras_backend(config, model)
        return cls(config, backend, concurrent_windows=transcription.CONCURRENT_WINDOWS)

    def __reduce__(self) -> Any:
        raise TypeError(
            "A Transcriber cannot be pickled. Pass the path of its weights to workers started by "
            'multiprocessing.get_context("spawn"), and make one in each by Transcriber.load, or call tfamt.transcribe '
            "there with weights=, which keeps the model loaded."
        )

    def transcribe(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        listener: Callable[[ModelOutput], None] | None = None,
        faults: list[IncompleteError] | None = None,
    ) -> Notes:
        """Return the notes of a recording.

        Args:
          audio: a file, its bytes, an open file, or samples (`tfamt.audio.reading.Audio`).
          sample_rate: Hz; needed with samples only.
          listener: called with the output of each window, in order: for progress and pictures.
          faults: where given, a recording that breaks off is transcribed up to there, and the reason is appended
            instead of raised.

        Raises:
          InputError: the audio cannot be used.
          IncompleteError: the recording breaks off.
        """
        measured: float | None = None
        blocks: Iterable[Array] = _blocks(audio, sample_rate, faults)
        if self.config.spectrogram.normalizes_loudness:
            # Velocity is relative to the loudness of the recording, so measure that in a first pass.
            measured, cached = _measure_loudness(blocks)
            again = None if faults is None else list[IncompleteError]()
            blocks = _blocks(audio, sample_rate, again) if cached is None else cached
        return self.transcribe_blocks(blocks, loudness=measured, listener=listener)

    def transcribe_blocks(
        self,
        blocks: Iterable[Array],
        *,
        loudness: float | None = None,
        listener: Callable[[ModelOutput], None] | None = None,
    ) -> Notes:
        """Return the notes of a waveform that comes in blocks, float32 [samples] at the model's sample rate.

        One thread makes the blocks, others run the network, and the caller's thread decodes notes. An exception in any
        of them reaches the caller after all have ended.

        Args:
          blocks: the waveform.
          loudness: of the whole recording (`tfamt.audio.loudness.loudness`), for models that normalize it; None for the
            loudness so far, with which notes can differ a little.
          listener: as in `transcribe`.
        """
        decoder = NoteDecoder(self.config.decoding, self.grid)
        rows: list[Row] = []
        with closing(prefetch(self.model_outputs(prefetch(blocks), loudness))) as outputs:
            for output in outputs:
                rows += decoder.push(output.rolls)
                if listener:
                    listener(output)
        return Notes.from_rows(rows + decoder.finish())

    def model_outputs(
        self, blocks: Iterable[Array], loudness: float | None = None
    ) -> Iterator[ModelOutput]:
        """Yield the network's output for every frame of a waveform, window by window, without seams.

        Args are those of `transcribe_blocks`.
        """
        pending: deque[Future[list[ModelOutput]]] = deque()
        with (
            closing(blocks) as received,
            ThreadPoolExecutor(self._concurrent_windows, "tfamt-network") as pool,
        ):
            for batch in self._batches(received, self.cutter(loudness)):
                pending.append(pool.submit(lambda windows: [*self.run_model(windows)], batch))
                # One more than there are threads, so that no thread waits for the next window.
                if len(pending) > self._concurrent_windows:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()

    def _batches(self, blocks: Iterable[Array], cutter: WindowCutter) -> Iterator[list[Window]]:
        waiting: list[Window] = []
        for windows in chain((cutter.push(block) for block in blocks), cutter.flush()):
            waiting += windows
            while len(waiting) >= self._batch:
                yield waiting[: self._batch]
                del waiting[: self._batch]
        if waiting:
            yield waiting

    def cutter(self, loudness: float | None = None) -> WindowCutter:
        """Return the cutter of one recording into windows for `run_model`."""
        return window_cutter(self.config, loudness)

    def run_model(self, windows: Sequence[Window]) -> Iterator[ModelOutput]:
        """Yield the network's output for the kept frames of windows, at most a batch of them.

        Raises:
          InputError: the output holds values that are not finite numbers.
        """
        waveforms = np.zeros((self._batch, len(windows[0].waveform)), np.float32)
        levels = np.ones(self._batch, np.float32)
        for row, window in enumerate(windows):
            waveforms[row] = window.waveform
            levels[row] = window.loudness
        outputs = self._backend(waveforms, levels)
        self._check_finite(outputs, windows[0])
        margin = self.config.inference.margin_frames
        for row, window in enumerate(windows):
            kept = {
                name: array[row, margin : margin + window.frames] for name, array in outputs.items()
            }
            spectrogram = kept.pop("spectrogram", None)
            yield ModelOutput(spectrogram, kept, self.grid.seconds(window.first + window.frames))

    def _check_finite(self, outputs: Mapping[str, Array], window: Window) -> None:
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise InputError(
                    f"{self._name} gives values that are not finite numbers, first in its output {name!r} from "
                    f"{self.grid.seconds(window.first):.2f} s on",
                    fix="Take other weights: these are damaged, or their training has diverged.",
                )


def _blocks(
    audio: Audio, sample_rate: int | None, faults: list[IncompleteError] | None
) -> Iterator[Array]:
    return read_blocks(audio, sample_rate=sample_rate, block_seconds=_BLOCK_SECONDS, faults=faults)


def _measure_loudness(blocks: Iterable[Array]) -> tuple[float, list[Array] | None]:
    """Return the loudness of a recording, and its blocks, or None if they are too many to keep."""
    meter = LoudnessMeter()
    cached: list[Array] | None = []
    for number, block in enumerate(blocks):
        meter.push(block)
        if number == _CACHED_BLOCKS:
            cached = None
        if cached is not None:
            cached.append(block)
    return meter.loudness, cached


_loaded = LoadedModels(Transcriber.load, _LOADED_MODELS)


def transcribe(
    audio: Audio,
    *,
    sample_rate: int | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Notes:
    """Return the notes of a recording, with the defaults of `bin/transcribe`.

    The model stays loaded for later calls, from any thread; up to four models of different files do.

    Args:
      audio: a file, its bytes, an open file, or samples: [samples], [samples, channels] or [channels, samples].
      sample_rate: Hz; needed with samples only.
      weights: a weights file; default: the model in the package.

    Raises:
      InputError: the audio or the weights cannot be used.
      ForkedProcessError: TensorFlow was running in the parent of this forked process.
    """
    transcriber = _loaded.get(network.resolve_weights(weights or network.shipped_weights()))
    return transcriber.transcribe(audio, sample_rate=sample_rate)
