"""OpenVINO in this process against TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.processes import command
from tfamt.audio import read
from tfamt.backends import keras_backend
from tfamt.errors import InputError
from tfamt.labels import read_labels
from tfamt.model import build_model
from tfamt.presets import preset
from tfamt.transcription import Transcriber


def test_openvino_hears_what_tensorflow_hears(root: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra serving: OpenVINO")
    ours, theirs = (
        Transcriber.load(window_frames=200, backend=name, precision="float32")
        for name in ("tensorflow", "openvino")
    )
    music = read(root / "examples" / "prelude.ogg")
    windows = np.stack([music[start:][: 200 * 512] for start in (0, 7 * 16000, 14 * 16000)])
    expected = ours._infer(windows)
    # Each thread has a request of its own.
    with ThreadPoolExecutor(3) as pool:
        alone = list(pool.map(lambda window: theirs._infer(window[None]), windows))
    together = theirs._infer(windows)
    assert set(together) == {"pianoroll", "onset", "offset", "velocity", "spectrogram"}
    for name, value in expected.items():
        np.testing.assert_allclose(together[name], value, rtol=0, atol=1e-3)
        np.testing.assert_array_equal(
            np.concatenate([each[name] for each in alone]), together[name]
        )


AT_ONCE = """
import sys, threading, numpy as np
from tfamt.backends import openvino_backend
from tfamt.config import Config, replace
from tfamt.model import build_model
config = replace(Config(), "model", channels=(4,), context="none", reconstruction=False)
config = replace(config, "inference", window_frames=32, margin_frames=8)
backend = openvino_backend(config, build_model(config).get_layer("transcriber"))
sys.setswitchinterval(1e-6)
begin = threading.Barrier(8)
def run():
    begin.wait()
    print(backend(np.zeros((1, 16_000), np.float32))["pianoroll"].shape)
threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_may_begin_with_openvino_at_the_same_moment(root: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra serving: OpenVINO")
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE], cwd=root, capture_output=True, text=True, timeout=120
    )
    # 16,000 samples reach into 32 hops of 512.
    assert done.returncode == 0 and done.stdout.count("(1, 32, 88)") == 8, done.stderr


def test_the_command_takes_a_backend(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra serving: OpenVINO")
    for name in ("tensorflow", "openvino"):
        done = command(
            *("tfamt.commands.transcribe", f"--backend={name}", "--precision=float32", "--csv"),
            *(f"--output_dir={tmp_path / name}", root / "examples" / "prelude.ogg"),
        )
        assert done.returncode == 0, done.stderr
        assert "INFO" not in done.stderr
    ours, theirs = (
        read_labels(tmp_path / name / "prelude.csv") for name in ("tensorflow", "openvino")
    )
    np.testing.assert_allclose(theirs.intervals, ours.intervals, rtol=0, atol=2e-3)
    np.testing.assert_array_equal(theirs.pitch, ours.pitch)


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(InputError, match="must be one of tensorflow, openvino. Received: 'gpu'"):
        Transcriber.load(backend="gpu")


def test_in_training_a_backend_follows_the_weights() -> None:
    config = preset("tiny")
    model = build_model(config).get_layer("transcriber")
    samples = config.inference.window_frames * config.spectrogram.hop
    window = np.random.default_rng(0).normal(size=(1, samples)).astype(np.float32)
    following = keras_backend(config, model, in_training=True)
    kept = keras_backend(config, model)
    before, at_first = following(window)["pianoroll"], kept(window)["pianoroll"]
    np.testing.assert_allclose(at_first, before, rtol=0, atol=1e-5)
    kernel, bias = model.get_layer("pianoroll").get_weights()
    model.get_layer("pianoroll").set_weights([0 * kernel, 0 * bias])
    assert (following(window)["pianoroll"] == 0.5).all()
    np.testing.assert_array_equal(kept(window)["pianoroll"], at_first)
