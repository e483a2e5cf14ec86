"""What can run a network: the one thing that transcription asks of it.

A backend takes windows of waveform and gives what the network says about them. `tfamt.transcription` cuts the windows
and decodes the notes, the same for all backends: this process (`keras_backend`), a server (`tfamt.serving_client`).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tfamt.config import Config
from tfamt.loggers import quiet_native

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Array = NDArray[np.float32]
Backend: TypeAlias = Callable[[Array], dict[str, Array]]
"""Windows, float32 [batch, samples] at the model's rate -> what belongs to their frames, float32 [batch, frames, ...].

By name: every head of the model ([..., 88], probabilities), and "spectrogram" ([..., bins], the scaled input) if the
backend can tell.
"""


CONCURRENT_WINDOWS = 4
"""Windows of one recording that run at the same time, where the cores allow it."""


def share_cores(recordings: int = 1) -> None:
    """For so many recordings at a time, each with windows side by side: every call of the network gets its share.

    On one core a call wastes nothing; on all of them its threads wait for each other, and calls do, too. Does nothing
    once TensorFlow has begun to compute, or where the user set TF_NUM_INTRAOP_THREADS.
    """
    if "TF_NUM_INTRAOP_THREADS" in os.environ:
        return
    # TensorFlow takes seconds to load.
    import tensorflow as tf

    share = max((os.cpu_count() or 1) // (recordings * CONCURRENT_WINDOWS), 1)
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(share)


def _limit_concurrency(backend: Backend) -> Backend:
    """The same, for any number of threads: as many as there are cores are in it, the others wait without memory."""
    places = threading.BoundedSemaphore(os.cpu_count() or 1)

    def called(waveform: Array) -> dict[str, Array]:
        with places:
            return backend(waveform)

    return called


def keras_backend(config: Config, model: keras.Model, *, in_training: bool = False) -> Backend:
    """Runs a model in this process, on a CPU one window at a time.

    There, a batch is no faster, and its size would change the last bits of what comes out: convolutions are computed in
    another order.

    Args:
      config: of the model.
      model: U-net 1 with its heads: spectrogram -> {head: roll}.
      in_training: the backend follows later changes of the model's weights; otherwise it keeps those of now, which is
        faster.
    """
    import tensorflow as tf

    from tfamt.model import build_frontend
    from tfamt.serving_graph import freeze

    frontend = build_frontend(config.spectrogram)
    network = model if in_training else optimize_for_inference(model)
    samples = config.window_samples
    together = bool(tf.config.list_physical_devices("GPU"))

    # Nothing here needs autograph, whose reading of the source would take a fifth of the time that this takes.
    @tf.function(
        input_signature=[tf.TensorSpec([None if together else 1, samples], tf.float32)],
        autograph=False,
    )
    def run_model(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        spectrogram = frontend(waveform)
        return {"spectrogram": spectrogram, **network(spectrogram, training=False)}

    # oneDNN lays out constant weights as its kernels like them, once; variables it takes as they lie. Without AVX-512
    # its convolutions then take two to three times as long, and so do all of the same shape after them in the process.
    infer = run_model if in_training else freeze(run_model)
    if not in_training:
        # Compiles what would be compiled with the first window.
        with quiet_native():
            infer(tf.zeros([1, samples]))

    def backend(waveform: Array) -> dict[str, Array]:
        batches = [waveform] if together else np.split(waveform, len(waveform))
        outputs = [infer(tf.constant(batch)) for batch in batches]
        return {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}

    return _limit_concurrency(backend)


def optimize_for_inference(model: keras.Model) -> keras.Model:
    """What `model` does at inference, in less time, for this process only: its recurrence is compiled by XLA."""
    from tfamt.folding import fold_batch_norm
    from tfamt.layers.lstm import BidirectionalLSTM

    fast = fold_batch_norm(model)
    for layer in fast.layers:
        if isinstance(layer, BidirectionalLSTM):
            layer.compiled = True
    return fast
