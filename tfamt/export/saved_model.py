"""Export a model as a SavedModel, and compare it with the model it was made from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfamt.audio.loudness import loudness
from tfamt.audio.reading import resample
from tfamt.config import Config
from tfamt.errors import InputError, reason_of
from tfamt.export.serving_module import ServingModule
from tfamt.network.frontend import build_recording_frontend
from tfamt.network.trained_models import load_model
from tfamt.network.weights import resolve_weights, shipped_weights
from tfamt.notes import sonify as sound
from tfamt.notes.table import Notes
from tfamt.utils.output_paths import make_folder
from tfamt.utils.quiet_logs import quiet
from tfamt.utils.temporary import remove_leftovers, temporary_folder
from tfamt.version import __version__

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, NDArray[Any]]

TOLERANCE = 1e-5
"""How far an exported model's probabilities may lie from those of the model it was made from."""
EXTRA = "assets.extra"
CONFIG_FILE, CARD_FILE = "config.json", "model_card.md"


@dataclass(frozen=True)
class Exported:
    """Where an exported model is, and its largest difference from the model in Python."""

    path: Path
    difference: float


def export_saved_model(
    output: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None
) -> Exported:
    """Write OUTPUT/N, a SavedModel with the front-end inside; N is the next free version for TensorFlow Serving.

    The folder appears, whole, after the SavedModel has been loaded and found equal to the Python model within
    `TOLERANCE`, on a recording and on silence.

    Args:
      output: the model's folder, which holds its versions.
      weights: a weights file; the model in the package if not given.

    Raises:
      InputError: the weights cannot be used, the folder cannot be written, or the models differ.
    """
    source = Path(resolve_weights(weights or shipped_weights()))
    make_folder(output)
    config, model = load_model(source)
    with _beside(Path(output)) as temporary:
        _save(config, model, temporary)
        signatures = load_signatures(temporary)
        difference = check_parity(config, model, signatures)
        card = model_card(config, source, signatures, difference)
        extra = temporary / EXTRA
        extra.mkdir()
        (extra / CONFIG_FILE).write_text(config.to_json(), "utf-8")
        (extra / CARD_FILE).write_text(card, "utf-8")
        return Exported(_to_next_version(temporary, Path(output)), difference)


def load_signatures(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the signatures of a SavedModel: functions of named tensors that return dicts of them.

    Raises:
      InputError: the folder holds no SavedModel that TensorFlow can load.
    """
    if not Path(folder, "saved_model.pb").is_file():
        raise InputError("holds no SavedModel (no saved_model.pb)", path=folder)
    try:
        # A damaged file can raise nearly anything, deep inside TensorFlow and protobuf.
        loaded = tf.saved_model.load(os.fspath(folder))
        signatures = dict(loaded.signatures)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"holds a SavedModel that cannot be loaded ({reason})", path=folder
        ) from error
    # The functions do not keep what they belong to alive.
    for function in signatures.values():
        function.tfamt_owner = loaded
    return signatures


def check_parity(config: Config, model: keras.Model, signatures: Mapping[str, Any]) -> float:
    """Return the largest difference between a SavedModel's outputs and the Python model's.

    Raises:
      InputError: it is greater than `TOLERANCE`, or not a number.
    """
    rate = config.spectrogram.sample_rate
    largest = 0.0
    for name, waveform in probes(rate).items():
        expected = python_outputs(config, model, waveform)
        for signature in ("serving_default", "reconstruct"):
            if signature in signatures:
                outputs = signatures[signature](waveform=tf.constant(waveform))
                largest = max(largest, compare(outputs, expected, f"{signature}, {name}"))
        if config.spectrogram.normalizes_loudness:
            levels = np.array([loudness(row) for row in waveform], np.float32)
            outputs = signatures["windows"](
                waveform=tf.constant(waveform), loudness=tf.constant(levels)
            )
            largest = max(largest, compare(outputs, expected, f"windows, {name}"))
        files = tf.stack([tf.audio.encode_wav(row[:, None], rate) for row in waveform])
        outputs = signatures["from_wav_bytes"](content=files)
        largest = max(largest, compare(outputs, expected, f"from_wav_bytes, {name}"))
    return largest


def probes(sample_rate: int) -> dict[str, NDArray[np.float32]]:
    """Return what models are compared on: a recording and silence, float32 [batch, samples], in 16-bit steps."""
    beat = np.arange(8) * 0.6
    notes = Notes(
        beat, beat + 1.2, [60, 64, 67, 72, 36, 43, 91, 98], [40, 60, 80, 100, 120, 90, 70, 50]
    )
    played = np.concatenate([*sound.synthesise(notes)])
    # No whole number of frames, and not the length of any window.
    forwards = resample(played, sound.SAMPLE_RATE)[: 5 * sample_rate + 77]
    recording = np.round(np.stack([forwards, forwards[::-1]]) * 2.0**15) / 2.0**15
    return {
        "recording": recording.astype(np.float32),
        "silence": np.zeros((1, 3 * sample_rate), np.float32),
    }


def python_outputs(config: Config, model: keras.Model, waveform: NDArray[np.float32]) -> Arrays:
    """Return the joint model's outputs for recordings [batch, samples], computed operation by operation in Python."""
    spectrogram = build_recording_frontend(config.spectrogram)(waveform)
    outputs = model(spectrogram, training=False)
    return {"spectrogram": spectrogram.numpy(), **{k: v.numpy() for k, v in outputs.items()}}


def compare(
    outputs: Mapping[str, Any], expected: Arrays, where: str, tolerance: float = TOLERANCE
) -> float:
    """Return the largest difference over the outputs that both have.

    Raises:
      InputError: it is greater than `tolerance`, or not a number, or the shapes differ.
    """
    largest = 0.0
    for name in sorted(set(outputs) & set(expected)):
        ours = np.asarray(outputs[name])
        wrong = f"the exported model is not equal to the one it was made from: {name} ({where})"
        if ours.shape != expected[name].shape:
            raise InputError(f"{wrong} has shape {ours.shape} instead of {expected[name].shape}")
        difference = float(np.abs(ours - expected[name]).max(initial=0.0))
        # So that NaN fails too.
        if not difference <= tolerance:
            raise InputError(f"{wrong} differs by {difference:.2g}, more than {tolerance}")
        largest = max(largest, difference)
    return largest


def model_card(
    config: Config, weights: Path, signatures: Mapping[str, Any], difference: float
) -> str:
    """Return what a user of the SavedModel needs, with the card that lies beside the weights, if there is one."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    rate, hop = config.spectrogram.sample_rate, config.spectrogram.hop
    lines = [
        f"# {config.name}, exported by tfamt {__version__}",
        "",
        f"Weights: {weights.name}, sha256 {digest}. Config: {CONFIG_FILE}.",
        "",
        f"Waveforms are mono float32 at {rate} Hz, full scale -1..1. Frames come every {hop} samples "
        f"({1000 * hop / rate:g} ms); frame t is centred on sample t * {hop}. `from_wav_bytes` takes 16-bit wav "
        f"files of any rate and number of channels; channels are averaged, other rates resampled to {rate} Hz.",
        "",
        f"The spectrogram is scaled by the loudest of all that one call holds. tfamt transcribes in windows of "
        f"{config.inference.window_frames} frames, of which it drops {config.inference.margin_frames} at either end.",
        "",
        f"Largest difference from the Python model, on a recording and on silence: {difference:.1g}.",
        "",
        "| signature | inputs | outputs |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {_described(f.structured_input_signature[1])} | {_described(f.structured_outputs)} |"
            for name, f in sorted(signatures.items())
        ),
    ]
    card = weights.with_suffix(".md")
    return "\n".join(lines) + "\n" + (f"\n{card.read_text('utf-8')}" if card.is_file() else "")


def _described(tensors: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {tensor.dtype.name} [{', '.join('?' if n is None else str(n) for n in tensor.shape)}]"
        for name, tensor in sorted(tensors.items())
    )


def _save(config: Config, model: keras.Model, folder: Path) -> None:

    module = ServingModule(config, model)
    try:
        with quiet():
            tf.saved_model.save(module, os.fspath(folder), signatures=module.functions)
    except (OSError, tf.errors.OpError) as error:
        raise _unwritable(folder.parent, error) from error


@contextmanager
def _beside(output: Path) -> Iterator[Path]:
    """Yield a temporary folder in `output`, which is deleted afterwards unless it was renamed."""
    remove_leftovers(output)
    try:
        with temporary_folder(output) as temporary:
            yield temporary
    except OSError as error:
        raise _unwritable(output, error) from error


def _to_next_version(temporary: Path, output: Path) -> Path:
    """Rename a folder to the version after the last one, also if another process does the same."""
    while True:
        versions = [int(path.name) for path in output.iterdir() if path.name.isdecimal()]
        target = output / str(max(versions, default=0) + 1)
        try:
            # Fails if the folder is there: only an empty one would be replaced.
            temporary.rename(target)
        except FileExistsError:
            continue
        except OSError as error:
            if target.exists():
                continue
            raise _unwritable(output, error) from error
        return target


def _unwritable(path: Path, error: Exception) -> InputError:
    return InputError(f"cannot be written to ({reason_of(error)})", path=path)
