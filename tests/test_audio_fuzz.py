"""Audio that is broken in ways nobody thought of: an error that says so, or sound; never anything else.

TFAMT_FUZZ_CASES=10000 makes as many cases as the environment says instead of 200.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import resource
import struct
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfamt.audio import Audio, read_blocks
from tfamt.audio_stream import open_stream
from tfamt.errors import InputError

CASES = int(os.environ.get("TFAMT_FUZZ_CASES", "200"))
MEMORY = 2**31
SECONDS = 60.0
"""Longer means that it hangs."""
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
# Numbers that overflow, as they may stand in a header.
EXTREMES = [
    struct.pack(form, value)
    for form, values in (
        ("<B", (0, 127, 128, 255)),
        ("<H", (0, 1, 0x7FFF, 0xFFFF)),
        ("<I", (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
        ("<Q", (0, 2**40, 2**63 - 1, 2**64 - 1)),
    )
    for value in values
]


def encoded(kind: tuple[str, str]) -> bytes:
    file = io.BytesIO()
    rate = 48000 if kind[1] == "OPUS" else 44100
    noise = np.random.default_rng(0).normal(0, 0.1, (3000, 2))
    soundfile.write(file, noise, rate, format=kind[0], subtype=kind[1])
    return file.getvalue()


SEEDS = [encoded(kind) for kind in KINDS]


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        # Most of what matters stands in the first bytes.
        end = draw(st.sampled_from((64, 300, len(content))))
        position = draw(st.integers(0, max(min(end, len(content)) - 1, 0)))
        piece = draw(st.one_of(st.sampled_from(EXTREMES), st.binary(min_size=1, max_size=8)))
        match draw(st.sampled_from(("replace", "insert", "delete", "cut", "double"))):
            case "replace":
                content[position : position + len(piece)] = piece
            case "insert":
                content[position:position] = piece
            case "delete":
                del content[position : position + len(piece)]
            case "cut":
                del content[position:]
            case _:
                content += content[position:]
    return bytes(content)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """A limit to memory, and to time: who hangs is ended with a traceback."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.one_of(broken(), broken(), st.binary(max_size=200)))
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
