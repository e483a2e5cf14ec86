"""Transcribe with a model on TensorFlow Serving: windows go out, rolls come back, notes are decoded here.

Addresses: grpc://HOST:PORT/MODEL, http://HOST:PORT/MODEL, https://HOST:PORT/MODEL. The model is one that bin/export
wrote; its config is asked from the server, so the same windows are cut and the same notes decoded as where the model
runs in this process. What a server sends is checked before it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tfamt.audio.reading import SAMPLE_RATE
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.notes.table import NUM_PITCHES
from tfamt.serving.answers import Answer, Channel, TemporaryError, brief
from tfamt.serving.channels import GrpcChannel, RestChannel
from tfamt.transcription.backends import Array
from tfamt.transcription.transcriber import Transcriber

DEFAULT_MODEL = "piano"
TIMEOUT = 60.0
"""Seconds for one answer."""
RETRIES = 3
FIRST_WAIT = 0.5
"""Seconds before the first retry; each that follows waits twice as long."""
MAX_WINDOW_SAMPLES = 2**24
"""Of a server's model, 17 minutes: what asks for more is a mistake."""


class ServingClient:
    """A model behind an address; a `tfamt.transcription.backends.Backend`.

    Attributes:
      address: as given.
      config: of the served model.
    """

    def __init__(self, address: str, channel: Channel, *, retries: int = RETRIES):
        self.address = address
        self._channel = channel
        self._retries = retries
        self.config = self._fetch_config()
        self._grid = self.config.spectrogram.grid

    def __call__(self, waveform: Array, loudness: Array) -> dict[str, Array]:
        """Run the model on windows [batch, samples] of recordings of this loudness [batch]."""
        frames = self._grid.num_frames(waveform.shape[1])
        roll = Answer((len(waveform), frames, NUM_PITCHES))
        answers = dict.fromkeys(self.config.model.heads, roll)
        answers["frame_times"] = Answer((len(waveform), frames))
        inputs = {"waveform": waveform}
        signature = "serving_default"
        if self.config.spectrogram.normalizes_loudness:
            inputs["loudness"] = loudness
            signature = "windows"
        outputs = self._predict(signature, inputs, answers)
        expected = self._grid.time_of(np.arange(frames))
        if not np.abs(outputs.pop("frame_times") - expected).max(initial=0.0) < 1e-3:
            raise self._wrong("times of frames that do not belong to its config")
        for name, array in outputs.items():
            if not (array >= -1e-3).all() or not (array <= 1 + 1e-3).all():
                raise self._wrong(f"{name} beyond 0..1")
        return outputs

    def _fetch_config(self) -> Config:
        (text,) = self._predict("config", {"request": [""]}, {"config": Answer((1,), text=True)})[
            "config"
        ]
        try:
            config = Config.from_json(text)
        except InputError as error:
            raise self._wrong(f"no config of tfamt: {brief(error)}") from error
        samples = config.window_samples
        if config.spectrogram.sample_rate != SAMPLE_RATE or samples > MAX_WINDOW_SAMPLES:
            raise self._wrong(
                f"a config with windows of {samples} samples at {config.spectrogram.sample_rate} Hz"
            )
        return config

    def _predict(
        self, signature: str, inputs: Mapping[str, Any], answers: Mapping[str, Answer]
    ) -> dict[str, Any]:
        """Call `Channel.predict`, again if the server is unavailable for a moment."""
        wait, attempts = FIRST_WAIT, 0
        while True:
            attempts += 1
            try:
                return self._channel.predict(signature, inputs, answers)
            except TemporaryError as error:
                if attempts > self._retries:
                    raise InputError(
                        f"the server does not answer ({brief(error)}), tried {attempts} times",
                        path=self.address,
                        fix="Check that it runs and that the address is right.",
                    ) from error
            except InputError as error:
                raise InputError(error.problem, path=self.address, fix=error.fix) from error
            time.sleep(wait)
            wait *= 2

    def _wrong(self, what: str) -> InputError:
        return InputError(
            f"the server sent {what}", path=self.address, fix="Serve a model that bin/export wrote."
        )


def connect(address: str, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> ServingClient:
    """Return the client for an address.

    Args:
      address: grpc://HOST:PORT/MODEL, http://... or https://...; the model is "piano" if none is named.
      timeout: seconds to wait for each answer.
      retries: how often a server that cannot be reached, or is overloaded, is asked again.

    Raises:
      InputError: the address is invalid, no server answers, or its model is not of tfamt.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address(address) from error
    model = parts.path.strip("/") or DEFAULT_MODEL
    if parts.scheme not in CHANNELS or not host or "/" in model or parts.query or parts.fragment:
        raise _no_address(address)
    if port is None and parts.scheme == "grpc":
        raise _no_address(address)
    channel = CHANNELS[parts.scheme](f"{parts.scheme}://{parts.netloc}", model, timeout)
    return ServingClient(address, channel, retries=retries)


def remote_transcriber(
    address: str, *, timeout: float = TIMEOUT, retries: int = RETRIES
) -> Transcriber:
    """Return a transcriber whose network runs on a server; arguments and errors as of `connect`."""
    client = connect(address, timeout=timeout, retries=retries)
    return Transcriber(client.config, client)


def _no_address(address: str) -> InputError:
    return InputError(
        f"a server's address is grpc://HOST:PORT/MODEL or http://HOST:PORT/MODEL. Received: {address}"
    )


def _grpc(origin: str, model: str, timeout: float) -> Channel:
    return GrpcChannel(origin.partition("://")[2], model, timeout)


def _rest(origin: str, model: str, timeout: float) -> Channel:
    return RestChannel(origin, model, timeout)


CHANNELS: dict[str, Callable[[str, str, float], Channel]] = {
    "grpc": _grpc,
    "http": _rest,
    "https": _rest,
}
