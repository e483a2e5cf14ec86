"""What can run a network: the one thing that transcription asks of it.

A backend takes windows of waveform and gives what the network says about them. `tfamt.transcription` cuts the windows
and decodes the notes, the same for all backends: this process (`BACKENDS`), a server (`tfamt.serving_client`).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tfamt.config import Config
from tfamt.errors import InputError
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


AT_ONCE = 4
"""How many windows of a recording are heard at the same time, where there are cores for them."""


def share_cores(recordings: int = 1) -> None:
    """For so many recordings at a time, each with windows side by side: every call of the network gets its share.

    On one core a call wastes nothing; on all of them its threads wait for each other, and calls do, too. Does nothing
    once TensorFlow has begun to compute, or where the user set TF_NUM_INTRAOP_THREADS.
    """
    if "TF_NUM_INTRAOP_THREADS" in os.environ:
        return
    # TensorFlow takes seconds to load.
    import tensorflow as tf

    share = max((os.cpu_count() or 1) // (recordings * AT_ONCE), 1)
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(share)


def _taking_turns(backend: Backend) -> Backend:
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
    from tfamt.serving_graph import frozen

    frontend = build_frontend(config.spectrogram)
    network = model if in_training else fast_here(model)
    samples = config.window_samples
    together = bool(tf.config.list_physical_devices("GPU"))

    # Nothing here needs autograph, whose reading of the source would take a fifth of the time that this takes.
    @tf.function(
        input_signature=[tf.TensorSpec([None if together else 1, samples], tf.float32)],
        autograph=False,
    )
    def hear(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        spectrogram = frontend(waveform)
        return {"spectrogram": spectrogram, **network(spectrogram, training=False)}

    # oneDNN lays out constant weights as its kernels like them, once; variables it takes as they lie. Without AVX-512
    # its convolutions then take two to three times as long, and so do all of the same shape after them in the process.
    infer = hear if in_training else frozen(hear)
    if not in_training:
        # Compiles what would be compiled with the first window.
        with quiet_native():
            infer(tf.zeros([1, samples]))

    def backend(waveform: Array) -> dict[str, Array]:
        batches = [waveform] if together else np.split(waveform, len(waveform))
        outputs = [infer(tf.constant(batch)) for batch in batches]
        return {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}

    return _taking_turns(backend)


def fast_here(model: keras.Model) -> keras.Model:
    """What `model` does at inference, in less time, for this process only: its recurrence is compiled by XLA."""
    from tfamt.folding import without_norms
    from tfamt.layers.lstm import BidirectionalLSTM

    fast = without_norms(model)
    for layer in fast.layers:
        if isinstance(layer, BidirectionalLSTM):
            layer.compiled = True
    return fast


def openvino_backend(config: Config, model: keras.Model) -> Backend:
    """Runs a model in OpenVINO in this process, one window at a time; args as of `keras_backend`.

    Raises:
      InputError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise InputError(
            "OpenVINO is not installed", fix="Install it: pip install 'tfamt[serving]'"
        ) from error
    from tfamt.serving_graph import save_frozen, waveform_function

    # A free length: OpenVINO 2026.4.1 fails when it runs LSTMs of a fixed one.
    function = waveform_function(config, model, with_spectrogram=True, whole=False)
    core = openvino.Core()
    with tempfile.TemporaryDirectory(prefix="tfamt-") as folder:
        save_frozen(function, folder)
        read = core.read_model(folder)
    settings = {
        # Its default on processors that advertise bfloat16 is to use it.
        "INFERENCE_PRECISION_HINT": "f32",
        # For recordings side by side, instead of all cores for one window.
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    compiled = core.compile_model(read, "CPU", settings)
    names = {*config.model.heads, "spectrogram"}
    ports = {name: port for port in compiled.outputs for name in names & port.names}
    # A request is for one thread at a time; several recordings may be under way.
    requests = threading.local()

    def backend(waveform: Array) -> dict[str, Array]:
        if not hasattr(requests, "own"):
            requests.own = compiled.create_infer_request()
        outputs = [requests.own.infer([row[None]]) for row in waveform]
        return {
            name: np.concatenate([each[port] for each in outputs]) for name, port in ports.items()
        }

    # Threads that are the first to look at arrays of OpenVINO at the same moment wait for each other for ever
    # (2026.4.1: its binding asks for the interpreter's lock while it initialises itself).
    backend(np.zeros([1, config.window_samples], np.float32))
    return _taking_turns(backend)


BACKENDS = {"tensorflow": keras_backend, "openvino": openvino_backend}
"""What runs a model in this process, by the name of --backend."""
