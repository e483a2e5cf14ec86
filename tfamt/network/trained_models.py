"""Build models with the weights of a file."""

from __future__ import annotations

import os

import keras

from tfamt.config import Config, replace
from tfamt.errors import InputError
from tfamt.network.model import build_model
from tfamt.network.precision import inference_precision, layers_in
from tfamt.network.weights import Arrays, load_weights, named_weights, transcriber_only


def assign_weights(model: keras.Model, arrays: Arrays, path: str | os.PathLike[str]) -> None:
    """Assign loaded weights to a joint model.

    Raises:
      InputError: names or shapes differ: the weights are of another config.
    """
    ours = named_weights(model)
    missing, unknown = sorted(set(ours) - set(arrays)), sorted(set(arrays) - set(ours))
    reshaped = [
        name for name in ours if name in arrays and tuple(ours[name].shape) != arrays[name].shape
    ]
    if missing or unknown or reshaped:
        example = (missing + unknown + reshaped)[0]
        raise InputError(
            f"holds weights of another config: {len(missing)} missing, {len(unknown)} unknown, "
            f"{len(reshaped)} of another shape, such as {example}",
            path=path,
            fix="Use the config that is stored with the weights.",
        )
    for name, weight in ours.items():
        weight.assign(arrays[name])


def load_model(path: str | os.PathLike[str]) -> tuple[Config, keras.Model]:
    """Return the joint model with the weights of a file, and its config."""
    config, arrays = load_weights(path)
    # TensorFlow takes seconds to load: not before the file is known to be right.

    model = build_model(config)
    assign_weights(model, arrays, path)
    return config, model


def load_transcriber(
    path: str | os.PathLike[str], precision: str = "float32"
) -> tuple[Config, keras.Model]:
    """Return the part that transcription needs: U-net 1 with its heads, spectrogram -> {head: roll}.

    Args:
      path: the weights file.
      precision: what its layers compute in (`tfamt.network.precision.inference_precision`).
    """
    config, arrays = load_weights(path)
    return config, build_trained_transcriber(config, arrays, path, precision)


def build_trained_transcriber(
    config: Config, arrays: Arrays, path: str | os.PathLike[str], precision: str = "float32"
) -> keras.Model:
    """Build `load_transcriber`'s model from loaded weights; `path` is their file, for messages."""
    # TensorFlow takes seconds to load: not before the file is known to be right.

    with layers_in(inference_precision(precision)):
        model = build_model(replace(config, "model", reconstruction=False))
    assign_weights(model, transcriber_only(arrays), path)
    return model.get_layer("transcriber")
