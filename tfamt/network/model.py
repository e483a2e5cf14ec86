"""Build the networks: spectrogram to rolls (transcriber), rolls to spectrogram (reconstructor), and both as one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfamt.config import Config, ModelConfig, SpectrogramConfig
from tfamt.network.blocks import LEAK
from tfamt.network.frontend import FULL_PRECISION
from tfamt.network.initializers import torch_uniform
from tfamt.network.layers.bidirectional_lstm import BidirectionalLSTM
from tfamt.network.layers.mel_spectrogram import mel_positions
from tfamt.network.refinement import key_features, partial_levels, refine_logits
from tfamt.network.unet import unet
from tfamt.notes.table import LOWEST_PITCH, NUM_PITCHES, midi_to_hz
from tfamt.utils.forks import check_not_forked

FEATURE_MAP = "feature_map"
"""Name of the layer, in transcriber and reconstructor, that puts out the U-net's feature map."""


CONTEXT = "context"
"""Name of the layer that looks along time."""

INPUT = "_input"
"""Ends the name of the first half of its factorised input kernel."""

_RARE = keras.initializers.Constant(-4.0)
"""First bias of the heads, as a logit: most keys are silent most of the time.

From a bias of 0 the first steps drive all that feeds the heads towards silence, and a recurrent network takes long to
come back from there. (A prior in the bias: Lin et al., "Focal Loss for Dense Object Detection", 2017, section 3.3.)
"""


def build_model(config: Config) -> keras.Model:
    """Build the joint model of Cheuk et al. (ICPR 2020), figure 1, as `config.model` changes it.

    Input: a scaled spectrogram [batch, frames, bins] (see `build_frontend`), any number of frames.

    Outputs, by name, each [batch, frames, 88] with values 0..1: the heads of `config.model.heads` ("pianoroll",
    "onset", "offset", "velocity"); with reconstruction also "reconstruction" [batch, frames, bins] and, with a
    second pass, "pianoroll_second_pass" [batch, frames, 88].

    The submodels are layers named "transcriber" and "reconstructor".

    Raises:
      ForkedProcessError: TensorFlow was running in the parent of this forked process.
    """
    check_not_forked()
    bins, settings = config.spectrogram.bins, config.model
    spectrogram = keras.Input((None, bins), name="spectrogram")
    transcriber = build_transcriber(settings, config.spectrogram)
    outputs = dict(transcriber(spectrogram))
    if settings.reconstruction:
        reconstructor = build_reconstructor(settings, bins)
        outputs["reconstruction"] = reconstructor({"pianoroll": outputs["pianoroll"]})
    if settings.second_pass:
        second = transcriber(outputs["reconstruction"])
        outputs["pianoroll_second_pass"] = second["pianoroll"]
    return keras.Model(spectrogram, outputs, name=config.name)


def build_transcriber(config: ModelConfig, front: SpectrogramConfig) -> keras.Model:
    """Build U-net 1 and its heads: [batch, frames, bins] -> {head: [batch, frames, 88]}."""
    spectrogram = keras.Input((None, front.bins), name="spectrogram")
    x = keras.layers.Reshape((-1, front.bins, 1), name="to_image")(spectrogram)
    x = unet(x, config.channels, config.feature_maps, "unet1", config.top_skip, config.conv_ranks)
    if config.feature_activation == "sigmoid":
        x = keras.layers.Activation("sigmoid", name=FEATURE_MAP)(x)
    else:
        x = keras.layers.LeakyReLU(negative_slope=LEAK, name=FEATURE_MAP)(x)
    x = keras.layers.Reshape((-1, x.shape[2] * x.shape[3]), name="to_sequence")(x)
    if config.context_rank:
        x = keras.layers.Dense(
            config.context_rank,
            use_bias=False,
            kernel_initializer=torch_uniform(),
            name=f"{CONTEXT}{INPUT}",
        )(x)
    x = _temporal_context(x, config, config.context_units, config.recurrent_rank)
    logits = {
        head: keras.layers.Dense(
            NUM_PITCHES,
            kernel_initializer=torch_uniform(),
            bias_initializer=_RARE,
            dtype=FULL_PRECISION,
            name=head,
        )(x)
        for head in config.heads
    }
    if config.refinement:
        positions = _partial_positions(front, config.refinement_partials)
        seen = [
            *partial_levels(spectrogram, positions),
            *key_features(x, config.refinement_features),
        ]
        logits = refine_logits(logits, config.refinement, FULL_PRECISION, seen)
    outputs = {
        head: keras.layers.Activation("sigmoid", dtype=FULL_PRECISION, name=f"{head}_sigmoid")(x)
        for head, x in logits.items()
    }
    return keras.Model(spectrogram, outputs, name="transcriber")


def _partial_positions(front: SpectrogramConfig, partials: int) -> NDArray[np.float64]:
    """Return the positions of the first partials of every key between the bins of the spectrogram, [partials, 88]."""
    fundamentals = midi_to_hz(np.arange(LOWEST_PITCH, LOWEST_PITCH + NUM_PITCHES))
    hz = np.arange(1, partials + 1)[:, None] * fundamentals
    if front.kind == "cqt":
        return np.asarray(front.bins_per_octave * np.log2(hz / front.low_hz))
    return mel_positions(hz, front.bins, front.low_hz, front.high_hz)


def build_reconstructor(config: ModelConfig, bins: int) -> keras.Model:
    """Build U-net 2: {"pianoroll": [batch, frames, 88]} -> spectrogram [batch, frames, bins]."""
    roll = keras.Input((None, NUM_PITCHES), name="pianoroll")
    x = _temporal_context(roll, config, config.reconstruction_units)
    x = _dense(x, bins, "to_bins", "sigmoid")
    x = keras.layers.Reshape((-1, bins, 1), name="to_image")(x)
    x = unet(x, config.reconstruction_channels, 1, "unet2")
    x = keras.layers.Activation("sigmoid", dtype=FULL_PRECISION, name=FEATURE_MAP)(x)
    x = keras.layers.Reshape((-1, bins), dtype=FULL_PRECISION, name="to_spectrogram")(x)
    return keras.Model({"pianoroll": roll}, x, name="reconstructor")


def _temporal_context(x: Any, config: ModelConfig, units: int, rank: int = 0) -> Any:
    """Apply a bidirectional LSTM to a sequence [batch, frames, features], or nothing."""
    if config.temporal_context == "none":
        return x
    return BidirectionalLSTM(units, rank, dtype=FULL_PRECISION, name=CONTEXT)(x)


def _dense(x: Any, units: int, name: str, activation: str | None = None) -> Any:
    return keras.layers.Dense(
        units, activation=activation, kernel_initializer=torch_uniform(), name=name
    )(x)
