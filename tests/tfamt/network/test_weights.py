"""Test weights files: round trip, and refused files."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfamt.config import replace
from tfamt.errors import InputError
from tfamt.network.model import build_model
from tfamt.network.trained_models import assign_weights, load_model, load_transcriber
from tfamt.network.weights import average_weights, load_weights, named_weights, save_weights
from tfamt.presets import preset

TINY = preset("tiny")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.npz"
    model = build_model(TINY)
    save_weights(
        path, TINY, {name: np.asarray(weight) for name, weight in named_weights(model).items()}
    )
    return path


def test_a_loaded_model_gives_the_same_outputs(saved: Path) -> None:
    config, first = load_model(saved)
    _, second = load_model(saved)
    assert config == TINY
    spectrogram = np.random.default_rng(0).random((2, 40, 229), np.float32)
    ours, theirs = first(spectrogram, training=False), second(spectrogram, training=False)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    _, transcriber = load_transcriber(saved)
    np.testing.assert_array_equal(
        transcriber(spectrogram, training=False)["pianoroll"], ours["pianoroll"]
    )


def test_names_tell_submodel_and_layer(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as stored:
        assert stored["transcriber/pianoroll/kernel"].shape == (32, 88)
        assert stored["reconstructor/to_bins/bias"].shape == (229,)


def test_half_the_size(saved: Path, tmp_path: Path) -> None:
    _, arrays = load_weights(saved)
    # Far beyond what 16 bits can hold, as a variance may be.
    name = "transcriber/pianoroll/bias"
    arrays = {**arrays, name: np.full_like(arrays[name], 1e6)}
    save_weights(tmp_path / "half.npz", TINY, arrays, half=True)
    assert (tmp_path / "half.npz").stat().st_size < 0.65 * saved.stat().st_size
    _, rounded = load_weights(tmp_path / "half.npz")
    for name, array in rounded.items():
        assert array.dtype == np.float32
        kernel = array.ndim > 1
        np.testing.assert_allclose(array, arrays[name], rtol=2**-11 if kernel else 0, atol=1e-7)
    assert any((rounded[name] != arrays[name]).any() for name in arrays)


def test_weights_of_another_config(saved: Path) -> None:
    _, arrays = load_weights(saved)
    wider = build_model(replace(TINY, "model", channels=(6, 8)))
    with pytest.raises(
        InputError,
        match="another config: 0 missing, 0 unknown, 41 of another shape, such as transcriber/unet1_down0_conv0/kernel",
    ):
        assign_weights(wider, arrays, saved)
    baseline = build_model(replace(TINY, "model", reconstruction=False))
    with pytest.raises(InputError, match="another config: 0 missing, [0-9]+ unknown"):
        assign_weights(baseline, arrays, saved)


def test_average(tmp_path: Path) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    save_weights(first, TINY, {"a/kernel": np.float32([[1, 2]]), "a/bias": np.float32([8])})
    trained = replace(TINY, "training", steps=7)
    save_weights(second, trained, {"a/kernel": np.float32([[5, 6]]), "a/bias": np.float32([-8])})
    config, arrays = average_weights(first, second, 0.25)
    assert config == TINY
    np.testing.assert_array_equal(arrays["a/kernel"], np.float32([[2, 3]]))
    np.testing.assert_array_equal(arrays["a/bias"], np.float32([4]))


@pytest.mark.parametrize("change", ["model", "weights"])
def test_average_of_different_networks(tmp_path: Path, change: str) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    save_weights(first, TINY, {"a/kernel": np.float32([[1, 2]])})
    config = replace(TINY, "model", channels=(6, 8)) if change == "model" else TINY
    name = "b/kernel" if change == "weights" else "a/kernel"
    save_weights(second, config, {name: np.float32([[1, 2]])})
    with pytest.raises(InputError, match=f"second.npz: is of another network than {first}"):
        average_weights(first, second, 0.5)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut short"])
def test_what_is_no_weights_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.npz: is not a weights file of tfamt"):
        load_weights(path)


def test_truncated(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(InputError, match="is not a weights file of tfamt"):
        load_weights(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("half", [False, True])
def test_values_that_are_not_numbers_name_file_and_variable(
    saved: Path, tmp_path: Path, value: float, half: bool
) -> None:
    config, arrays = load_weights(saved)
    name = max(arrays, key=lambda each: arrays[each].size)
    damaged = arrays[name].copy()
    damaged.flat[-1] = value
    path = tmp_path / "nan.npz"
    save_weights(path, config, {**arrays, name: damaged}, half=half)
    with pytest.raises(InputError, match=r"nan\.npz: holds values that are not finite") as caught:
        load_weights(path)
    assert f"in {name}." in str(caught.value)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("spectrogram", "window", 2**40),
        ("spectrogram", "hop", 10**9),
        ("spectrogram", "bins", 10**7),
        ("model", "context_units", 10**8),
        ("model", "reconstruction_units", 10**8),
        ("model", "channels", [10**6]),
        ("model", "channels", [4] * 40),
        ("inference", "window_frames", 10**9),
    ],
)
def test_a_config_of_absurd_sizes_is_refused_in_no_time(
    saved: Path, tmp_path: Path, section: str, field: str, value: object
) -> None:
    with np.load(saved) as stored:
        arrays = dict(stored)
    config = json.loads(arrays["config"].tobytes())
    config[section][field] = value
    arrays["config"] = np.frombuffer(json.dumps(config).encode(), np.uint8)
    path = tmp_path / "large.npz"
    np.savez(path, **arrays)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f"large.npz: {section}_{field} must "):
            load_transcriber(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_an_array_that_claims_more_than_the_file_holds(saved: Path, tmp_path: Path) -> None:
    with np.load(saved) as stored:
        arrays = dict(stored)
    name = max(arrays, key=lambda each: arrays[each].size)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    )
    path = tmp_path / "claims.npz"
    np.savez(path, **{key: array for key, array in arrays.items() if key != name})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{name}.npy", header.getvalue() + bytes(400))
    with pytest.raises(InputError, match=r"claims\.npz: is not a weights file"):
        load_weights(path)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_weights(tmp_path / "none.npz")


class _Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("objects.npz", config=np.array([_Bomb()], dtype=object))
    Path("plain.npz").write_bytes(pickle.dumps(_Bomb()))
    for name in ("objects.npz", "plain.npz"):
        with pytest.raises(InputError, match="is not a weights file of tfamt"):
            load_weights(name)
    assert not Path("exploded").exists()
