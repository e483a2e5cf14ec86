"""Test audio from a pipe, with and without a stated length."""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfamt.audio.reading import read_native
from tfamt.audio.stream import open_stream
from tfamt.errors import InputError

NOISE = np.random.default_rng(5).normal(0, 0.1, (30_001, 2))


def encoded(format_: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, NOISE, 44100, format=format_, subtype=subtype)
    return file.getvalue()


@contextmanager
def piped(content: bytes, size: int = 1001) -> Iterator[io.BufferedReader]:
    """The content through a pipe, in pieces that cut samples in two."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            for start in range(0, len(content), size):
                try:
                    pipe.write(content[start : start + size])
                except BrokenPipeError:
                    return

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as pipe:
        yield pipe
    thread.join()


def received(content: bytes) -> tuple[int, np.ndarray]:
    with piped(content) as pipe, open_stream(pipe) as stream:
        return stream.sample_rate, np.concatenate(list(stream.chunks))


@pytest.mark.parametrize(
    ("format_", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_the_same_samples_as_from_a_file(tmp_path: Path, format_: str, subtype: str) -> None:
    content = encoded(format_, subtype)
    (tmp_path / "file").write_bytes(content)
    rate, samples = received(content)
    assert rate == 44100
    np.testing.assert_array_equal(samples, read_native(tmp_path / "file"))


@pytest.mark.parametrize("size", [0, 0x7FFF0000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_wav_that_does_not_know_its_length(size: int) -> None:
    content = bytearray(encoded("WAV", "PCM_16"))
    _, whole = received(bytes(content))
    position = content.index(b"data") + 4
    struct.pack_into("<I", content, 4, 0xFFFFFFFF)
    struct.pack_into("<I", content, position, size)
    np.testing.assert_array_equal(received(bytes(content))[1], whole)


def test_samples_are_there_before_the_stream_ends() -> None:
    content = encoded("WAV", "PCM_16")
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb", buffering=0) as end:
        end.write(content[:10_044])
        with open_stream(pipe) as stream:
            # The first part came along with the header.
            assert len(next(stream.chunks)) + len(next(stream.chunks)) == 2500


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"Hello", "not audio"),
        (b"RIFF\0\0\0\0WAVEfmt ", "ends within its header"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff" + bytes(50), "do not begin within"),
        (
            encoded("WAV", "PCM_16")[:-100_000],
            r"truncated after 0\.113 s: its header announces 120,004 .* 20,004 came",
        ),
        (encoded("WAV", "PCM_16")[:44], "no samples"),
        (encoded("FLAC", "PCM_16")[:-5000], "standard input.*(damaged|truncated)"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        received(content)
    assert "standard input" in str(caught.value)
