"""Test unexpected answers of servers and SavedModel folders: a valid result or a clear error."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")

from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2

from tests.support.fuzzing import CASES, bounded, damaged
from tfamt.errors import InputError
from tfamt.export.saved_model import load_signatures
from tfamt.presets import preset
from tfamt.serving.answers import Answer
from tfamt.serving.channels import parse_json, parse_tensor
from tfamt.serving.client import MAX_WINDOW_SAMPLES, ServingClient

ANSWERS = {"pianoroll": Answer((1, 2, 3)), "text": Answer((1,), text=True)}
GOOD = {"outputs": {"pianoroll": [[[0.0, 0.5, 1.0], [0.25, 0.5, 1e-9]]], "text": ["{}"]}}

numbers = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63), 10**400, 1e308, 0, -1])
leaves = st.none() | st.booleans() | numbers | st.text(max_size=20)
json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def paths(value: Any) -> list[tuple[Any, ...]]:
    """Where in nested lists and dicts anything stands."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [(), *((key, *path) for key, item in inner for path in paths(item))]


@st.composite
def altered(draw: st.DrawFn, good: Any) -> Any:
    """A value that was good, with one part replaced."""
    path = draw(st.sampled_from(paths(good)))
    if not path:
        return draw(json_values)
    result = place = copy.deepcopy(good)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = draw(json_values)
    return result


@pytest.mark.fuzz
@CASES
@given(
    st.binary(max_size=200)
    | damaged(json.dumps(GOOD).encode())
    | altered(GOOD).map(lambda value: json.dumps(value).encode())
    | st.integers(1, 10**5).map(lambda n: b'{"outputs": ' + b"[" * n)
)
def test_rest_answers(content: bytes) -> None:
    try:
        with bounded():
            outputs = parse_json(content, ANSWERS)
    except InputError as error:
        assert len(str(error)) < 1000 and str(error).isprintable()
        return
    assert outputs["pianoroll"].shape == (1, 2, 3) and outputs["pianoroll"].dtype == np.float32
    assert np.isfinite(outputs["pianoroll"]).all()
    assert isinstance(outputs["text"], list) and isinstance(outputs["text"][0], str)


@st.composite
def tensors(draw: st.DrawFn) -> tensor_pb2.TensorProto:
    """TensorProtos whose fields need not fit each other."""
    sizes = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([1, 2, 3, 2**31])
    floats = st.lists(st.floats(width=32), max_size=8)
    tensor = tensor_pb2.TensorProto(
        dtype=draw(st.sampled_from([types_pb2.DT_FLOAT] * 4 + types_pb2.DataType.values())),
        tensor_content=draw(
            st.just(b"") | st.binary(min_size=24, max_size=24) | st.binary(max_size=40)
        ),
        float_val=draw(floats),
        string_val=draw(st.lists(st.binary(max_size=8), max_size=3)),
        version_number=draw(st.integers(-(2**31), 2**31 - 1)),
    )
    good = st.sampled_from([(1, 2, 3), (1,)])
    for size in draw(good | good | st.lists(sizes, max_size=5)):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_shape.unknown_rank = draw(st.booleans())
    return tensor


GOOD_RESPONSE = predict_pb2.PredictResponse()
GOOD_RESPONSE.outputs["pianoroll"].CopyFrom(
    tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[0.5] * 6)
)
for _size in (1, 2, 3):
    GOOD_RESPONSE.outputs["pianoroll"].tensor_shape.dim.add(size=_size)


def response(tensor: tensor_pb2.TensorProto) -> bytes:
    made = predict_pb2.PredictResponse()
    made.outputs["pianoroll"].CopyFrom(tensor)
    made.outputs["text"].CopyFrom(tensor)
    return made.SerializeToString()


@pytest.mark.fuzz
@CASES
@given(tensors().map(response) | damaged(GOOD_RESPONSE.SerializeToString()))
def test_grpc_answers(content: bytes) -> None:
    message = predict_pb2.PredictResponse()
    try:
        message.ParseFromString(content)
    except DecodeError:
        return  # gRPC itself tells of these.
    for name, answer in ANSWERS.items():
        try:
            with bounded():
                value = parse_tensor(message.outputs, name, answer)
        except InputError as error:
            assert len(str(error)) < 1000 and str(error).isprintable()
            continue
        if answer.text:
            assert len(value) == 1 and isinstance(value[0], str)
        else:
            assert value.shape == (1, 2, 3) and value.dtype == np.float32
            assert np.isfinite(value).all()


class Says:
    """A channel whose server has one answer."""

    def __init__(self, text: str):
        self.text = text

    def predict(self, signature: str, inputs: Any, answers: Any) -> dict[str, Any]:
        return {"config": [self.text]}


@pytest.mark.fuzz
@CASES
@given(
    st.text(max_size=100)
    | altered(json.loads(preset("piano").to_json())).map(json.dumps)
    | st.integers(1, 10**5).map(lambda n: "[" * n)
)
def test_configs_of_servers(text: str) -> None:
    try:
        with bounded():
            client = ServingClient("grpc://server:1", Says(text))
    except InputError as error:
        assert str(error).startswith("grpc://server:1: the server sent ")
        assert len(str(error)) < 1000 and str(error).isprintable()
        return
    config = client.config
    assert config.inference.window_frames * config.spectrogram.hop <= MAX_WINDOW_SAMPLES
    assert config.spectrogram.sample_rate == 16000


MAKE_SMALL = """
import sys
import tensorflow as tf
module = tf.Module()
function = tf.function(lambda x: {"y": 2.0 * x}, input_signature=[tf.TensorSpec([None])])
tf.saved_model.save(module, sys.argv[1], signatures=function)
"""


def damaged_folders(folder: Path) -> None:
    """Loads damaged copies of a SavedModel, in this process."""
    (file,) = folder.glob("saved_model.pb")
    good = file.read_bytes()

    @CASES
    @given(damaged(good) | st.binary(max_size=300))
    def load(content: bytes) -> None:
        file.write_bytes(content)
        try:
            with bounded():
                signatures = load_signatures(folder)
        except InputError as error:
            assert str(error).startswith(str(folder)), error
        else:
            assert all(callable(function) for function in signatures.values())

    load()


@pytest.mark.fuzz
def test_damaged_saved_models(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "small"
    code = f"{MAKE_SMALL}\nfrom pathlib import Path\n"
    code += "from tests.tfamt.serving.test_hostile_servers import damaged_folders\n"
    code += "damaged_folders(Path(sys.argv[1]))"
    # In a process of its own: TensorFlow may end the process where it finds what it holds for impossible.
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=3600, cwd=root
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with pytest.raises(InputError, match="holds no SavedModel"):
        load_signatures(tmp_path)
