"""Test reading of randomly damaged audio: samples or a clear error."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fuzzing import CASES, bounded, damaged
from tfamt.audio.reading import Audio, read_blocks
from tfamt.audio.stream import open_stream
from tfamt.errors import InputError

KINDS = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("WAV", "IMA_ADPCM"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
)


def encoded(kind: tuple[str, str]) -> bytes:
    file = io.BytesIO()
    rate = 48000 if kind[1] == "OPUS" else 44100
    noise = np.random.default_rng(0).normal(0, 0.1, (3000, 2))
    soundfile.write(file, noise, rate, format=kind[0], subtype=kind[1])
    return file.getvalue()


SEEDS = [encoded(kind) for kind in KINDS]


def check(blocks: Callable[[], Iterable[np.ndarray]]) -> None:
    with bounded():
        try:
            for block in blocks():
                assert np.isfinite(block).all()
                assert 0 < len(block) <= 320_000
        except InputError as error:
            assert str(error).startswith("<")
            assert len(str(error)) < 500


def streamed(content: bytes) -> Iterator[np.ndarray]:
    with open_stream(io.BufferedReader(io.BytesIO(content))) as stream:  # type: ignore[type-var]
        yield from (chunk for chunk in stream.chunks if len(chunk))


@pytest.mark.fuzz
@CASES
@given(content=damaged(*SEEDS) | damaged(*SEEDS) | st.binary(max_size=200))
def test_broken_audio_is_an_error_or_sound(content: bytes) -> None:
    check(lambda: read_blocks(content))
    check(lambda: streamed(content))


def wav(data_size: int, *, big: int | None = None, channels: int = 2) -> bytes:
    """A wav whose header promises what is not there: 2,000 bytes are."""
    layout = struct.pack("<HHIIHH", 1, channels, 44100, 44100, 2 * channels % 65536, 16)
    extra = b"" if big is None else b"ds64" + struct.pack("<IQQQI", 28, big, big, big // 4, 0)
    chunks = extra + b"fmt " + struct.pack("<I", 16) + layout + b"data"
    body = b"WAVE" + chunks + struct.pack("<I", data_size) + bytes(2000)
    return (b"RIFF" if big is None else b"RF64") + struct.pack("<I", 0xFFFFFFFF) + body


@pytest.mark.parametrize(
    "content",
    [
        wav(0xFFFF0000),
        wav(0xFFFFFFFF),
        wav(0x7FFFFFFF),
        wav(0xFFFFFFFF, big=2**60),
        wav(0xFFFFFFFF, channels=500),
        wav(0xFFFF0000, channels=65535),
    ],
)
@pytest.mark.parametrize("read", [read_blocks, streamed])
def test_promised_gigabytes_are_not_allocated(
    content: bytes, read: Callable[[Audio], Iterable[np.ndarray]]
) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(InputError):
            assert sum(len(block) for block in read(content)) <= 500
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
