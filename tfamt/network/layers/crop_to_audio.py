"""Crop a spectrogram to the frames inside the audio."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("tfamt")
class CropToAudio(keras.layers.Layer):
    """Keep the frames whose centre lies inside the audio: ([batch, frames, bins], [batch, samples])."""

    def __init__(self, hop: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.hop = hop

    def call(self, inputs: list[Any]) -> Any:
        spectrogram, waveform = inputs
        samples = keras.ops.shape(waveform)[1]
        # The dividend must not be negative, since ONNX rounds towards zero.
        return spectrogram[:, : (samples + self.hop - 1) // self.hop]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hop": self.hop}
