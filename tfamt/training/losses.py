"""Compute the loss: every term by name, and their weighted sum."""

from __future__ import annotations

import tensorflow as tf

from tfamt.config import LossConfig, ModelConfig

_EPSILON = 1e-7

Tensors = dict[str, tf.Tensor]


def loss_terms(
    targets: Tensors,
    outputs: Tensors,
    spectrogram: tf.Tensor,
    onsets: tf.Tensor | None = None,
    group: int = 1,
) -> Tensors:
    """Return each term of the loss, unweighted, as a mean over all windows, frames and bins or pitches: float32 [].

    The terms of Cheuk et al. (ICPR 2020): BCE(piano roll), MSE(reconstruction, input), BCE(second-pass piano roll);
    beside them BCE(onset), BCE(offset) and the squared error of velocity, which counts where a note begins, in
    proportion to the onset roll (Hawthorne et al., "Onsets and Frames", 2018). The latter in two parts:
    "velocity_level" is of the mean error of a window, or of windows of one recording together, which can
    hardly be learnt for an unknown instrument and which mir_eval's regression removes where all windows of a piece
    share it;
    "velocity" of the deviations from it.

    Args:
      targets: rolls [batch, frames, 88] by name (`tfamt.notes.piano_roll`).
      outputs: of the model (`tfamt.network.model.build_model`); what a model does not put out has no term.
      spectrogram: the model's input [batch, frames, bins].
      onsets: float32 [], the sum of the onset roll that the velocity's error is divided by; that of `targets` if not
        given. For a part of a batch: the batch's, divided by the number of parts, so that the mean over parts is right.
      group: how many windows in a row are of one recording.

    Returns:
      Some of "pianoroll", "onset", "offset", "velocity", "velocity_level", "reconstruction", "second_pass".
    """
    terms: Tensors = {
        head: tf.reduce_mean(binary_cross_entropy(targets[head], outputs[head]))
        for head in ("pianoroll", "onset", "offset")
        if head in outputs
    }
    if "velocity" in outputs:
        weight = _together(targets["onset"], group)
        error = _together(outputs["velocity"] - targets["velocity"], group)
        total = tf.reduce_sum(weight) if onsets is None else onsets
        notes = tf.reduce_sum(weight, axis=1, keepdims=True)
        level = tf.math.divide_no_nan(tf.reduce_sum(weight * error, axis=1, keepdims=True), notes)
        squares = {"velocity": weight * (error - level) ** 2, "velocity_level": notes * level**2}
        for name, square in squares.items():
            terms[name] = tf.math.divide_no_nan(tf.reduce_sum(square), total)
    if "reconstruction" in outputs:
        terms["reconstruction"] = tf.reduce_mean((outputs["reconstruction"] - spectrogram) ** 2)
    if "pianoroll_second_pass" in outputs:
        second = binary_cross_entropy(targets["pianoroll"], outputs["pianoroll_second_pass"])
        terms["second_pass"] = tf.reduce_mean(second)
    return terms


def _together(roll: tf.Tensor, group: int) -> tf.Tensor:
    """Reshape [batch, frames, 88] to [batch / group, the cells of all windows of a group]."""
    windows, frames, pitches = tf.unstack(tf.shape(roll))
    return tf.reshape(roll, [windows // group, group * frames * pitches])


def term_names(config: ModelConfig) -> tuple[str, ...]:
    """Return the names of the terms of a model's loss."""
    names = config.heads
    if "velocity" in names:
        names += ("velocity_level",)
    if config.reconstruction:
        names += ("reconstruction",)
    return names + (("second_pass",) if config.second_pass else ())


def total_loss(terms: Tensors, weights: LossConfig) -> tf.Tensor:
    """Return the weighted sum of the terms: float32 []."""
    return tf.add_n([getattr(weights, name) * term for name, term in terms.items()])


def binary_cross_entropy(target: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Return -(y log p + (1 - y) log(1 - p)) elementwise, in nats, with p clipped to 1e-7 from 0 and 1."""
    probability = tf.clip_by_value(probability, _EPSILON, 1.0 - _EPSILON)
    return -(target * tf.math.log(probability) + (1.0 - target) * tf.math.log(1.0 - probability))
