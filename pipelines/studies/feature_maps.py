"""Compute the feature maps of both U-nets for an excerpt of a recording."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipelines.studies.periodicity import Periodicity, periodicity
from tfamt.audio.loudness import loudness
from tfamt.audio.reading import read_blocks
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.network.frontend import build_frontend
from tfamt.network.model import FEATURE_MAP
from tfamt.network.trained_models import load_model
from tfamt.utils.output_paths import new_file

Maps = dict[str, NDArray[np.float32]]
PANELS = {
    "spectrogram": "input",
    "feature_map": "feature map of U-net 1",
    "pianoroll": "piano roll",
    "reconstruction": "reconstruction",
}
"""The four panels of the paper's figures: name of the map, title."""
MEASURED = ("spectrogram", "feature_map", "pianoroll", "unet2_input", "reconstruction")
"""Maps whose periodicity is measured."""


@dataclass(frozen=True)
class Inspection:
    """One model on one excerpt.

    Attributes:
      name: what the model is called.
      config: of the model.
      maps: [frames, bins or 88] by name: "spectrogram" (scaled input), "feature_map" (of U-net 1; with several
        channels their mean), "pianoroll"; with reconstruction "unet2_input", "reconstruction" (which is the feature
        map of U-net 2) and "pianoroll_second_pass".
    """

    name: str
    config: Config
    maps: Maps

    @property
    def periodicities(self) -> dict[str, Periodicity]:
        """Return figures of merit by name of the map."""
        return {name: periodicity(self.maps[name]) for name in MEASURED if name in self.maps}


def inspect_model(
    name: str,
    weights: str | os.PathLike[str],
    audio: str | os.PathLike[str],
    start: float = 0.0,
    frames: int | None = None,
) -> Inspection:
    """Run a model on an excerpt of a recording, in one window.

    Args:
      name: what the model is to be called.
      weights: weights file.
      audio: audio file.
      start: where the excerpt begins, seconds.
      frames: its length; the model's window if not given.

    Raises:
      InputError: weights or audio cannot be used, or the recording is over before `start`.
    """
    config, model = load_model(weights)

    hop, rate = config.spectrogram.hop, config.spectrogram.sample_rate
    first = round(start * rate)
    samples = (frames or config.inference.window_frames) * hop
    waveform = _excerpt(audio, first, samples)
    if not len(waveform):
        raise InputError(f"is over before {start:g} s", path=audio)
    measured = np.array([loudness(waveform)], np.float32)
    padded = np.pad(waveform, (0, samples - len(waveform)))
    spectrogram = build_frontend(config.spectrogram)([padded[None], measured])
    maps = {"spectrogram": spectrogram, **_maps(model, spectrogram)}
    # What lies behind the recording's end is silence of ours.
    kept = -(-len(waveform) // hop)
    return Inspection(name, config, {name: _image(value)[:kept] for name, value in maps.items()})


def write_maps(inspection: Inspection, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Write all maps as arrays, a .npz that numpy reads.

    Raises:
      InputError: the file exists or cannot be written.
    """
    with new_file(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **inspection.maps)


def write_panels_png(
    inspections: Sequence[Inspection],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    start: float = 0.0,
    overwrite: bool = False,
) -> None:
    """Draw the four panels, a column for each model; a panel that a model lacks stays empty.

    Raises:
      InputError: the file exists or cannot be written.
    """
    figure = Figure(figsize=(7 * len(inspections), 11), dpi=100, layout="constrained")
    grid = figure.subplots(len(PANELS), len(inspections), squeeze=False, sharex="col")
    for column, item in zip(grid.T, inspections, strict=True):
        measured = item.periodicities
        seconds = item.config.spectrogram.hop / item.config.spectrogram.sample_rate
        for axes, (name, label) in zip(column, PANELS.items(), strict=True):
            if name not in item.maps:
                axes.set_axis_off()
                axes.text(0.5, 0.5, "no reconstruction", ha="center", transform=axes.transAxes)
                continue
            image = item.maps[name]
            end = start + len(image) * seconds
            colours = "Greys" if name == "pianoroll" else "magma"
            axes.imshow(
                image.T, origin="lower", aspect="auto", cmap=colours, interpolation="nearest",
                extent=(start, end, -0.5, image.shape[1] - 0.5),
            )  # fmt: skip
            found = measured[name]
            figures = (
                f"time {found.time:.3f}, frequency {found.frequency:.3f}, grid {found.grid:.3f}"
            )
            axes.set_title(f"{label}   ({figures})", fontsize=9, loc="left")
            axes.set_ylabel("key" if name == "pianoroll" else "bin")
        column[0].set_title(
            f"{item.name}\n{column[0].get_title(loc='left')}", fontsize=9, loc="left"
        )
        column[-1].set_xlabel("time (s)")
    figure.suptitle(title, fontsize=10, parse_math=False)
    with new_file(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png")


def _excerpt(audio: str | os.PathLike[str], first: int, samples: int) -> NDArray[np.float32]:
    """Return float32 [samples] from `first` on, fewer where the recording ends."""
    kept: list[NDArray[np.float32]] = []
    position = 0
    for block in read_blocks(audio):
        kept.append(block[max(first - position, 0) : max(first + samples - position, 0)])
        position += len(block)
        if position >= first + samples:
            break
    return np.concatenate(kept) if kept else np.empty(0, np.float32)


def _maps(model: object, spectrogram: object) -> dict[str, object]:
    """Return outputs of the model and of its layers named `tfamt.network.model.FEATURE_MAP`."""
    assert isinstance(model, keras.Model)
    outputs = model(spectrogram, training=False)
    transcriber = model.get_layer("transcriber")
    inside = keras.Model(transcriber.inputs, transcriber.get_layer(FEATURE_MAP).output)
    maps = {"feature_map": inside(spectrogram, training=False), "pianoroll": outputs["pianoroll"]}
    if "reconstruction" not in outputs:
        return maps
    reconstructor = model.get_layer("reconstructor")
    before = keras.Model(reconstructor.input, reconstructor.get_layer("to_image").output)
    rolls = {name: outputs[name] for name in reconstructor.input}
    maps |= {
        "unet2_input": before(rolls, training=False),
        "reconstruction": outputs["reconstruction"],
    }
    if "pianoroll_second_pass" in outputs:
        maps["pianoroll_second_pass"] = outputs["pianoroll_second_pass"]
    return maps


def _image(value: object) -> NDArray[np.float32]:
    """Return [frames, rows] of a tensor [1, frames, rows] or [1, frames, rows, channels]."""
    array: NDArray[np.float32] = np.asarray(value, np.float32)[0]
    return array.mean(axis=-1, dtype=np.float32) if array.ndim == 3 else array
