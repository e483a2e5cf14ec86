"""Read and write weights with their config: a .npz archive of plain arrays, read without pickle.

Names are "<submodel>/<layer>/<weight>", so a file can be looked into with numpy alone. "config" holds the JSON of
the `tfamt.config.Config` that the weights belong to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.utils.atomic_files import atomic_path

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, NDArray[np.float32]]
SHIPPED = "piano"
"""The model inside the package."""
PACKAGE = "tfamt:"
"""Beginning of the names of models inside the package, such as "tfamt:piano"."""
_MAX_BYTES = 2**29
"""Thirty times what the paper's networks need; an archive can promise any number."""


def shipped_weights(name: str = SHIPPED) -> str:
    """Path of weights that come with the package."""
    return str(resources.files("tfamt") / "models" / f"{name}.npz")


def resolve_weights(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return the file of "tfamt:NAME", a model inside the package; any other path as it is.

    Raises:
      InputError: the package has no such model.
    """
    text = os.fspath(path)
    if not text.startswith(PACKAGE):
        return path
    found = shipped_weights(text.removeprefix(PACKAGE))
    if not os.path.isfile(found):
        folder = resources.files("tfamt") / "models"
        names = sorted(item.name[:-4] for item in folder.iterdir() if item.name.endswith(".npz"))
        raise InputError(
            f"there is no model {text!r} in the package",
            fix=f"Models: {', '.join(PACKAGE + name for name in names)}.",
        )
    return found


def weights_path(run: str | None, weights: str | None) -> str:
    """Return the weights file that the flags --run and --weights name.

    Raises:
      InputError: both or none of them are given.
    """
    if run and not weights:
        return os.path.join(run, "weights.npz")
    if weights and not run:
        return os.fspath(resolve_weights(weights))
    raise InputError("give either --run or --weights")


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Return every weight of the joint model under its name in a file."""
    return {
        f"{submodel.name}/{weight.path}": weight
        for submodel in model.layers
        for weight in submodel.weights
    }


def save_weights(
    path: str | os.PathLike[str],
    config: Config,
    weights: Mapping[str, NDArray[np.float32]],
    *,
    half: bool = False,
) -> None:
    """Write `weights` (names as in `named_weights`) with their config; whole or not at all.

    Args:
      path: the file.
      config: of the model.
      weights: by name.
      half: kernels in 16 bits, rounded to three digits, for half the size. Biases and statistics of normalisation,
        which may be large or tiny, stay as they are.
    """
    text = np.frombuffer(config.to_json().encode(), np.uint8)
    if half:
        weights = {n: w.astype(np.float16) if w.ndim > 1 else w for n, w in weights.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, config=text, **weights)


def load_weights(path: str | os.PathLike[str]) -> tuple[Config, Arrays]:
    """Read what `save_weights` wrote.

    Args:
      path: the file, or "tfamt:NAME" for a model inside the package.

    Raises:
      InputError: the file is missing, is no weights file of tfamt, was cut short, or holds values that are not
        finite numbers.
    """
    path = resolve_weights(path)
    wrong = InputError(
        "is not a weights file of tfamt",
        path=path,
        fix="Take one that bin/train wrote, or leave --weights out for the model in the package.",
    )
    try:
        # Of a damaged archive numpy would leave the file open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            if sum(entry.file_size for entry in stored.zip.infolist()) > _MAX_BYTES:
                raise wrong
            arrays = {name: stored[name] for name in stored.files}
        config = Config.from_json(arrays.pop("config").tobytes().decode())
        weights = {name: array.astype(np.float32) for name, array in arrays.items()}
        _check_finite(weights)
        return config, weights
    except FileNotFoundError as error:
        raise InputError("does not exist", path=path) from error
    except InputError as error:
        raise InputError(error.problem, path=path, fix=error.fix) from error
    # Broken archives end in errors of zipfile, zlib, struct, tokenize and more, all of which mean the same here.
    except Exception as error:
        raise wrong from error


def _check_finite(weights: Arrays) -> None:
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise InputError(
                f"holds values that are not finite numbers (NaN or infinite), in {name}",
                fix="Take another copy of the file, or the weights of an earlier checkpoint of its training.",
            )


def average_weights(
    path: str | os.PathLike[str], other: str | os.PathLike[str], share: float
) -> tuple[Config, Arrays]:
    """Return the mean of two weights files of one network, `share` of it from the second; the config of the first.

    It is often better than either where one was trained from the other ("Model soups", Wortsman et al., ICML 2022).

    Raises:
      InputError: a file cannot be read, or they are of different networks.
    """
    (config, ours), (their_config, theirs) = load_weights(path), load_weights(other)
    if _network(config, ours) != _network(their_config, theirs):
        raise InputError(f"is of another network than {os.fspath(path)}", path=other)
    return config, {name: (1 - share) * ours[name] + share * theirs[name] for name in ours}


def _network(config: Config, arrays: Arrays) -> object:
    """Return what weights files of one network have in common."""
    return config.model, config.spectrogram, {name: a.shape for name, a in arrays.items()}


def transcriber_only(arrays: Arrays) -> Arrays:
    """Return the weights of a joint model without those of U-net 2."""
    return {name: array for name, array in arrays.items() if not name.startswith("reconstructor/")}
