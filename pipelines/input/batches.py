"""Make the batches of a training step: windows as spectrograms and rolls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from pipelines.input.pitch_shift import PitchShift
from pipelines.input.training_windows import Augment, training_batches
from pipelines.preparation.index import StoredRecording
from tfamt.config import Config
from tfamt.network.frontend import build_frontend

if TYPE_CHECKING:
    from tfamt.training.distribution import Share


def training_input(
    config: Config,
    stored: Sequence[StoredRecording],
    *,
    first_step: int = 0,
    augment: Augment | None = None,
    shift: PitchShift | None = None,
    share: Share | None = None,
) -> tf.data.Dataset:
    """Return endless global batches from `first_step` on, or a worker's share of each.

    Returns:
      Elements {"spectrogram": float32 [batch, frames, bins], and float32 [batch, frames, 88] for the piano roll and
      every other head of the model; the onset too where velocity is learnt, since it is weighed by it; "recording"
      int64 [batch], numbers in `stored`}.
    """
    training, heads = config.training, set(config.model.heads)
    frontend = build_frontend(config.spectrogram)
    needed = {"recording"} | heads | {"pianoroll"} | ({"onset"} if "velocity" in heads else set())

    def to_step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        spectrogram = frontend([batch["waveform"], batch["loudness"]])
        return {name: batch[name] for name in needed} | {"spectrogram": spectrogram}

    dataset = training_batches(
        stored,
        num_frames=training.window_frames,
        batch_size=training.batch_size,
        grid=config.spectrogram.grid,
        seed=training.seed,
        first_step=first_step,
        augment=augment,
        shift=shift,
        share=share,
        group=training.recording_windows,
    )
    return dataset.map(to_step, num_parallel_calls=1).prefetch(tf.data.AUTOTUNE)
