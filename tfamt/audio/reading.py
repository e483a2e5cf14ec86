"""Read recordings of any kind as 16 kHz mono float32 samples, in bounded memory.

Files are decoded by FFmpeg's libraries (PyAV) and resampled by soxr in its HQ setting: pass band up to 7.3 kHz of the
8 kHz there are, linear phase, no delay. Channels are averaged (`tfamt.audio.mixing`). Nothing here needs TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable, Iterator
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

from tfamt.audio.arrays import ARRAY_NAME, array_chunks, array_info
from tfamt.audio.decoding import decode
from tfamt.audio.files import (
    SAMPLE_RATE,
    AudioInfo,
    File,
    Waveform,
    checked_rate,
    file_name,
    open_file,
)
from tfamt.audio.mixing import Mixer
from tfamt.errors import IncompleteError, InputError

__all__ = [
    "SAMPLE_RATE",
    "Audio",
    "AudioInfo",
    "File",
    "Resampler",
    "Waveform",
    "count_samples",
    "mono_chunks",
    "native_chunks",
    "probe",
    "read",
    "read_blocks",
    "read_native",
    "resample",
]

Audio: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | npt.NDArray[Any]
)
"""A file name, the content of a file, an open file (binary, read from its beginning), or samples.

Samples need a `sample_rate`: an array [samples], [samples, channels] or [channels, samples]
(`tfamt.audio.arrays.array_chunks`).
"""


def probe(audio: Audio, *, sample_rate: int | None = None) -> AudioInfo:
    """Read the header of a recording, without decoding.

    Args:
      audio: see `Audio`.
      sample_rate: samples per second of an array; not allowed with files.

    Raises:
      InputError: there is no readable audio; see `read_blocks`.
    """
    if isinstance(audio, np.ndarray):
        return array_info(audio, sample_rate)
    with open_file(_seekable(audio), sample_rate) as file:
        return file.info


def count_samples(audio: Audio, *, sample_rate: int | None = None) -> int:
    """Return how many samples `read` gives, decoding the recording where its header does not state it.

    Args and errors are those of `read`.
    """
    info = probe(audio, sample_rate=sample_rate)
    if info.is_exact:
        return info.num_samples
    return sum(len(block) for block in read_blocks(audio, sample_rate=sample_rate))


def read_blocks(
    audio: Audio,
    *,
    sample_rate: int | None = None,
    block_seconds: float = 20.0,
    faults: list[IncompleteError] | None = None,
) -> Generator[Waveform, None, None]:
    """Decode a recording piece by piece to 16 kHz mono.

    The blocks joined are the same samples, bit by bit, for any `block_seconds`, and none is delayed. Faults of the
    header are raised by this call, faults further on when iteration gets there. The file is closed at the end of the
    iteration; use `contextlib.closing` to stop early.

    Args:
      audio: see `Audio`.
      sample_rate: samples per second of an array; not allowed with files.
      block_seconds: length of the blocks; the last one may be shorter.
      faults: where given, a recording that breaks off ends there, and the reason is appended instead of raised.

    Returns:
      An iterator of float32 [round(block_seconds * 16000)].

    Raises:
      InputError: the file is missing, not audio that FFmpeg can decode, holds no samples or some that are not finite
        numbers, or has a sample rate out of 2..768 kHz; or the array has a wrong dtype or shape, or lacks its sample
        rate.
      IncompleteError: the recording breaks off.
      ValueError: `block_seconds` is shorter than a sample.
    """
    size = round(block_seconds * SAMPLE_RATE)
    if size < 1:
        raise ValueError(f"block_seconds must be at least one sample. Received: {block_seconds}")
    rate, name, chunks = _open(audio, sample_rate)
    return _blocks(_until_fault(chunks, faults), rate, size, name)


def read(audio: Audio, *, sample_rate: int | None = None) -> Waveform:
    """Decode a whole recording to 16 kHz mono.

    Args:
      audio: see `Audio`.
      sample_rate: samples per second of an array; not allowed with files.

    Returns:
      float32 [samples].

    Raises:
      InputError: as `read_blocks`.
    """
    return np.concatenate(list(read_blocks(audio, sample_rate=sample_rate)))


def native_chunks(audio: Audio, *, sample_rate: int | None = None) -> Iterator[Waveform]:
    """Decode a recording piece by piece to mono, float32 [samples] each, at its own sample rate.

    Args and errors are those of `read_blocks`.
    """
    return _open(audio, sample_rate)[2]


def read_native(audio: Audio, *, sample_rate: int | None = None) -> Waveform:
    """Decode a whole recording to mono at its own sample rate.

    Args and errors are those of `read`.

    Returns:
      float32 [num_frames].
    """
    return np.concatenate(list(native_chunks(audio, sample_rate=sample_rate)))


def resample(waveform: Waveform, sample_rate: int) -> Waveform:
    """Resample a mono waveform (float32 [samples]) to 16 kHz: the same samples as `read` gives."""
    return np.concatenate([waveform[:0], *_resampled([waveform], sample_rate)])


# --- the stream: chunks at the recording's rate -> 16 kHz -> blocks of one size ---


def _open(audio: Audio, sample_rate: int | None) -> tuple[int, str, Iterator[Waveform]]:
    """Return sample rate, name and mono chunks of a recording whose header is checked."""
    if isinstance(audio, np.ndarray):
        rate = array_info(audio, sample_rate).sample_rate
        return rate, ARRAY_NAME, mono_chunks(array_chunks(audio), rate, ARRAY_NAME)
    file = _seekable(audio)
    steps = _opened(file, sample_rate)
    # The first step opens the file; a generator that has begun closes it however it ends.
    info = next(steps)
    assert isinstance(info, AudioInfo)
    name = file_name(file)
    return info.sample_rate, name, mono_chunks(steps, info.sample_rate, name)  # type: ignore[arg-type]


def _opened(file: File, sample_rate: int | None) -> Iterator[AudioInfo | Waveform]:
    """Yield what the header of a file states, then its chunks."""
    with open_file(file, sample_rate) as opened:
        yield opened.info
        yield from decode(opened)


def _seekable(audio: File) -> File:
    """Return the audio, an open file that cannot seek as its content.

    Raises:
      InputError: it is no recording, or a file open as text.
    """
    if isinstance(audio, str | os.PathLike | bytes | bytearray | memoryview):
        return audio
    if not hasattr(audio, "read") or not hasattr(audio, "seekable"):
        raise InputError(
            f"a recording is a file name, bytes, an open file or an array. Received: {type(audio).__name__}"
        )
    if hasattr(audio, "encoding"):
        raise InputError("is open as text", path=file_name(audio), fix="Open it with mode 'rb'.")
    return audio if audio.seekable() else audio.read()


def _until_fault(
    chunks: Iterator[Waveform], faults: list[IncompleteError] | None
) -> Iterator[Waveform]:
    try:
        yield from chunks
    except IncompleteError as error:
        if faults is None:
            raise
        faults.append(error)


def mono_chunks(chunks: Iterable[Waveform], sample_rate: int, name: str) -> Iterator[Waveform]:
    """Mix the channels of chunks [samples, channels] to [samples] (`tfamt.audio.mixing.Mixer`).

    Raises:
      InputError: a sample is not a finite number; the message names the file and the time.
    """
    mixer = Mixer(sample_rate, name)
    for chunk in chunks:
        yield mixer.push(chunk)
    yield mixer.flush()


class Resampler:
    """A mono waveform that comes in chunks, float32 [samples], to 16 kHz: the same samples for any sizes of chunks.

    Raises:
      InputError: `sample_rate` is none that recordings have.
    """

    def __init__(self, sample_rate: float):
        rate = checked_rate(sample_rate, "<stream>")
        self._stream = (
            None
            if rate == SAMPLE_RATE
            else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        )

    def push(self, chunk: Waveform) -> Waveform:
        """Return the samples that are ready after `chunk`; later chunks bring the rest."""
        return self._stream.resample_chunk(chunk, last=False) if self._stream else chunk

    def flush(self) -> Waveform:
        """Return the samples that are left at the end of the waveform."""
        nothing = np.zeros(0, np.float32)
        return self._stream.resample_chunk(nothing, last=True) if self._stream else nothing


def _resampled(chunks: Iterable[Waveform], sample_rate: int) -> Iterator[Waveform]:
    resampler = Resampler(sample_rate)
    for chunk in chunks:
        yield resampler.push(chunk)
    yield resampler.flush()


def _blocks(
    chunks: Iterator[Waveform], sample_rate: int, size: int, name: str
) -> Generator[Waveform, None, None]:
    """Yield blocks of one size; the last one may be shorter.

    Raises:
      InputError: there is less than one sample at 16 kHz.
    """
    block, filled = np.empty(size, np.float32), 0
    is_empty = True
    with contextlib.closing(_resampled(chunks, sample_rate)) as pieces:  # type: ignore[type-var]
        for piece in pieces:
            while len(piece):
                is_empty = False
                part = piece[: size - filled]
                block[filled : filled + len(part)] = part
                filled += len(part)
                piece = piece[len(part) :]
                if filled == size:
                    yield block
                    block, filled = np.empty(size, np.float32), 0
    if filled:
        yield block[:filled]
    if is_empty:
        raise InputError(
            f"is too short: less than one sample at {SAMPLE_RATE} Hz",
            path=name,
            fix="Record or export it again.",
        )
