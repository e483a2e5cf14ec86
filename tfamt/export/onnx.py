"""Export a model to ONNX, from waveform to rolls.

The front end is inside the file. Its Fourier transform is a matrix product, since `tf2onnx` cannot convert an FFT.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.export.saved_model import Arrays, Exported, compare, probes, python_outputs
from tfamt.export.serving_module import waveform_function
from tfamt.network.trained_models import load_model
from tfamt.network.weights import shipped_weights
from tfamt.utils.output_paths import check_output_path, new_file
from tfamt.utils.quiet_logs import quiet, quiet_native

Runner = Callable[[NDArray[np.float32]], dict[str, NDArray[Any]]]
TOLERANCE = 1e-3
"""How far probabilities may lie from the model's. Every runtime sums in another order, and the spectrogram of the model
in the package reaches down to where rounding is all there is, 160 dB below the loudest bin."""
NOISE = 1e-3
"""Level of added noise, 60 dB below full scale, which hides the rounding of runtimes."""
OPSET = 17
"""Of the ONNX standard; ONNX Runtime has known it since 1.12 (2022)."""


def export_onnx(
    output: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> Exported:
    """Write an ONNX file: waveform [batch, samples] -> the outputs of `serving_default`, batch and length free.

    Args:
      output: the file.
      weights: a weights file; the model in the package if not given.
      overwrite: whether an existing file may be replaced.

    Raises:
      InputError: the weights cannot be used, the file cannot be written, the packages of the extra "serving" are
        missing, or the file gives something else than the model.
    """
    check_output_path(output, overwrite=overwrite)
    config, model = load_model(weights or shipped_weights())
    content = _to_onnx(config, model)
    run = run_onnx(content)
    difference = 0.0
    for name, waveform in _windows(config).items():
        expected: Arrays = python_outputs(config, model, waveform)
        difference = max(difference, compare(run(waveform), expected, name, TOLERANCE))
    with new_file(output, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
    return Exported(Path(output), difference)


def _windows(config: Config) -> dict[str, NDArray[np.float32]]:
    """Return a recording with noise, and silence, as one window each: float32 [1, samples]."""
    samples = config.window_samples
    windows = {
        name: np.resize(waveform[:1], (1, samples))
        for name, waveform in probes(config.spectrogram.sample_rate).items()
    }
    noise = np.random.default_rng(0).normal(0.0, NOISE, samples)
    windows["recording"] += noise.astype(np.float32)
    return windows


def _to_onnx(config: Config, model: Any) -> bytes:
    try:
        import tf2onnx
    except ImportError as error:
        raise _missing("tf2onnx") from error
    function = waveform_function(config, model.get_layer("transcriber"), fourier="matrix")
    with quiet(), quiet_native():
        converted, _ = tf2onnx.convert.from_function(
            function, input_signature=function.input_signature, opset=OPSET
        )
    content: bytes = converted.SerializeToString()
    return content


def run_onnx(content: bytes) -> Runner:
    """Return an ONNX file's content as a function from waveform to named outputs."""
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing("onnxruntime") from error
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda waveform: dict(
        zip(names, session.run(names, {"waveform": waveform}), strict=True)
    )


def _missing(package: str) -> InputError:
    return InputError(
        f"{package} is not installed",
        fix="Install what serving needs: pip install 'tfamt[serving]'",
    )
