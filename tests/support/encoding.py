"""Encode test signals to the files that people have, with FFmpeg's libraries."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest


@dataclass(frozen=True)
class Kind:
    """A way to encode.

    Attributes:
      container, codec: FFmpeg's names.
      rate: Hz.
      suffix: of file names.
      bit_rate: bits per second; 0 for the default.
      options: of the container.
      start: time stamp of the first sample, seconds.
      has_video: whether an empty picture stands beside the sound.
    """

    container: str
    codec: str
    rate: int
    suffix: str
    bit_rate: int = 0
    options: dict[str, str] = field(default_factory=dict)
    start: float = 0.0
    has_video: bool = False

    def __str__(self) -> str:
        more = "".join(f"-{key}={value}" for key, value in self.options.items())
        return f"{self.codec}{self.suffix}{more}" + (f"+{self.start}s" if self.start else "")


def encode(samples: np.ndarray, kind: Kind) -> bytes:
    """Return a file of samples, [samples] or [samples, channels]; skip the test where FFmpeg lacks the encoder."""
    if kind.codec not in av.codecs_available:
        pytest.skip(f"needs an encoder that this build of FFmpeg lacks: {kind.codec}")
    columns = samples.astype(np.float32).reshape(len(samples), -1)
    layout = {1: "mono", 2: "stereo"}[columns.shape[1]]
    # A file, since FFmpeg opens it again to move its index to the front.
    with tempfile.NamedTemporaryFile() as file:
        _write(file.name, columns, layout, kind)
        return Path(file.name).read_bytes()


def _write(path: str, columns: np.ndarray, layout: str, kind: Kind) -> None:
    with av.open(path, "w", format=kind.container, options=kind.options) as output:
        stream = output.add_stream(kind.codec, rate=kind.rate, layout=layout)
        if kind.bit_rate:
            stream.bit_rate = kind.bit_rate
        if kind.has_video:
            picture = output.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 16
            picture.pix_fmt = "yuv420p"
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuv420p")
                frame.pts = number
                output.mux(picture.encode(frame))
            output.mux(picture.encode(None))
        resampler = av.AudioResampler(stream.format, layout, kind.rate)
        for first in range(0, len(columns), 1024):
            part = np.ascontiguousarray(columns[first : first + 1024].T)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base = kind.rate, Fraction(1, kind.rate)
            frame.pts = first + round(kind.start * kind.rate)
            for converted in resampler.resample(frame):
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))


def clicks(rate: int, seconds: int, first: float = 0.5) -> np.ndarray:
    """Return a short decaying tone of 1 kHz every second, [samples]."""
    found = np.zeros(rate * seconds, np.float32)
    time = np.arange(rate // 50) / rate
    tone = 0.8 * np.sin(2 * np.pi * 1000 * time) * np.exp(-300 * time)
    for second in range(seconds):
        begin = round((second + first) * rate)
        found[begin : begin + len(tone)] += tone[: max(0, len(found) - begin)]
    return found


def lag(found: np.ndarray, expected: np.ndarray) -> int:
    """Return by how many samples the first of two like signals is late, by their cross-correlation."""
    size = 2 * max(len(found), len(expected))
    product = np.fft.rfft(found, size) * np.conj(np.fft.rfft(expected, size))
    best = int(np.argmax(np.fft.irfft(product)))
    return best if best <= size // 2 else best - size
