"""Read recordings of any kind as 16 kHz mono float32 samples, in bounded memory.

Files are decoded by libsndfile (soundfile) and resampled by soxr in its HQ setting: pass band up to
7.3 kHz of the 8 kHz there are, linear phase, no delay. Channels are averaged. Nothing here needs TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

from tfamt.audio.files import (
    SAMPLE_RATE,
    VALUES_PER_READ,
    AudioInfo,
    File,
    Waveform,
    checked_rate,
    file_chunks,
    file_name,
    open_file,
    require_samples,
)
from tfamt.errors import InputError

__all__ = [
    "SAMPLE_RATE",
    "Audio",
    "AudioInfo",
    "File",
    "Resampler",
    "Waveform",
    "mono_chunks",
    "native_chunks",
    "probe",
    "read",
    "read_blocks",
    "read_native",
    "resample",
]

Audio: TypeAlias = str | os.PathLike[str] | bytes | npt.NDArray[Any]
"""A file name, the content of a file, or samples (which need a `sample_rate`).

Arrays are [samples] or [samples, channels]; floats span -1..1 (values beyond are taken as they are),
integers (uint8, int8, int16, int32) are divided by their full scale.
"""

_MAX_CHANNELS = 1024
_INTEGER_SCALES = {"uint8": 2.0**7, "int8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}


def probe(audio: Audio, *, sample_rate: int | None = None) -> AudioInfo:
    """Read the header of a recording and checks it, without decoding.

    The number of frames is exact even where the header does not state it (wav written to a pipe, mp3
    without a length tag).

    Args:
      audio: see `Audio`.
      sample_rate: samples per second of an array; not allowed with files.

    Raises:
      InputError: there is no readable audio; see `read_blocks`.
    """
    if isinstance(audio, np.ndarray):
        return _array_info(audio, sample_rate)
    with open_file(audio, sample_rate) as (_, info, _):
        return info


def read_blocks(
    audio: Audio, *, sample_rate: int | None = None, block_seconds: float = 20.0
) -> Generator[Waveform, None, None]:
    """Decode a recording piece by piece to 16 kHz mono.

    The blocks joined are the same samples, bit by bit, for any `block_seconds`; there are
    `AudioInfo.num_samples` of them and none is delayed. Faults of the header are raised by this call,
    faults further on when iteration gets there. The file is closed at the end of the iteration;
    use `contextlib.closing` to stop early.

    Args:
      audio: see `Audio`.
      sample_rate: samples per second of an array; not allowed with files.
      block_seconds: length of the blocks; the last one may be shorter.

    Returns:
      An iterator of float32 [round(block_seconds * 16000)].

    Raises:
      InputError: the file is missing, not audio of a supported kind, truncated or damaged, holds no
        samples or some that are not finite numbers, or has a sample rate out of 2..768 kHz; or the
        array has a wrong dtype or shape, or lacks its sample rate.
      ValueError: `block_seconds` is shorter than a sample.
    """
    size = round(block_seconds * SAMPLE_RATE)
    if size < 1:
        raise ValueError(f"block_seconds must be at least one sample. Received: {block_seconds}")
    info = probe(audio, sample_rate=sample_rate)
    if info.num_samples == 0:
        raise InputError(
            f"is too short: {info.num_frames} samples at {info.sample_rate} Hz",
            path=_name(audio),
            fix="At least one sample at 16 kHz is needed.",
        )
    return _blocks(_native_chunks(audio, info), info.sample_rate, size)


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
    return _native_chunks(audio, probe(audio, sample_rate=sample_rate))


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


def _name(audio: Audio) -> str:
    return "<array>" if isinstance(audio, np.ndarray) else file_name(audio)


# --- the stream: chunks at the recording's rate -> 16 kHz -> blocks of one size ---


def _native_chunks(audio: Audio, info: AudioInfo) -> Iterator[Waveform]:
    chunks = _array_chunks(audio) if isinstance(audio, np.ndarray) else file_chunks(audio)
    return mono_chunks(chunks, info.sample_rate, _name(audio))


def mono_chunks(chunks: Iterable[Waveform], sample_rate: int, name: str) -> Iterator[Waveform]:
    """Average the channels of chunks [samples, channels] to [samples].

    Raises:
      InputError: a sample is not a finite number; the message names the file and the time.
    """
    done = 0
    for chunk in chunks:
        # Two steps, so that a sum of huge values cannot overflow to infinity.
        # A signalling NaN is reported below, like any other.
        with np.errstate(invalid="ignore"):
            mono = (chunk / np.float32(chunk.shape[1])).sum(axis=1, dtype=np.float32)
        finite = np.isfinite(mono)
        if not finite.all():
            first = int(np.argmin(finite))
            raise InputError(
                "holds samples that are not finite numbers (NaN or infinite), the first at "
                f"{(done + first) / sample_rate:.3f} s",
                path=name,
                fix="Export it again, or replace those samples.",
            )
        yield mono
        done += len(mono)


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
    chunks: Iterator[Waveform], sample_rate: int, size: int
) -> Generator[Waveform, None, None]:
    block, filled = np.empty(size, np.float32), 0
    with contextlib.closing(_resampled(chunks, sample_rate)) as pieces:  # type: ignore[type-var]
        for piece in pieces:
            while len(piece):
                part = piece[: size - filled]
                block[filled : filled + len(part)] = part
                filled += len(part)
                piece = piece[len(part) :]
                if filled == size:
                    yield block
                    block, filled = np.empty(size, np.float32), 0
    if filled:
        yield block[:filled]


# --- arrays ---


def _array_info(array: npt.NDArray[Any], sample_rate: int | None) -> AudioInfo:
    name = _name(array)
    if sample_rate is None:
        raise InputError("needs its sample rate", path=name, fix="Pass sample_rate=.")
    if array.dtype.kind != "f" and array.dtype.name not in _INTEGER_SCALES:
        raise InputError(
            "must hold floats, uint8, int8, int16 or int32",
            path=name,
            fix=f"Received: dtype {array.dtype}.",
        )
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= _MAX_CHANNELS):
        raise InputError(
            f"must be [samples] or [samples, channels] with at most {_MAX_CHANNELS} channels",
            path=name,
            fix=f"Received: shape {array.shape}.",
        )
    channels = array.shape[1] if array.ndim == 2 else 1
    rate = checked_rate(sample_rate, name)
    require_samples(len(array), name)
    return AudioInfo(rate, channels, len(array), "ARRAY", array.dtype.name)


def _array_chunks(array: npt.NDArray[Any]) -> Iterator[Waveform]:
    columns = array if array.ndim == 2 else array[:, np.newaxis]
    scale = np.float32(_INTEGER_SCALES.get(array.dtype.name, 1.0))
    middle = np.float32(128 if array.dtype == np.uint8 else 0)
    step = max(1, VALUES_PER_READ // columns.shape[1])
    for start in range(0, len(columns), step):
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite and is reported as such
            yield (columns[start : start + step].astype(np.float32) - middle) / scale
