"""Speak the two protocols of TensorFlow Serving, gRPC and REST, with bounds on every answer.

Shapes are compared with those expected before anything of that size is made; sizes of messages are bounded.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2

from tfamt.errors import InputError
from tfamt.serving.answers import Answer, TemporaryError, brief, checked_array, unusable

CONNECT_SECONDS = 10.0
MAX_MESSAGE_BYTES = 2**26
TEXT_BYTES = 2**20
"""More than any config takes."""
JSON_BYTES = 32
"""More than one number takes in JSON, with its comma and brackets."""
TEMPORARY_STATUS = frozenset({429, 502, 503, 504})


class GrpcChannel:
    """tensorflow.serving.PredictionService/Predict.

    Args:
      target: HOST:PORT.
      model: name of the served model.
      timeout: seconds for one answer.

    Raises:
      InputError: the protocol's definitions are not installed.
    """

    def __init__(self, target: str, model: str, timeout: float):
        try:
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError as error:
            raise InputError(
                "gRPC needs the protocol of TensorFlow Serving",
                fix="pip install grpcio && pip install --no-deps "
                f"'tensorflow-serving-api<={tf.__version__}'",
            ) from error
        self._model = model
        self._timeout = timeout
        options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        channel = grpc.insecure_channel(target, options=options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._temporary = {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        }

    def predict(
        self, signature: str, inputs: Mapping[str, Any], answers: Mapping[str, Answer]
    ) -> dict[str, Any]:
        """Call a signature; see `tfamt.serving.answers.Channel`."""
        import grpc
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        request.output_filter.extend(answers)
        for name, value in inputs.items():
            fill_tensor(request.inputs[name], value)
        try:
            response = self._stub.Predict(request, timeout=self._timeout)
        except grpc.RpcError as error:
            text = f"{error.code().name}: {error.details()}"
            if error.code() in self._temporary:
                raise TemporaryError(text) from error
            raise InputError(f"the server refuses ({brief(text)})") from error
        return {
            name: parse_tensor(response.outputs, name, answer) for name, answer in answers.items()
        }


def fill_tensor(tensor: Any, value: Any) -> None:
    """Write float32 arrays and lists of strings into a TensorProto."""
    if isinstance(value, np.ndarray):
        tensor.dtype = types_pb2.DT_FLOAT
        shape: tuple[int, ...] = value.shape
        tensor.tensor_content = np.ascontiguousarray(value, "<f4").tobytes()
    else:
        tensor.dtype = types_pb2.DT_STRING
        shape = (len(value),)
        tensor.string_val.extend(text.encode() for text in value)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)


def parse_tensor(outputs: Any, name: str, answer: Answer) -> Any:
    """Return the tensor of that name of a PredictResponse, if it is as expected; strings as a list.

    Raises:
      InputError: it is something else.
    """
    if name not in outputs:
        raise unusable(f"it has no {name}")
    tensor = outputs[name]
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    wanted = types_pb2.DT_STRING if answer.text else types_pb2.DT_FLOAT
    if tensor.dtype != wanted or shape != answer.shape:
        raise unusable(f"{name} has type {tensor.dtype} and shape {shape}, not {answer.shape}")
    if answer.text:
        return [_text(content, name) for content in _exactly(tensor.string_val, name, answer)]
    if tensor.tensor_content:
        if len(tensor.tensor_content) != 4 * math.prod(shape):
            raise unusable(f"{name} has {len(tensor.tensor_content)} bytes for shape {shape}")
        values: NDArray[Any] = np.frombuffer(tensor.tensor_content, "<f4")
    else:
        values = np.array(_exactly(tensor.float_val, name, answer), np.float32)
    return checked_array(values.reshape(shape), name, answer)


def _exactly(values: Any, name: str, answer: Answer) -> Any:
    """Return a TensorProto's list of values; the last value of a short list stands for all that follow."""
    size = math.prod(answer.shape)
    if len(values) == size:
        return values
    if not 0 < len(values) < size:
        raise unusable(f"{name} has {len(values)} values for shape {answer.shape}")
    return [*values, *[values[-1]] * (size - len(values))]


class RestChannel:
    """POST /v1/models/MODEL:predict, in the columnar form.

    Args:
      origin: http://HOST:PORT.
      model: name of the served model.
      timeout: seconds for one answer.
    """

    def __init__(self, origin: str, model: str, timeout: float):
        self._url = f"{origin}/v1/models/{model}:predict"
        self._timeout = timeout
        # Several recordings may be under way; sessions are not made for several threads.
        self._sessions = threading.local()

    def predict(
        self, signature: str, inputs: Mapping[str, Any], answers: Mapping[str, Answer]
    ) -> dict[str, Any]:
        """Call a signature; see `tfamt.serving.answers.Channel`."""
        columns = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in inputs.items()
        }
        request = {"signature_name": signature, "inputs": columns}
        limit = TEXT_BYTES + JSON_BYTES * sum(math.prod(a.shape) for a in answers.values())
        status, content = self._post(json.dumps(request).encode(), limit)
        if status in TEMPORARY_STATUS:
            raise TemporaryError(f"status {status}")
        if status != 200:
            text = brief(content[:1000].decode("utf-8", "replace"))
            raise InputError(f"the server refuses (status {status}: {text})")
        return parse_json(content, answers)

    def _post(self, body: bytes, limit: int) -> tuple[int, bytes]:
        """Return status and content of the answer, within `limit` bytes and the timeout."""
        import requests
        import urllib3

        if not hasattr(self._sessions, "own"):
            self._sessions.own = requests.Session()
        deadline = time.monotonic() + self._timeout
        try:
            with self._sessions.own.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=(min(CONNECT_SECONDS, self._timeout), self._timeout),
                stream=True,
                allow_redirects=False,
            ) as response:
                content = bytearray()
                # Reads what there is, so that a server that sends drop by drop does not hold us here.
                while block := response.raw.read1(2**16, decode_content=True):
                    content += block
                    if len(content) > limit:
                        raise unusable(f"it is longer than {limit} bytes")
                    if time.monotonic() > deadline:
                        raise TemporaryError(f"not done after {self._timeout:g} s")
                return response.status_code, bytes(content)
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            urllib3.exceptions.ProtocolError,
            urllib3.exceptions.TimeoutError,
        ) as error:
            raise TemporaryError(_reason(error)) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise unusable(f"it is no HTTP ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    """Return the text of the innermost of nested errors."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return brief(error) or type(error).__name__


def parse_json(content: bytes, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Return the named outputs of a REST answer, if they are as expected; strings as lists.

    Raises:
      InputError: it is something else.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise unusable(f"it is not JSON ({brief(error)})") from error
    if not isinstance(data, dict) or "outputs" not in data:
        raise unusable("it has no outputs")
    outputs = data["outputs"]
    if len(answers) == 1 and not isinstance(outputs, dict):
        # TensorFlow Serving leaves the name of an only output out.
        outputs = dict.fromkeys(answers, outputs)
    if not isinstance(outputs, dict):
        raise unusable("its outputs have no names")
    return {name: _column(outputs, name, answer) for name, answer in answers.items()}


def _column(outputs: Mapping[str, Any], name: str, answer: Answer) -> Any:
    if name not in outputs:
        raise unusable(f"it has no {name}")
    values = outputs[name]
    if not answer.text:
        return checked_array(values, name, answer)
    if not isinstance(values, list) or len(values) != answer.shape[0]:
        raise unusable(f"{name} is not {answer.shape[0]} strings")
    return [_text(value, name) for value in values]


def _text(value: Any, name: str) -> str:
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise unusable(f"{name} is not UTF-8") from error
    if not isinstance(text, str):
        raise unusable(f"{name} is no text")
    return text
