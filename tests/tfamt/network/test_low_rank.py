"""Test low-rank kernels: exact where possible, otherwise the best approximation."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfamt.config import Config, replace
from tfamt.errors import InputError
from tfamt.network.layers.batch_normalization import BatchNormalization
from tfamt.network.low_rank import factorized
from tfamt.network.model import build_transcriber

WHOLE = replace(
    Config(), "model", channels=(4, 8), feature_maps=1, context_units=6, reconstruction=False
)
RANKS = {"conv_ranks": (0, 3), "context_rank": 7, "recurrent_rank": 2}
NARROW = replace(WHOLE, "model", **RANKS)
KERNELS = ["down1_conv0", "down1_conv1", "up1_conv0", "up1_conv1", "up1_skip"]


def random_transcriber(config: Config, arrays: dict[str, np.ndarray] | None = None) -> keras.Model:
    """Return a random model whose normalisations scale their channels unlike each other."""
    keras.utils.set_random_seed(5)
    model = build_transcriber(config.model, config.spectrogram)
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [rng.uniform(-2.0, 2.0, shape), *rng.normal(size=(2, *shape)), rng.uniform(0.5, 4.0, shape)]
            )  # fmt: skip
    for weight in model.weights:
        if arrays:
            weight.assign(arrays[f"transcriber/{weight.path}"])
    return model


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {f"transcriber/{weight.path}": weight.numpy() for weight in model.weights}


@pytest.fixture(scope="module")
def transcribed() -> list[np.ndarray]:
    return [np.random.default_rng(seed).random((2, 20, 229), np.float32) for seed in range(3)]


def product(narrow: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The whole kernel of a convolution of U-net 1 that is a product."""
    frames, bins = (narrow[f"transcriber/unet1_{name}{end}/kernel"] for end in ("_frames", ""))
    return np.einsum("tacr,abro->tbco", frames, bins)


def test_kernels_that_are_products_of_such_ranks_stay_what_they_are(
    transcribed: list[np.ndarray],
) -> None:
    narrow = random_transcriber(NARROW)
    arrays = arrays_of(narrow)
    whole = dict(arrays)
    for name in KERNELS:
        del whole[f"transcriber/unet1_{name}_frames/kernel"]
        whole[f"transcriber/unet1_{name}/kernel"] = product(arrays, name)
    into = whole.pop("transcriber/context_input/kernel")
    whole["transcriber/context/kernel"] = into @ arrays["transcriber/context/kernel"]
    back = whole.pop("transcriber/context/recurrent_input")
    whole["transcriber/context/recurrent_kernel"] = (
        back @ arrays["transcriber/context/recurrent_kernel"]
    )
    model = random_transcriber(WHOLE, whole)
    again = factorized(whole, model, narrow, transcribed)
    assert {name: a.shape for name, a in again.items()} == {n: a.shape for n, a in arrays.items()}
    expected = narrow(transcribed[0])["pianoroll"]
    np.testing.assert_allclose(model(transcribed[0])["pianoroll"], expected, rtol=0, atol=1e-6)
    found = random_transcriber(NARROW, again)(transcribed[0])["pianoroll"]
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_what_a_product_loses_is_what_no_other_could_keep(transcribed: list[np.ndarray]) -> None:
    """Eckart and Young: the squares of the singular values that are left out."""
    model = random_transcriber(WHOLE)
    before = arrays_of(model)
    after = factorized(before, model, random_transcriber(NARROW), transcribed)

    def seen(tensor: keras.KerasTensor) -> np.ndarray:
        return np.concatenate([keras.Model(model.input, tensor)(x).numpy() for x in transcribed])

    def check(rows: np.ndarray, whole: np.ndarray, narrow: np.ndarray, rank: int) -> None:
        rows, whole = rows.astype(np.float64), whole.astype(np.float64)
        left_out = np.linalg.svd(rows @ whole, compute_uv=False)[rank:]
        assert ((rows @ (whole - narrow)) ** 2).sum() == pytest.approx(
            (left_out**2).sum(), rel=1e-3
        )

    # What all frames bring to the convolution at one bin, by the three bins and the eight filters that it goes to.
    images = np.pad(
        seen(model.get_layer("unet1_down1_conv1").input), ((0, 0), (1, 1), (0, 0), (0, 0))
    )
    patches = np.stack([images[:, t : t + images.shape[1] - 2] for t in range(3)], axis=3)
    norm = model.get_layer("unet1_down1_conv1_norm")
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + 1e-5)
    whole, narrow = (
        (kernel * scale).transpose(0, 2, 1, 3).reshape(24, 24)
        for kernel in (
            before["transcriber/unet1_down1_conv1/kernel"],
            product(after, "down1_conv1"),
        )
    )
    check(patches.reshape(-1, 24), whole, narrow, 3)

    context = model.get_layer("context")
    kernels = before["transcriber/context/kernel"]
    inner = after["transcriber/context_input/kernel"] @ after["transcriber/context/kernel"]
    check(seen(context.input).reshape(-1, 229), np.hstack([*kernels]), np.hstack([*inner]), 7)
    for way, states in enumerate(np.split(seen(context.output).reshape(-1, 12), 2, axis=1)):
        recurrent, inputs = (
            after[f"transcriber/context/{n}"][way] for n in ("recurrent_kernel", "recurrent_input")
        )
        check(states, before["transcriber/context/recurrent_kernel"][way], inputs @ recurrent, 2)


def test_what_is_no_product_stays(transcribed: list[np.ndarray]) -> None:
    model = random_transcriber(WHOLE)
    before = arrays_of(model)
    after = factorized(before, model, random_transcriber(NARROW), transcribed)
    changed = {name for name in before if after[name] is not before[name]}
    assert changed == {
        *(f"transcriber/unet1_{name}/kernel" for name in KERNELS),
        "transcriber/context/kernel",
        "transcriber/context/recurrent_kernel",
    }


def test_a_model_without_temporal_context_keeps_its_other_kernels(
    transcribed: list[np.ndarray],
) -> None:
    config = replace(WHOLE, "model", temporal_context="none")
    model = random_transcriber(config)
    before = arrays_of(model)
    after = factorized(
        before, model, random_transcriber(replace(config, "model", conv_ranks=(0, 3))), transcribed
    )
    changed = {name for name in before if after[name] is not before[name]}
    assert changed == {f"transcriber/unet1_{name}/kernel" for name in KERNELS}


def test_a_product_that_would_be_more_to_multiply_is_none() -> None:
    # 9 * 4 * 4 = 144 for the skip between levels, 3 * 6 * (4 + 4) of rank 6: not less.
    config = replace(WHOLE, "model", conv_ranks=(0, 6))
    names = [
        layer.name for layer in random_transcriber(config).layers if layer.name.endswith("_frames")
    ]
    assert names == [
        "unet1_down1_conv0_frames",
        "unet1_down1_conv1_frames",
        "unet1_up1_conv0_frames",
        "unet1_up1_conv1_frames",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_ranks": (0, -1)}, "model_conv_ranks must be 0 or more"),
        ({"conv_ranks": (0, 0, 0)}, "at most the 2 levels"),
        ({"context_rank": -1}, "model_context_rank must be 0 or more"),
        ({"context_rank": 48}, "model_context_rank must be below 48"),
        ({"recurrent_rank": 6}, "model_recurrent_rank must be below 6"),
        ({"temporal_context": "none", "recurrent_rank": 2}, "needs model_temporal_context=bilstm"),
    ],
)
def test_wrong_ranks_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(WHOLE, "model", **changes)
