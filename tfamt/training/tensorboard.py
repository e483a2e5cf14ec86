"""Show a run in TensorBoard beside its scalars: text, hyper-parameters, pictures, sound."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorboard.plugins.hparams import api as hparams

from tfamt.network.model import FEATURE_MAP
from tfamt.notes.sonify import SAMPLE_RATE, synthesise
from tfamt.notes.table import Notes
from tfamt.training.event_file import writing
from tfamt.transcription.note_decoder import decode

if TYPE_CHECKING:
    from tfamt.config import Config

Array = NDArray[np.float32]
T = TypeVar("T")


def write_config(writer: tf.summary.SummaryWriter, config: Config, run: str) -> None:
    """Write the config as text, and each of its fields as a hyper-parameter of the trial `run`."""
    with writing(writer):
        # Indented by four: TensorBoard shows Markdown.
        text = "\n".join(f"    {line}" for line in config.to_json().splitlines())
        tf.summary.text("config", text, step=0)
        hparams.hparams(hyper_parameters(config), trial_id=run)


def hyper_parameters(config: Config) -> dict[str, bool | int | float | str]:
    """Return every field of a config as "section/field"; lists as JSON, which the plugin takes as text."""
    flat: dict[str, bool | int | float | str] = {"name": config.name}
    for section, fields in dataclasses.asdict(config).items():
        if isinstance(fields, dict):
            for name, value in fields.items():
                plain = isinstance(value, bool | int | float | str)
                flat[f"{section}/{name}"] = value if plain else json.dumps(value)
    return flat


def write_excerpt(
    writer: tf.summary.SummaryWriter,
    step: int,
    config: Config,
    model: keras.Model,
    spectrogram: Array,
    label: Array,
) -> None:
    """Write the outputs for an excerpt: input, label, outputs and feature maps as pictures, notes as sound.

    Args:
      writer: of the event file.
      step: of the run.
      config: of the model.
      model: the joint model (`tfamt.network.model.build_model`).
      spectrogram: its input, [frames, bins].
      label: the true piano roll, [frames, 88].
    """
    found = model(spectrogram[None], training=False)
    outputs = {name: value[0].numpy() for name, value in found.items()}
    arrays = {"input": spectrogram, "label": label, **outputs, **feature_maps(model, spectrogram)}
    grid = config.spectrogram.grid
    notes = decode({head: outputs[head] for head in config.model.heads}, config.decoding, grid)
    seconds = len(spectrogram) / grid.frames_per_second
    with writing(writer):
        for name, array in arrays.items():
            tf.summary.image(f"excerpt/{name}", picture(array)[None], step)
        tf.summary.audio("excerpt/notes", sound(notes, seconds), SAMPLE_RATE, step)


def feature_maps(model: keras.Model, spectrogram: Array) -> dict[str, Array]:
    """Return the output of each U-net for a spectrogram [frames, bins]: [frames, channels * bins]."""
    maps = {}
    given: Any = spectrogram[None]
    for number, name in enumerate(("transcriber", "reconstructor"), start=1):
        if name not in [layer.name for layer in model.layers]:
            continue
        half = model.get_layer(name)
        if isinstance(given, dict):
            given = {head: given[head] for head in half.input}
        look = keras.Model(half.input, [half.get_layer(FEATURE_MAP).output, half.output])
        features, given = look(given, training=False)
        # [frames, bins, features] -> [frames, features * bins]
        image = features[0].numpy().transpose(0, 2, 1)
        maps[f"feature_map{number}"] = image.reshape(len(image), -1)
    return maps


def picture(array: Array) -> NDArray[np.uint8]:
    """Return [frames, rows] as a grey picture [rows, frames, 1], row 0 at the bottom.

    0 or less is black; 1 is white, or the largest value if that is above 1: probabilities can be compared.
    """
    bright = np.clip(array / max(float(array.max()), 1.0), 0.0, 1.0)
    pixels: NDArray[np.uint8] = np.round(bright.T[::-1, :, None] * 255).astype(np.uint8)
    return pixels


def sound(notes: Notes, seconds: float) -> Array:
    """Synthesise notes: float32 [1, samples, 1] at the sample rate of `tfamt.notes.sonify`."""
    return np.concatenate(list(synthesise(notes, duration=seconds)))[None, :, None]


def profiled(
    batches: Iterable[T], next_step: int, steps: tuple[int, int], folder: str | os.PathLike[str]
) -> Iterator[T]:
    """Yield the same batches, with TensorFlow's profiler running from the first to the last of two steps.

    Args:
      batches: one for each step.
      next_step: the step that the first batch is for.
      steps: first and last step to profile.
      folder: of the run's event files; TensorBoard's profile plugin finds the result there.
    """
    first, last = steps
    running = False
    try:
        for step, batch in enumerate(batches, next_step):
            if step == first:
                tf.profiler.experimental.start(os.fspath(folder))
                running = True
            yield batch
            if step == last and running:
                tf.profiler.experimental.stop()
                running = False
    finally:
        if running:
            tf.profiler.experimental.stop()
