"""The networks against the authors' own, and the builder's other choices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.authors_network import load_weights
from tfamt.model import build_model, spectrogram_layer
from tfamt.presets import preset

KINDS = ("mel", "cqt")


def _golden(shared_dir: Path, kind: str) -> dict[str, np.ndarray]:
    with np.load(shared_dir / "golden" / f"icpr2020_{kind}.npz") as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def _parameters(name: str) -> int:
    return sum(int(np.prod(weight.shape)) for weight in build_model(preset(name)).trainable_weights)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("icpr2020_mel_baseline", 1_703_761),
        ("icpr2020_mel", 3_213_929),
        ("icpr2020_cqt_baseline", 1_350_145),
        ("icpr2020_cqt", 2_607_450),
    ],
)
def test_trainable_parameters_of_the_paper(name: str, count: int) -> None:
    assert _parameters(name) == count


@pytest.mark.parametrize("kind", KINDS)
def test_spectrogram_equals_the_authors(shared_dir: Path, kind: str) -> None:
    golden = _golden(shared_dir, kind)
    layer = spectrogram_layer(preset(f"icpr2020_{kind}").spectrogram)
    expected = golden["raw_spectrogram"]
    difference = np.abs(layer(golden["waveform"][None])[0].numpy() - expected).max()
    assert difference <= 1e-5 * expected.max()


@pytest.mark.parametrize("kind", KINDS)
def test_every_output_equals_the_authors(shared_dir: Path, kind: str) -> None:
    golden = _golden(shared_dir, kind)
    model = build_model(preset(f"icpr2020_{kind}"))
    weights = {name[2:]: value for name, value in golden.items() if name.startswith("w/")}
    load_weights(model, weights)
    outputs = model(golden["input_spectrogram"][None], training=False)
    for name in ("pianoroll", "reconstruction", "pianoroll_second_pass"):
        ours = outputs[name][0].numpy()
        np.testing.assert_allclose(ours, golden[name], rtol=0, atol=1e-4, err_msg=name)
