"""Keep models loaded between calls, for all threads of a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

from tfamt.utils.forks import check_not_forked, exclusive_loading

Model = TypeVar("Model")
Path = str | os.PathLike[str]


class LoadedModels(Generic[Model]):
    """Loads each file once, and again when it has changed; of threads that ask at the same time, one loads it.

    Args:
      load: reads a file. What it raises is not kept: the next call tries again.
      size: models that stay loaded; the one loaded first goes first.
    """

    def __init__(self, load: Callable[[Path], Model], size: int):
        self._load = load
        self._size = size
        self._models: dict[tuple[str, int, int, int], Model] = {}

    def get(self, path: Path) -> Model:
        """Return the model of a file.

        Raises:
          ForkedProcessError: TensorFlow was running in the parent of this forked process.
        """
        check_not_forked()
        try:
            status = os.stat(path)
        except OSError:
            # For an error in the words of the loader.
            return self._load(path)
        # With this key a relative path after os.chdir, or a file written anew, is another one.
        key = (os.path.abspath(path), status.st_mtime_ns, status.st_size, status.st_ino)
        found = self._models.get(key)
        if found is None:
            with exclusive_loading():
                # Another thread may have loaded it meanwhile.
                found = self._models.get(key)
                if found is None:
                    found = self._add(key, self._load(path))
        return found

    def _add(self, key: tuple[str, int, int, int], model: Model) -> Model:
        while len(self._models) >= self._size:
            del self._models[next(iter(self._models))]
        self._models[key] = model
        return model
