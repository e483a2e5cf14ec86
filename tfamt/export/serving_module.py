"""The graph that an exported model consists of: signatures from sound to rolls, made of TensorFlow's own operations.

Variables become constants, so that nothing has to be restored: runtimes that read a SavedModel without TensorFlow find
the weights in the graph itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfamt.audio_files import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from tfamt.config import Config
from tfamt.folding import fold_batch_norm
from tfamt.frames import FrameGrid
from tfamt.level import QUIETEST, STRETCH, TARGET
from tfamt.loggers import quiet, quiet_native
from tfamt.model import build_frontend

if TYPE_CHECKING:
    import keras

Outputs: TypeAlias = dict[str, tf.Tensor]
Network: TypeAlias = Callable[[tf.Tensor], Outputs]

FRAME_TIMES = "frame_times"
"""Output of every signature: seconds at each frame's centre, from the first sample; [batch, frames]."""
WINDOWS = "windows"
"""Signature of models of scaling "level": what `serving_default` is, for windows of a recording that has its level."""
NUM_FRAMES = "num_frames"
"""Output of `from_wav_bytes`: how many of the frames each file has; int64 [batch]."""


class ServingModule(tf.Module):
    """What a SavedModel of tfamt holds.

    Args:
      config: of the model.
      joint: the joint model (`tfamt.model.build_model`) with its weights.
    """

    def __init__(self, config: Config, joint: keras.Model):
        super().__init__(name="tfamt")
        rate = config.spectrogram.sample_rate
        transcriber = fold_batch_norm(joint.get_layer("transcriber"))
        transcribe = freeze(waveform_function(config, transcriber))
        waveform = tf.TensorSpec([None, None], tf.float32, "waveform")
        strings = tf.TensorSpec([None], tf.string)
        config_text = config.to_json()

        @tf.function(input_signature=[waveform])
        def serving_default(waveform: tf.Tensor) -> Outputs:
            return transcribe(waveform)

        @tf.function(input_signature=[strings])
        def from_wav_bytes(content: tf.Tensor) -> Outputs:
            return _each(lambda file: transcribe(decode_wav(file, rate)[None]), content)

        @tf.function(input_signature=[strings])
        def describe(request: tf.Tensor) -> Outputs:
            return {"config": tf.fill(tf.shape(request), config_text)}

        self.functions = {
            "serving_default": serving_default,
            "from_wav_bytes": from_wav_bytes,
            "config": describe,
        }
        if config.spectrogram.normalizes_loudness:
            hear_window = freeze(waveform_function(config, transcriber, whole=False))

            @tf.function(input_signature=[waveform])
            def windows(waveform: tf.Tensor) -> Outputs:
                return hear_window(waveform)

            self.functions[WINDOWS] = windows
        if config.model.reconstruction:
            both = freeze(waveform_function(config, joint, with_spectrogram=True))

            @tf.function(input_signature=[waveform])
            def reconstruct(waveform: tf.Tensor) -> Outputs:
                return both(waveform)

            self.functions["reconstruct"] = reconstruct


def waveform_function(
    config: Config,
    network: keras.Model,
    *,
    fourier: str = "fft",
    shape: tuple[int | None, int | None] = (None, None),
    with_spectrogram: bool = False,
    whole: bool = True,
) -> Any:
    """A tf.function from waveform [batch, samples] to the outputs of a network, and the times of its frames.

    Args:
      config: of the model.
      network: from scaled spectrogram to a dict of outputs.
      fourier: see `tfamt.model.build_frontend`.
      shape: of the waveform; None where it is free.
      with_spectrogram: whether the scaled spectrogram is an output too.
      whole: whether waveforms are recordings, to be brought to one loudness where the model wants that (`tfamt.level`),
        and not windows of recordings for which that has been done.
    """
    frontend = build_frontend(config.spectrogram, fourier=fourier)
    grid = FrameGrid(config.spectrogram.sample_rate, config.spectrogram.hop)

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, "waveform")])
    def run(waveform: tf.Tensor) -> Outputs:
        if whole and config.spectrogram.normalizes_loudness:
            waveform = levelled(waveform)
        spectrogram = frontend(waveform)
        outputs = dict(network(spectrogram, training=False))
        if with_spectrogram:
            outputs["spectrogram"] = spectrogram
        size = tf.shape(spectrogram)[:2]
        frames = tf.range(size[1], dtype=tf.int32)
        times = tf.cast(frames, tf.float32) * (grid.hop / grid.sample_rate)
        # One row for each recording: servers cut outputs along the batch.
        outputs[FRAME_TIMES] = tf.broadcast_to(times, size)
        return outputs

    return run


def freeze(function: Any) -> Network:
    """A tf.function of one argument that returns a dict, with its variables as constants."""
    concrete = function.get_concrete_function()
    names = sorted(concrete.structured_outputs)
    # Native code tells how many GPUs the optimisation is for.
    with quiet_native():
        # Loops stay whole: OpenVINO cannot read a SavedModel whose loops are lowered.
        constant = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    return lambda waveform: dict(zip(names, constant(waveform), strict=True))


def save_frozen_graph(function: Any, folder: str) -> None:
    """A tf.function as a SavedModel with its variables as constants, for other runtimes to read."""
    constant = tf.function(freeze(function), input_signature=function.input_signature)
    module = tf.Module()
    module.function = constant
    with quiet():
        tf.saved_model.save(module, folder, signatures=constant)


def decode_wav(content: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """The content of a 16-bit wav file as mono samples at `sample_rate`: float32 [samples]."""
    samples, rate = tf.audio.decode_wav(content)
    known = tf.logical_and(rate >= MIN_SAMPLE_RATE, rate <= MAX_SAMPLE_RATE)
    with tf.control_dependencies([tf.debugging.Assert(known, ["no usable sample rate:", rate])]):
        mono = tf.reduce_mean(samples, axis=1)
    waveform = tf.cond(
        tf.equal(rate, sample_rate), lambda: mono, lambda: resample(mono, rate, sample_rate)
    )
    with tf.control_dependencies([tf.debugging.Assert(tf.size(waveform) > 0, ["no samples"])]):
        return tf.identity(waveform)


def levelled(waveform: tf.Tensor) -> tf.Tensor:
    """`tfamt.level.levelled` in TensorFlow ops that other runtimes know."""
    batch, samples = tf.unstack(tf.shape(waveform))
    # A whole number of stretches, one at least: what is left at the end counts as one.
    padded = tf.pad(waveform, [[0, 0], [0, STRETCH - samples % STRETCH]])
    stretches = tf.reshape(padded, [batch, samples // STRETCH + 1, STRETCH])
    level = tf.sqrt(tf.reduce_max(tf.reduce_mean(stretches**2, axis=2), axis=1, keepdims=True))
    return waveform * (TARGET / tf.maximum(level, QUIETEST))


def resample(waveform: tf.Tensor, rate: tf.Tensor, target: int) -> tf.Tensor:
    """Band-limited resampling by cutting, or lengthening, the spectrum of the whole recording: float32 [samples].

    Whole seconds are transformed, so that the ratio of the rates is exact and times do not drift.
    """
    samples = tf.size(waveform)
    # A second of silence at least keeps the end from running into the beginning.
    seconds = samples // rate + 2
    padded = tf.pad(waveform, [[0, seconds * rate - samples]])
    spectrum = tf.signal.rfft(padded)
    bins = seconds * target // 2 + 1
    kept = spectrum[:bins]
    kept = tf.pad(kept, [[0, bins - tf.size(kept)]])
    scale = target / tf.cast(rate, tf.float32)
    resampled = tf.signal.irfft(kept, [seconds * target]) * tf.cast(scale, tf.float32)
    length = tf.cast(samples, tf.int64) * (2 * target) + tf.cast(rate, tf.int64)
    return resampled[: length // (2 * tf.cast(rate, tf.int64))]


def _each(function: Network, contents: tf.Tensor) -> Outputs:
    """`function`'s outputs for each content by itself, [1, frames, ...], padded with zeros to one batch."""
    # The names and shapes of the outputs, without running anything.
    example = tf.function(function).get_concrete_function(tf.TensorSpec([], tf.string))
    specs = {
        name: tf.RaggedTensorSpec(output.shape[1:], output.dtype, ragged_rank=0)
        for name, output in example.structured_outputs.items()
    }
    ragged = tf.map_fn(
        lambda content: {name: output[0] for name, output in function(content).items()},
        contents,
        fn_output_signature=specs,
        parallel_iterations=1,
    )
    outputs = {name: rows.to_tensor() for name, rows in ragged.items()}
    outputs[NUM_FRAMES] = ragged[FRAME_TIMES].row_lengths()
    return outputs
