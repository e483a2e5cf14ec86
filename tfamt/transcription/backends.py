"""Run a network on windows of waveform.

`tfamt.transcription.transcriber` cuts the windows and decodes the notes, the same for all backends: this process
(`keras_backend`) and a server (`tfamt.serving.client`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfamt.config import Config
from tfamt.network.fold_batch_norm import fold_batch_norm
from tfamt.network.frontend import build_frontend
from tfamt.network.frozen_graph import freeze
from tfamt.network.layers.bidirectional_lstm import BidirectionalLSTM
from tfamt.utils.forks import check_not_forked, exclusive_loading
from tfamt.utils.quiet_logs import quiet_native

Array = NDArray[np.float32]
Backend: TypeAlias = Callable[[Array, Array], dict[str, Array]]
"""(windows float32 [batch, samples], loudness of their recordings float32 [batch]) -> float32 [batch, frames, ...].

By name: every head of the model ([..., 88], probabilities), and "spectrogram" ([..., bins], the scaled input) where the
backend returns it.
"""


@exclusive_loading()
def keras_backend(config: Config, model: keras.Model, *, in_training: bool = False) -> Backend:
    """Return a backend that runs a model in this process, on a CPU one window at a time.

    On a CPU a batch is no faster, and its size would change the last bits of the outputs, since convolutions are then
    computed in another order.

    Args:
      config: of the model.
      model: U-net 1 with its heads: spectrogram -> {head: roll}.
      in_training: whether the backend follows later changes of the model's weights; otherwise it keeps the present
        ones, which is faster.

    Raises:
      ForkedProcessError: TensorFlow was running in the parent of this forked process; calls of the backend raise it
        too.
    """
    frontend = build_frontend(config.spectrogram)
    network = model if in_training else optimize_for_inference(model)
    samples = config.window_samples
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    batch = None if has_gpu else 1

    # Without autograph, whose reading of the source would take a fifth of the start.
    @tf.function(
        input_signature=[
            tf.TensorSpec([batch, samples], tf.float32),
            tf.TensorSpec([batch], tf.float32),
        ],
        autograph=False,
    )
    def run_model(waveform: tf.Tensor, loudness: tf.Tensor) -> dict[str, tf.Tensor]:
        spectrogram = frontend([waveform, loudness])
        return {"spectrogram": spectrogram, **network(spectrogram, training=False)}

    # oneDNN lays out constant weights once, as its kernels need them. Without AVX-512 its convolutions take two to
    # three times as long on variables, and so do all later ones of the same shape in the process.
    infer = run_model if in_training else freeze(run_model)
    if not in_training:
        # Compile before the first window arrives.
        with quiet_native():
            infer(tf.zeros([1, samples]), tf.ones([1]))

    def backend(waveform: Array, loudness: Array) -> dict[str, Array]:
        count = 1 if has_gpu else len(waveform)
        parts = zip(np.split(waveform, count), np.split(loudness, count), strict=True)
        outputs = [infer(tf.constant(windows), tf.constant(levels)) for windows, levels in parts]
        return {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}

    return _limit_concurrency(backend)


def optimize_for_inference(model: keras.Model) -> keras.Model:
    """Return a faster model with the outputs of `model` at inference, for this process only.

    Batch normalisation is folded into convolutions, and XLA compiles the recurrence.
    """
    optimized = fold_batch_norm(model)
    for layer in optimized.layers:
        if isinstance(layer, BidirectionalLSTM):
            layer.compiled = True
    return optimized


def _limit_concurrency(backend: Backend) -> Backend:
    """Return a backend for any number of threads, of which as many run at a time as there are cores."""
    places = threading.BoundedSemaphore(os.cpu_count() or 1)

    def limited(waveform: Array, loudness: Array) -> dict[str, Array]:
        # Before the semaphore, whose places threads of the parent may have taken.
        check_not_forked()
        with places:
            return backend(waveform, loudness)

    return limited
