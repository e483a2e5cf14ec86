"""Test feature maps against the layers of the model, and bin/inspect."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from pipelines.studies.feature_maps import inspect_model
from pipelines.studies.periodicity import periodicity
from tests.support.processes import command
from tests.support.small_data import piece
from tfamt.config import replace
from tfamt.errors import InputError
from tfamt.network.frontend import build_recording_frontend
from tfamt.network.model import build_model
from tfamt.network.weights import named_weights, save_weights
from tfamt.notes.sonify import write_wav
from tfamt.presets import preset


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording, and a model with and without reconstruction."""
    folder = tmp_path_factory.mktemp("inspect")
    write_wav(piece(3), folder / "piece.wav")
    for name, reconstruction in (("with", True), ("without", False)):
        keras.utils.set_random_seed(5)
        config = replace(
            preset("tiny"), "model", reconstruction=reconstruction, temporal_context="none"
        )
        model = build_model(config)
        weights = {key: value.numpy() for key, value in named_weights(model).items()}
        (folder / name).mkdir()
        save_weights(folder / name / "weights.npz", config, weights)
    return folder


def test_maps_equal_the_model_taken_apart(place: Path) -> None:
    found = inspect_model("m", place / "with" / "weights.npz", place / "piece.wav", 1.0, 48)
    config = found.config
    keras.utils.set_random_seed(5)
    model = build_model(config)
    from tfamt.audio.reading import read_blocks

    wave = np.concatenate(list(read_blocks(place / "piece.wav")))[16000 : 16000 + 48 * 512]
    spectrogram = np.asarray(build_recording_frontend(config.spectrogram)(wave[None]))
    np.testing.assert_allclose(found.maps["spectrogram"], spectrogram[0], atol=1e-6)
    outputs = model(spectrogram, training=False)
    for name in ("pianoroll", "reconstruction", "pianoroll_second_pass"):
        np.testing.assert_allclose(found.maps[name], outputs[name][0], atol=1e-5)
    # Without time context the piano roll is one dense layer on the feature map.
    transcriber = model.get_layer("transcriber")
    kernel, bias = (np.asarray(w) for w in transcriber.get_layer("pianoroll").weights)
    logits = found.maps["feature_map"] @ kernel + bias
    np.testing.assert_allclose(found.maps["pianoroll"], 1 / (1 + np.exp(-logits)), atol=1e-5)
    # And the input of U-net 2 one on the piano roll.
    layer = model.get_layer("reconstructor").get_layer("to_bins")
    kernel, bias = (np.asarray(w) for w in layer.weights)
    logits = found.maps["pianoroll"] @ kernel + bias
    np.testing.assert_allclose(found.maps["unet2_input"], 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_the_recording_ends_the_maps(place: Path) -> None:
    whole = inspect_model("m", place / "without" / "weights.npz", place / "piece.wav", 0.0, 640)
    seconds = len(whole.maps["spectrogram"]) * 512 / 16000
    assert 3.0 < seconds < 20.0 and set(whole.maps) == {"spectrogram", "feature_map", "pianoroll"}
    with pytest.raises(InputError, match="is over before 60 s"):
        inspect_model("m", place / "without" / "weights.npz", place / "piece.wav", 60.0)


def run(*arguments: str | Path, root: Path) -> subprocess.CompletedProcess[str]:
    return command("pipelines.commands.inspect", *arguments, cwd=root)


def test_command(place: Path, root: Path) -> None:
    done = run(
        place / "piece.wav", place / "with", f"base={place}/without/weights.npz", "--frames=64",
        f"--png={place}/p.png", f"--npz_dir={place}/maps", f"--json={place}/p.json", root=root,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines[1:]] == [
        ["with", "spectrogram"], ["with", "feature_map"], ["with", "pianoroll"],
        ["with", "unet2_input"], ["with", "reconstruction"],
        ["base", "spectrogram"], ["base", "feature_map"], ["base", "pianoroll"],
    ]  # fmt: skip
    stored = json.loads((place / "p.json").read_text())["models"]
    with np.load(place / "maps" / "with.npz") as maps:
        assert maps["feature_map"].shape == (64, 229)
        expected = periodicity(maps["feature_map"])
    assert stored["with"]["feature_map"]["grid"] == pytest.approx(expected.grid)
    assert float(lines[2][6]) == pytest.approx(expected.grid, abs=6e-4)
    assert (place / "p.png").read_bytes()[:4] == b"\x89PNG"
    for arguments, message in (
        ([place / "piece.wav"], "name a recording and one model at least"),
        ([place / "piece.wav", place / "with", place / "with"], "two models have one name"),
        ([place / "no.wav", place / "with"], "no.wav"),
        ([place / "piece.wav", place / "piece.wav"], "is not a weights file"),
        ([place / "piece.wav", place / "with", f"--json={place}/p.json"], "exists already"),
    ):
        done = run(*arguments, root=root)
        assert done.returncode == 1 and message in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
