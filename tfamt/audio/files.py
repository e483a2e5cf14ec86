"""Open and check audio files with FFmpeg's libraries (PyAV).

`tfamt.audio.reading` is the module to use; this is its part for files.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from tfamt.audio.data_size import DataSize, read_data_size
from tfamt.audio.formats import DEMUXERS, EXACT_LENGTHS, STATED_LENGTHS
from tfamt.audio.splicing import with_data_size
from tfamt.errors import InputError, reason_of

SAMPLE_RATE = 16_000
"""Samples per second of everything that `tfamt.audio.reading` returns."""

Waveform: TypeAlias = npt.NDArray[np.float32]
File: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 2_000, 768_000
_KINDS = "Recordings are audio or video files that FFmpeg can play: wav, flac, mp3, m4a, ogg, opus, mp4 and others."
_BUFFER_BYTES = 2**18
_OPTIONS = {
    "format_whitelist": ",".join(DEMUXERS),
    "protocol_whitelist": "data",
    # Bytes in a packet of a wav; the default of FFmpeg is a sixteenth of it, and slow.
    "max_size": str(2**16),
}


@dataclass(frozen=True)
class AudioInfo:
    """What is known of a recording before it is decoded.

    Attributes:
      sample_rate: samples per second of the recording itself.
      channels: number of channels.
      num_frames: samples per channel, at `sample_rate`; an estimate unless `is_exact`, 0 if there is none.
      format: the container in FFmpeg's words, such as "wav" or "mov", or "array".
      codec: the coding of samples in FFmpeg's words, such as "pcm_s24le" or "aac", or the dtype of an array.
      is_exact: whether exactly `num_frames` will be decoded.
    """

    sample_rate: int
    channels: int
    num_frames: int
    format: str
    codec: str
    is_exact: bool = True

    @property
    def duration(self) -> float:
        """Return the length in seconds."""
        return self.num_frames / self.sample_rate

    @property
    def num_samples(self) -> int:
        """Return the number of samples at 16 kHz: num_frames * 16000 / sample_rate, rounded, halves up."""
        return (2 * self.num_frames * SAMPLE_RATE + self.sample_rate) // (2 * self.sample_rate)


@dataclass(frozen=True)
class OpenFile:
    """A file that FFmpeg has opened.

    Attributes:
      container: of PyAV.
      stream: its first audio stream.
      source: the bytes of the file.
      name: of the file, in messages.
      info: what its header states.
      stated_seconds: length according to the header; None if the header states none.
      data_size: of the samples, for files that state it.
    """

    container: Any
    stream: Any
    source: BinaryIO
    name: str
    info: AudioInfo
    stated_seconds: float | None
    data_size: DataSize | None

    @property
    def demuxer(self) -> str:
        """Return FFmpeg's name of the kind of file."""
        return self.info.format


def file_name(audio: File) -> str:
    """Return the name of a file in messages."""
    if isinstance(audio, str | os.PathLike):
        return os.fspath(audio)
    name = getattr(audio, "name", None)
    return name if isinstance(name, str) else "<bytes>"


def checked_rate(sample_rate: float, name: str) -> int:
    """Return the rate as a whole number of Hz, if recordings have such a rate."""
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE or sample_rate != int(sample_rate):
        raise InputError(
            f"has a sample rate that no recording has: {sample_rate} Hz",
            path=name,
            fix=f"It must be a whole number in {MIN_SAMPLE_RATE}..{MAX_SAMPLE_RATE}.",
        )
    return int(sample_rate)


def require_samples(count: int, name: str) -> None:
    """Refuse a recording without any sample."""
    if count == 0:
        raise InputError("holds no samples", path=name, fix="Record or export it again.")


@contextlib.contextmanager
def open_file(audio: File, sample_rate: int | None) -> Iterator[OpenFile]:
    """Open a file, or the content of one, and read its header.

    Raises:
      InputError: the file cannot be opened, or is no audio.
    """
    name = file_name(audio)
    if sample_rate is not None:
        raise InputError(
            "states its own sample rate",
            path=name,
            fix=f"Leave sample_rate out, it is for arrays. Received: {sample_rate}.",
        )
    with contextlib.ExitStack() as stack:
        source: Any = _open_source(audio, stack)
        size = source.seek(0, io.SEEK_END)
        if size == 0:
            raise InputError("is empty (0 bytes)", path=name, fix="Record or export it again.")
        data_size = read_data_size(source, size)
        if data_size is not None and data_size.open_start is not None:
            source = with_data_size(source, data_size.open_start, data_size.announced)
        yield _open_container(source, name, data_size, stack)


def _open_source(audio: File, stack: contextlib.ExitStack) -> BinaryIO:
    if isinstance(audio, bytes | bytearray | memoryview):
        return stack.enter_context(io.BytesIO(audio))
    if isinstance(audio, str | os.PathLike):
        return stack.enter_context(_open_regular(audio))
    return audio


def _open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISREG(mode):
            return open(name, "rb")
    except FileNotFoundError as error:
        raise InputError("does not exist", path=name, fix="Check the file name.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot be opened ({reason})", path=name, fix="Check its name and permissions."
        ) from error
    kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    raise InputError(f"is {kind}", path=name, fix=_KINDS)


# PyAV 19 decodes a tag when it is read, 18 all of them when a file is opened.
_TAGS: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)


def _open_container(
    source: BinaryIO, name: str, data_size: DataSize | None, stack: contextlib.ExitStack
) -> OpenFile:
    source.seek(0)
    try:
        container = stack.enter_context(
            av.open(
                source,
                options=_OPTIONS,
                **_TAGS,
                buffer_size=_BUFFER_BYTES,
            )
        )
    except (av.error.FFmpegError, ValueError) as error:
        source.seek(0)
        if source.read(8)[4:] == b"ftyp":
            problem = "is truncated: its index, which stands at the end, is missing"
            fix = "Copy or export the file again; a recording that was not finished has no index."
            raise InputError(problem, path=name, fix=fix) from error
        problem = f"is not audio that can be read ({reason_of(error)})"
        raise InputError(problem, path=name, fix=_KINDS) from error
    if not container.streams.audio:
        raise InputError("holds no audio", path=name, fix=_KINDS)
    stream = container.streams.audio[0]
    # Numbers of the header alone: decoding finds the others.
    stated = _stated_seconds(container, stream)
    return OpenFile(
        container,
        stream,
        source,
        name,
        _info(container, stream, name, data_size),
        stated,
        data_size,
    )


def _info(container: Any, stream: Any, name: str, data_size: DataSize | None) -> AudioInfo:
    context = stream.codec_context
    demuxer = demuxer_of(container)
    if context is None or not context.codec:
        raise InputError("holds audio that FFmpeg cannot decode", path=name, fix=_KINDS)
    rate = checked_rate(context.sample_rate or 0, name)
    codec = context.name
    pcm = codec.startswith("pcm_")
    if pcm and data_size is not None and context.bit_rate:
        frame_bytes = max(1, context.bit_rate // (8 * rate))
        frames = min(data_size.announced, data_size.available) // frame_bytes
    else:
        frames = round(_seconds(container, stream) * rate)
    exact = frames > 0 and (pcm or demuxer in EXACT_LENGTHS)
    return AudioInfo(rate, context.channels or 1, frames, demuxer, codec, exact)


def demuxer_of(container: Any) -> str:
    """Return the first of FFmpeg's names of a kind of file."""
    return str(container.format.name).split(",")[0]


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, (container.duration or 0) / av.time_base)


def _stated_seconds(container: Any, stream: Any) -> float | None:
    demuxer = demuxer_of(container)
    if demuxer not in STATED_LENGTHS:
        return None
    if demuxer == "matroska" and len(container.streams) > len(container.streams.audio):
        # The duration is that of the longest stream; those of the others stand in tags, if anywhere.
        return _tagged_seconds(stream)
    return _seconds(container, stream) or None


def _tagged_seconds(stream: Any) -> float | None:
    try:
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
    except (KeyError, ValueError):
        return None
