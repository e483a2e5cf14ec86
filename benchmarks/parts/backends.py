"""Compare the speed of TensorFlow and ONNX Runtime on one window after another.

Usage: bin/benchmark backends [flags]

Runs the model of --weights, or a preset's with random weights, on windows of noise, in turns, and prints the medians of
wall time and CPU time, and those of the ratios to TensorFlow. Needs the packages of the extra "serving".
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from absl import flags

from benchmarks.measuring import in_turns, medians
from tfamt import export, network, transcription
from tfamt.commands.app import refuse_arguments
from tfamt.errors import InputError
from tfamt.presets import preset

_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file. Default: the model in the package.")
_PRESET = flags.DEFINE_string("preset", None, "Instead of --weights: a preset, random weights.")
_BATCH = flags.DEFINE_integer("batch_size", 1, "Windows at once.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 15, "Turns, after two that are not counted.", 2)

Runner: TypeAlias = Callable[[Any], object]


def main(argv: list[str]) -> int:
    """Measure and print; return the exit code."""
    refuse_arguments(argv)
    if _WEIGHTS.value and _PRESET.value:
        raise InputError("--weights and --preset exclude each other")
    with tempfile.TemporaryDirectory() as folder:
        config, runners = _runners(_weights(folder), folder)
        samples = config.window_samples
        seconds = _BATCH.value * samples / config.spectrogram.sample_rate
        waveform = np.random.default_rng(0).normal(0, 0.1, (_BATCH.value, samples))
        waveform = waveform.astype(np.float32)
        calls = {name: partial(runner, waveform) for name, runner in runners.items()}
        times = in_turns(calls, _REPEATS.value)
    print(f"{config.name}, {_BATCH.value} x {samples} samples, medians of {_REPEATS.value} turns")
    print("runtime        wall ms   CPU ms  x real time  wall/TF  CPU/TF")
    for name in runners:
        wall, cpu = medians(times)[name]
        pairs = list(zip(times[name], times["TensorFlow"], strict=True))
        ratios = [statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1)]
        print(
            f"{name:12s}  {1000 * wall:8.1f} {1000 * cpu:8.1f} {seconds / wall:12.0f} "
            f"{ratios[0]:8.2f} {ratios[1]:7.2f}"
        )
    return 0


def _weights(folder: str) -> str:

    if not _PRESET.value:
        return str(_WEIGHTS.value or network.shipped_weights())

    config = preset(_PRESET.value)
    weights = network.named_weights(network.build_model(config))
    path = str(Path(folder, "random.npz"))
    network.save_weights(path, config, {name: np.asarray(value) for name, value in weights.items()})
    return path


def _runners(weights: str, folder: str) -> tuple[Any, dict[str, Runner]]:
    """Return the config, and a function from waveform to anything for each runtime."""
    config, model = network.load_transcriber(weights)
    onnx = export.export_onnx(Path(folder, "model.onnx"), weights).path
    backend = transcription.keras_backend(config, model)
    return config, {
        "TensorFlow": lambda waveform: backend(waveform, np.full(len(waveform), 0.1, np.float32)),
        "ONNX Runtime": export.run_onnx(onnx.read_bytes()),
    }
