"""Load models from threads and in child processes, and print a JSON object of what came out, by case.

For tests/tfamt/transcription/test_loading.py, as a command: all cases share few starts of TensorFlow.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfamt
import tfamt.network
from tfamt.config import Config, DecodingConfig, InferenceConfig, ModelConfig
from tfamt.network.weights import named_weights, save_weights

SECONDS = 60
"""No case may take longer: what hangs is killed and reported."""
FORK, SPAWN = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")
LOADS: Counter[str] = Counter()
_load_transcriber = tfamt.network.load_transcriber


def _counting(path: str | os.PathLike[str], precision: str = "float32") -> tuple[Config, Any]:
    LOADS[Path(path).name] += 1
    return _load_transcriber(path, precision)


def attempt(call: Callable[[], Any]) -> list[Any]:
    """The type and text of what a call raises, or its result."""
    try:
        return ["", call()]
    except Exception as error:
        return [type(error).__name__, str(error)]


def in_threads(calls: list[Callable[[], Any]]) -> list[Any]:
    """Results of calls that start at the same moment."""
    together = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int) -> None:
        together.wait()
        results[number] = attempt(calls[number])

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return results


class Child:
    """A forked process that makes a call; `result` waits for it."""

    def __init__(self, call: Callable[[], Any]):
        self._receiver, sender = FORK.Pipe(duplex=False)
        self._process = FORK.Process(target=lambda: sender.send(attempt(call)))
        self._process.start()
        sender.close()

    def result(self) -> Any:
        if not self._receiver.poll(SECONDS):
            self._process.kill()
            return "hangs"
        received = self._receiver.recv()
        self._process.join(SECONDS)
        return received


def write_weights(folder: Path) -> None:
    """Writes one.npz and two.npz, small networks that find different notes in noise."""
    config = Config(
        name="test",
        model=ModelConfig(
            channels=(4, 8),
            temporal_context="none",
            heads=("pianoroll", "onset"),
            reconstruction=False,
        ),
        inference=InferenceConfig(window_frames=64, margin_frames=8),
        decoding=DecodingConfig(method="onsets", onset_threshold=0.5),
    )
    for seed, name in enumerate(("one", "two")):
        keras.utils.set_random_seed(seed)
        weights = named_weights(tfamt.build_model(config))
        # Random weights hardly leave 0.5; spread them, so that notes come out.
        arrays = {
            key: np.asarray(weight)
            * (40 if key.endswith(("onset/kernel", "pianoroll/kernel")) else 1)
            for key, weight in weights.items()
        }
        save_weights(folder / f"{name}.npz", config, arrays)


def noise() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, 16000 * 5).astype(np.float32)


def count_notes(weights: str) -> int:
    return len(tfamt.transcribe(noise(), sample_rate=16000, weights=weights))


def cli() -> None:
    """Run all cases; the argument is a folder for weights."""
    folder = Path(sys.argv[1])
    one, two, three = (str(folder / name) for name in ("one.npz", "two.npz", "three.npz"))
    tfamt.network.load_transcriber = _counting
    results: dict[str, Any] = {}

    def transcribe(weights: str = one) -> Callable[[], int]:
        return lambda: count_notes(weights)

    # Until the second thread below, only children use TensorFlow.
    Child(lambda: write_weights(folder)).result()
    early = Child(
        lambda: [in_threads([transcribe()] * 6), dict(LOADS), Child(transcribe()).result()]
    )
    spawned = ProcessPoolExecutor(1, mp_context=SPAWN)
    answer = spawned.submit(count_notes, one)

    # A thread is about to load, and holds the lock, when the process forks.
    holding, go_on = threading.Event(), threading.Event()

    def slowly(path: str | os.PathLike[str], precision: str = "float32") -> tuple[Config, Any]:
        holding.set()
        go_on.wait(SECONDS)
        return _load_transcriber(path, precision)

    tfamt.network.load_transcriber = slowly
    thread = threading.Thread(target=lambda: results.update(slow=attempt(transcribe(two))))
    thread.start()
    holding.wait(SECONDS)
    results["forked_while_loading"] = Child(transcribe()).result()
    go_on.set()
    thread.join()
    tfamt.network.load_transcriber = _counting

    # Two files, and one that is no weights file until it is replaced.
    Path(three).write_bytes(b"nonsense")
    results["threads"] = in_threads([transcribe(path) for path in (one, two, three)] * 2)
    results["loads"] = dict(LOADS)
    shutil.copy(two, three)
    os.chdir(folder)
    results["replaced"] = attempt(transcribe("three.npz"))
    results["loads_after"] = dict(LOADS)

    # From here on every fork inherits a running TensorFlow.
    transcriber = tfamt.Transcriber.load(one)
    streaming = tfamt.StreamingTranscriber(transcriber, sample_rate=16000)
    config = transcriber.config
    for name, call in {
        "transcribe": transcribe(),
        "load": lambda: tfamt.Transcriber.load(one),
        "object": lambda: len(transcriber.transcribe(noise(), sample_rate=16000)),
        "stream": lambda: len([*streaming.push(noise()), *streaming.finish()]),
        "build": lambda: tfamt.build_model(config).name,
        "threads": lambda: in_threads([transcribe()] * 2),
        "child": lambda: Child(transcribe()).result(),
    }.items():
        results[f"fork_{name}"] = Child(call).result()
    with ProcessPoolExecutor(1, mp_context=FORK) as pool:
        results["pool"] = attempt(lambda: pool.submit(count_notes, one).result(SECONDS))
    results["pickle"] = attempt(lambda: pickle.dumps(transcriber))
    # The parent goes on.
    results["parent"] = attempt(transcribe())
    results["early"] = early.result()
    results["spawn"] = attempt(lambda: answer.result(SECONDS))
    results["spawn_error"] = attempt(
        lambda: spawned.submit(tfamt.transcribe, "none.wav").result(SECONDS)
    )
    spawned.shutdown()
    print(json.dumps(results))
