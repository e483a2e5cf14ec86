"""Transcribe recordings in one call of the network instead of in windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfamt.config import Config
from tfamt.network.frontend import build_recording_frontend
from tfamt.transcription.backends import Array
from tfamt.transcription.transcriber import ModelOutput, Transcriber

if TYPE_CHECKING:
    import keras


class WholeRecordings(Transcriber):
    """Scales a recording as one and transcribes it in one call, as the paper's authors do at test.

    Memory grows with the recording. For comparisons only (docs/deviations.md).

    Args:
      config: of the model.
      model: spectrogram [1, frames, bins] -> {output: [1, frames, ...]}.
    """

    def __init__(self, config: Config, model: keras.Model):

        frontend = build_recording_frontend(config.spectrogram)

        # Of any length, so that it is traced once.
        @tf.function(input_signature=[tf.TensorSpec([1, None], tf.float32)], autograph=False)
        def infer(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs: dict[str, tf.Tensor] = model(frontend(waveform), training=False)
            return outputs

        def backend(waveform: Array, loudness: Array) -> dict[str, Array]:
            return {name: output.numpy() for name, output in infer(waveform).items()}

        super().__init__(config, backend)

    def model_outputs(
        self, blocks: Iterable[Array], loudness: float | None = None
    ) -> Iterator[ModelOutput]:
        """Yield all frames at the same time; the loudness is measured again."""
        waveform = np.concatenate([*blocks])[None]
        rolls = {
            name: output[0]
            for name, output in self._backend(waveform, np.ones(1, np.float32)).items()
        }
        seconds = self.grid.seconds(len(rolls["pianoroll"]))
        yield ModelOutput(None, rolls, seconds)
