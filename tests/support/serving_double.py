"""Serve a real SavedModel by TensorFlow Serving's two protocols.

It does what TensorFlow Serving documents of Predict: signatures, output filters, named outputs, status codes.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfamt.export.saved_model import load_signatures


class Model:
    """Signatures by name; the first `failures` requests meet a server that is not ready."""

    def __init__(self, folder: Path, name: str = "piano"):
        self.name = name
        self.signatures = load_signatures(folder)
        self.failures = 0
        self.requests = 0
        self._lock = threading.Lock()

    def ready(self) -> bool:
        with self._lock:
            self.requests += 1
            self.failures -= 1
            return self.failures < 0

    def run(self, name: str, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        if name != self.name:
            raise LookupError(f"Servable not found for request: Latest({name})")
        if signature not in self.signatures:
            raise LookupError(f'Serving signature key "{signature}" not found.')
        outputs = self.signatures[signature](**inputs)
        return {key: value.numpy() for key, value in outputs.items()}


class _Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: Model):
        self.model = model

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name of the protocol
        if not self.model.ready():
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        inputs = {name: tf.constant(tf.make_ndarray(t)) for name, t in request.inputs.items()}
        spec = request.model_spec
        try:
            outputs = self.model.run(spec.name, spec.signature_name or "serving_default", inputs)
        except LookupError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except tf.errors.OpError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse()
        for name in request.output_filter or outputs:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
            if outputs[name].dtype == np.float32:
                # As TensorFlow Serving does by default: one field for each number.
                response.outputs[name].tensor_content = b""
                response.outputs[name].float_val[:] = outputs[name].ravel().tolist()
        return response


@contextlib.contextmanager
def grpc_server(model: Model) -> Iterator[str]:
    """Serves `model`; gives HOST:PORT."""
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Grpc(model), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def rest_server(model: Model) -> Iterator[str]:
    """Serves `model`; gives HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(*_answer(model, self.path, json.loads(body)))

        def answer(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


def _answer(model: Model, path: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if not model.ready():
        return 503, {"error": "not yet"}
    name = path.removeprefix("/v1/models/").removesuffix(":predict")
    inputs = {
        key: tf.constant(value, tf.string if key in ("request", "content") else tf.float32)
        for key, value in request["inputs"].items()
    }
    try:
        outputs = model.run(name, request.get("signature_name", "serving_default"), inputs)
    except LookupError as error:
        return 404, {"error": str(error)}
    except tf.errors.OpError as error:
        return 400, {"error": error.message}
    columns = {
        key: [v.decode() for v in value] if value.dtype == object else value.tolist()
        for key, value in outputs.items()
    }
    return 200, {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}


@contextlib.contextmanager
def raw_server(answers: bytes, *, chunk: int = 2**20, wait: float = 0.0) -> Iterator[str]:
    """Send the same bytes to every client, for any request; `chunk` bytes at once."""
    import socket
    import socketserver
    import time

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(2**16)
            with contextlib.suppress(OSError):
                for start in range(0, len(answers), chunk):
                    self.request.sendall(answers[start : start + chunk])
                    time.sleep(wait)
                # Closed with something unread, the connection would be reset, and the answer lost with it.
                self.request.shutdown(socket.SHUT_WR)
                self.request.settimeout(5.0)
                while self.request.recv(2**16):
                    pass

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with _serving(Server(("127.0.0.1", 0), Handler)) as address:
        yield address


@contextlib.contextmanager
def _serving(server: Any) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
