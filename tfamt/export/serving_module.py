"""Build the graph of an exported model: signatures from sound to rolls, made of TensorFlow's own operations.

Variables become constants, so that nothing has to be restored: runtimes that read a SavedModel without TensorFlow find
the weights in the graph itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfamt.audio.files import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from tfamt.config import Config
from tfamt.network.fold_batch_norm import fold_batch_norm
from tfamt.network.frontend import build_frontend, build_recording_frontend
from tfamt.network.frozen_graph import Network, Outputs, freeze

if TYPE_CHECKING:
    import keras

FRAME_TIMES = "frame_times"
"""Output of every signature: seconds at each frame's centre, from the first sample; [batch, frames]."""
WINDOWS = "windows"
"""Signature of models that normalize loudness: `serving_default` for windows of a recording of known loudness."""
NUM_FRAMES = "num_frames"
"""Output of `from_wav_bytes`: how many of the frames each file has; int64 [batch]."""


class ServingModule(tf.Module):
    """What a SavedModel of tfamt holds.

    Args:
      config: of the model.
      joint: the joint model (`tfamt.network.model.build_model`) with its weights.
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
            run_windows = freeze(window_function(config, transcriber))
            loudness = tf.TensorSpec([None], tf.float32, "loudness")

            @tf.function(input_signature=[waveform, loudness])
            def windows(waveform: tf.Tensor, loudness: tf.Tensor) -> Outputs:
                return run_windows(waveform, loudness)

            self.functions[WINDOWS] = windows
        if config.model.reconstruction:
            both = freeze(waveform_function(config, joint, with_spectrogram=True))

            @tf.function(input_signature=[waveform])
            def reconstruct(waveform: tf.Tensor) -> Outputs:
                return both(waveform)

            self.functions["reconstruct"] = reconstruct


def waveform_function(
    config: Config, network: keras.Model, *, fourier: str = "fft", with_spectrogram: bool = False
) -> Any:
    """Return a tf.function from recordings [batch, samples] to a network's outputs and the times of its frames.

    Args:
      config: of the model.
      network: from scaled spectrogram to a dict of outputs.
      fourier: see `tfamt.network.frontend.build_frontend`.
      with_spectrogram: whether the scaled spectrogram is an output too.
    """
    frontend = build_recording_frontend(config.spectrogram, fourier=fourier)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "waveform")])
    def run(waveform: tf.Tensor) -> Outputs:
        spectrogram = frontend(waveform)
        outputs = dict(network(spectrogram, training=False))
        if with_spectrogram:
            outputs["spectrogram"] = spectrogram
        return outputs | {FRAME_TIMES: _frame_times(spectrogram, config)}

    return run


def window_function(config: Config, network: keras.Model) -> Any:
    """Return a tf.function from windows [batch, samples] and the loudness of their recordings [batch] to outputs."""
    frontend = build_frontend(config.spectrogram)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, "waveform"),
            tf.TensorSpec([None], tf.float32, "loudness"),
        ]
    )
    def run(waveform: tf.Tensor, loudness: tf.Tensor) -> Outputs:
        spectrogram = frontend([waveform, loudness])
        outputs = dict(network(spectrogram, training=False))
        return outputs | {FRAME_TIMES: _frame_times(spectrogram, config)}

    return run


def _frame_times(spectrogram: tf.Tensor, config: Config) -> tf.Tensor:
    """Return seconds at each frame's centre, [batch, frames]: a row for each recording, since servers split batches."""
    grid = config.spectrogram.grid
    size = tf.shape(spectrogram)[:2]
    frames = tf.range(size[1], dtype=tf.int32)
    return tf.broadcast_to(tf.cast(frames, tf.float32) * (grid.hop / grid.sample_rate), size)


def decode_wav(content: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """Decode the content of a 16-bit wav file to mono samples at `sample_rate`: float32 [samples]."""
    samples, rate = tf.audio.decode_wav(content)
    known = tf.logical_and(rate >= MIN_SAMPLE_RATE, rate <= MAX_SAMPLE_RATE)
    with tf.control_dependencies([tf.debugging.Assert(known, ["no usable sample rate:", rate])]):
        mono = tf.reduce_mean(samples, axis=1)
    waveform = tf.cond(
        tf.equal(rate, sample_rate), lambda: mono, lambda: resample(mono, rate, sample_rate)
    )
    with tf.control_dependencies([tf.debugging.Assert(tf.size(waveform) > 0, ["no samples"])]):
        return tf.identity(waveform)


def resample(waveform: tf.Tensor, rate: tf.Tensor, target: int) -> tf.Tensor:
    """Resample by cutting, or extending, the spectrum of the whole recording: float32 [samples].

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
    """Return `function`'s outputs for each content by itself, [1, frames, ...], padded with zeros to one batch."""
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
