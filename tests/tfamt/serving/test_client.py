"""Test transcription by a server over both protocols: the same notes, clear errors."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")

import tensorflow as tf

from tests.support.processes import command
from tests.support.serving_double import Model, grpc_server, raw_server, rest_server
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.network.weights import load_weights, shipped_weights
from tfamt.notes.label_files import read_labels
from tfamt.notes.table import Notes
from tfamt.serving.client import connect, remote_transcriber
from tfamt.transcription.transcriber import Transcriber

SERVERS = {"grpc": grpc_server, "http": rest_server}


@pytest.fixture(scope="module")
def model(exported: Path) -> Model:
    return Model(exported / "1")


@pytest.fixture(scope="module", params=["grpc", "http"])
def address(request: pytest.FixtureRequest, model: Model) -> Iterator[str]:
    with SERVERS[request.param](model) as where:
        yield f"{request.param}://{where}/piano"


@pytest.fixture(scope="module")
def local(root: Path) -> Notes:
    """The notes of the example without a server, in the precision of exported models."""
    exact = Transcriber.load(precision="float32")
    return exact.transcribe(root / "examples" / "prelude.ogg")


def by_saved_model(model: Model, recording: Path) -> Notes:
    """The notes when the same SavedModel runs in this process."""
    config, _ = load_weights(shipped_weights())

    def backend(waveform: np.ndarray, loudness: np.ndarray) -> dict[str, np.ndarray]:
        outputs = model.signatures["windows"](
            waveform=tf.constant(waveform), loudness=tf.constant(loudness)
        )
        return {name: outputs[name].numpy() for name in config.model.heads}

    return Transcriber(config, backend).transcribe(recording)


def test_notes_are_those_of_the_model_here(
    address: str, model: Model, local: Notes, root: Path
) -> None:
    recording = root / "examples" / "prelude.ogg"
    remote = remote_transcriber(address)
    assert remote.config == load_weights(shipped_weights())[0]
    notes = remote.transcribe(recording)
    # The numbers come over unchanged; two runs of one graph may differ in their last bits.
    here = by_saved_model(model, recording)
    np.testing.assert_array_equal(notes.pitch, here.pitch)
    np.testing.assert_allclose(notes.intervals, here.intervals, rtol=0, atol=1e-6)
    assert len(local) > 100
    np.testing.assert_array_equal(notes.pitch, local.pitch)
    np.testing.assert_allclose(notes.intervals, local.intervals, rtol=0, atol=1e-4)
    assert np.abs(notes.velocity - local.velocity).max() <= 1


def transcribe(*arguments: object) -> subprocess.CompletedProcess[str]:
    return command("tfamt.commands.transcribe", *arguments)


def test_the_command_takes_a_server(address: str, local: Notes, root: Path, tmp_path: Path) -> None:
    recording = root / "examples" / "prelude.ogg"
    done = transcribe("--server", address, "--csv", "--output_dir", tmp_path, recording)
    assert (done.returncode, done.stderr) == (0, "")
    notes = read_labels(tmp_path / "prelude.csv")
    np.testing.assert_array_equal(notes.pitch, local.pitch)
    np.testing.assert_allclose(notes.intervals, local.intervals, rtol=0, atol=1e-4)


def test_the_command_says_what_is_wrong_in_one_line(root: Path, tmp_path: Path) -> None:
    recording = root / "examples" / "prelude.ogg"
    with raw_server(b"") as nobody:
        pass
    for arguments, said in (
        (["--server=ftp://host/piano"], "a server's address is grpc://HOST:PORT/MODEL"),
        (["--server=http://host:1", "--png"], "without --png"),
        ([f"--server=http://{nobody}", "--server_timeout=1"], "does not answer"),
    ):
        done = transcribe(*arguments, "--output_dir", tmp_path, recording)
        assert done.returncode == 1
        (line,) = done.stderr.strip().split("\n")
        assert line.startswith("error: ") and said in line
        assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_ready_is_asked_again(
    address: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfamt.serving.client.FIRST_WAIT", 0.01)
    model.failures, model.requests = 2, 0
    connect(address)
    assert model.requests == 3
    model.failures, model.requests = 9, 0
    with pytest.raises(InputError, match="does not answer .*tried 3 times"):
        connect(address, retries=2)
    assert model.requests == 3
    model.failures = 0


def test_unknown_models_are_not_asked_for_again(address: str, model: Model) -> None:
    model.requests = 0
    with pytest.raises(InputError, match="refuses .*Servable not found .*Latest.violin"):
        connect(address.replace("/piano", "/violin"))
    assert model.requests == 1


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_nobody_there(scheme: str) -> None:
    with raw_server(b"") as where:
        pass
    with pytest.raises(InputError, match=f"^{scheme}://{where}: the server does not answer"):
        connect(f"{scheme}://{where}", retries=0)


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_server_that_says_nothing(scheme: str) -> None:
    with raw_server(b"x" * 10, wait=20.0, chunk=1) as where:
        start = time.monotonic()
        with pytest.raises(InputError):
            connect(f"{scheme}://{where}", retries=0, timeout=1.0)
        assert time.monotonic() - start < 8


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not answer|cannot be used"),
        (OK + b"Content-Length: 2\r\n\r\n{}", "it has no outputs"),
        (OK + b"Content-Length: 9\r\n\r\n[[[[[[[[[", "it is not JSON"),
        (OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000, "it is not JSON"),
        (OK + b"Content-Length: 15\r\n\r\n" + b'{"outputs": []}', "is not 1 strings"),
        (OK + b"Content-Length: 17\r\n\r\n" + b'{"outputs": [{}]}', "is no text"),
        (OK + b"Content-Length: 19\r\n\r\n" + b'{"outputs": ["{}x"]}'[:19], "is not JSON"),
        (OK + b"Content-Length: 99\r\n\r\n{}", "does not answer"),
        (OK + b"Content-Length: 3000000\r\n\r\n" + b" " * 3_000_000, "longer than"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", "cannot be used"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "302"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nno\x1b[31m\n!!", r"status 404: no \[31m !!"),
    ],
)  # fmt: skip
def test_answers_that_are_none(answer: bytes, said: str) -> None:
    with raw_server(answer) as where, pytest.raises(InputError, match=said):
        connect(f"http://{where}", retries=0, timeout=3.0)


def test_drop_by_drop_is_given_up() -> None:
    answer = OK + b"Content-Length: 1000\r\n\r\n" + b" " * 1000
    with raw_server(answer, chunk=45, wait=0.4) as where:
        start = time.monotonic()
        with pytest.raises(InputError, match="not done after 1 s"):
            connect(f"http://{where}", retries=0, timeout=1.0)
        assert time.monotonic() - start < 4


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("inference", {"window_frames": 60_000}, "windows of 30720000 samples"),
        ("inference", {"window_frames": 10**9}, "at most 65,536. Received: 1000000000"),
        ("spectrogram", {"sample_rate": 44100}, "at 44100 Hz"),
        ("model", {"heads": ["drums"]}, "no config of tfamt"),
    ],
)
def test_configs_that_would_break_things(section: str, values: dict, said: str) -> None:
    config = json.loads(load_weights(shipped_weights())[0].to_json())
    config[section].update(values)
    content = json.dumps({"outputs": [json.dumps(config)]}).encode()
    answer = OK + b"Content-Length: %d\r\n\r\n" % len(content) + content
    with raw_server(answer) as where, pytest.raises(InputError, match=said):
        connect(f"http://{where}", retries=0, timeout=3.0)


class Altered:
    """A channel to the real model that changes one output on its way."""

    def __init__(self, config: Config, **changes: np.ndarray):
        self.config, self.changes = config, changes

    def predict(self, signature: str, inputs: dict, answers: dict) -> dict:
        if signature == "config":
            return {"config": [self.config.to_json()]}
        outputs = {name: np.zeros(answer.shape, np.float32) for name, answer in answers.items()}
        outputs["frame_times"][:] = np.arange(outputs["frame_times"].shape[1]) * 0.032
        return {**outputs, **self.changes}


def test_rolls_of_another_model_are_noticed() -> None:
    from tfamt.serving.client import ServingClient

    config, _ = load_weights(shipped_weights())
    window = np.zeros((1, 5120), np.float32)
    loudness = np.full(1, 0.1, np.float32)
    assert set(ServingClient("x", Altered(config))(window, loudness)) == set(config.model.heads)
    times = np.arange(10, dtype=np.float32)[None] * 0.016
    with pytest.raises(InputError, match="times of frames that do not belong to its config"):
        ServingClient("x", Altered(config, frame_times=times))(window, loudness)
    loud = np.full((1, 10, 88), 1.5, np.float32)
    with pytest.raises(InputError, match="onset beyond 0..1"):
        ServingClient("x", Altered(config, onset=loud))(window, loudness)
