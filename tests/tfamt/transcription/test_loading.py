"""Test that threads load a model once, and that forked processes say what they cannot do: with real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import ROOT, command

FORKED = [
    "ForkedProcessError",
    "TensorFlow was running in the parent process, and a forked process cannot use it. Start workers by "
    'multiprocessing.get_context("spawn"), in ProcessPoolExecutor as mp_context=, or fork them before the parent uses '
    "TensorFlow.",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What tests/support/forking.py prints."""
    folder = tmp_path_factory.mktemp("weights")
    done = command("tests.support.forking", folder, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["parent"][0] == "" and found["parent"][1] > 10
    return found


def test_six_threads_load_the_model_once(results: dict[str, Any]) -> None:
    # In a child that was forked before its parent used TensorFlow.
    error, (notes, loads, _) = results["early"]
    assert error == ""
    assert notes == [results["parent"]] * 6
    assert loads == {"one.npz": 1}


def test_each_of_several_files_is_loaded_once(results: dict[str, Any]) -> None:
    one, two, three = results["threads"][:3]
    assert one == results["parent"]
    assert two[0] == "" and two[1] not in (0, one[1])
    assert three[0] == "InputError" and "three.npz: is not a weights file of tfamt" in three[1]
    assert results["threads"][3:] == [one, two, three]
    # A failure is not kept: each thread tries for itself.
    assert results["loads"] == {"one.npz": 1, "three.npz": 2}


def test_a_file_written_anew_is_loaded_again(results: dict[str, Any]) -> None:
    assert results["replaced"] == results["threads"][1]
    assert results["loads_after"]["three.npz"] == 3


def test_spawned_workers_transcribe(results: dict[str, Any]) -> None:
    assert results["spawn"] == results["parent"]
    assert results["spawn_error"] == [
        "InputError",
        "none.wav: does not exist. Check the file name.",
    ]


@pytest.mark.parametrize("case", ["transcribe", "load", "object", "stream", "build", "child"])
def test_a_forked_process_names_the_way_out(results: dict[str, Any], case: str) -> None:
    forked = results[f"fork_{case}"]
    assert forked == (["", FORKED] if case == "child" else FORKED)


def test_other_ways_to_fork(results: dict[str, Any]) -> None:
    assert results["fork_threads"] == ["", [FORKED, FORKED]]
    assert results["pool"] == FORKED
    # The child of a child that itself had started TensorFlow.
    assert results["early"][1][2] == FORKED


def test_a_process_forked_while_a_model_loads_does_not_wait_for_it(results: dict[str, Any]) -> None:
    assert results["forked_while_loading"] == FORKED
    # Loaded before the others, and kept for them.
    assert results["slow"] == results["threads"][1]


def test_a_transcriber_is_not_pickled(results: dict[str, Any]) -> None:
    assert results["pickle"] == [
        "TypeError",
        "A Transcriber cannot be pickled. Pass the path of its weights to workers started by "
        'multiprocessing.get_context("spawn"), and make one in each by Transcriber.load, or call tfamt.transcribe '
        "there with weights=, which keeps the model loaded.",
    ]


def test_a_child_that_imports_tfamt_first_names_the_way_out() -> None:
    program = """
import os, sys
import tensorflow as tf
tf.constant(1)
assert "tfamt" not in sys.modules
pid = os.fork()
if not pid:
    import tfamt
    try:
        tfamt.transcribe("examples/prelude.ogg")
    except tfamt.utils.forks.ForkedProcessError as error:
        print(error, flush=True)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
# It was the parent's own.
import tfamt
tfamt.utils.forks.check_not_forked()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"{FORKED[1]}\n7"), done.stderr
