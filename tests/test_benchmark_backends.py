"""bin/benchmark backends: that each runtime gets its turn and its own time."""

from __future__ import annotations

import time

import numpy as np

from pipelines.benchmarks.backends import in_turns


def test_runtimes_take_turns_and_are_charged_with_their_own_time() -> None:
    order: list[str] = []

    def idle(waveform: np.ndarray) -> None:
        order.append("idle")
        time.sleep(0.02)

    def busy(waveform: np.ndarray) -> None:
        order.append("busy")
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass

    times = in_turns({"idle": idle, "busy": busy}, np.zeros((1, 1)), repeats=3)
    assert order == ["idle", "busy"] * 5
    assert [len(turns) for turns in times.values()] == [3, 3]
    for wall, cpu in times["idle"]:
        assert wall >= 0.02 and cpu < 0.01
    for wall, cpu in times["busy"]:
        assert wall >= cpu * 0.9 and cpu >= 0.02
