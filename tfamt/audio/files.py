"""Open, check and decode audio files with libsndfile (soundfile), in pieces.

`tfamt.audio.reading` is the module to use; this is its part for files.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from tfamt.audio import formats as audio_headers
from tfamt.errors import InputError

SAMPLE_RATE = 16_000
"""Samples per second of everything that `tfamt.audio.reading` returns."""

Waveform: TypeAlias = npt.NDArray[np.float32]
File: TypeAlias = str | os.PathLike[str] | bytes

VALUES_PER_READ = 2**17
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 2_000, 768_000
_FORMATS = frozenset(("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"))
_KINDS = "wav, flac, ogg or mp3"
_REPAIR = "Play it to check that it is whole, then copy or export it again."


@dataclass(frozen=True)
class AudioInfo:
    """What is known of a recording before it is decoded.

    Attributes:
      sample_rate: samples per second of the recording itself.
      channels: number of channels.
      num_frames: samples per channel, at `sample_rate`.
      format: "WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3" or "ARRAY".
      subtype: the coding of samples in libsndfile's words ("PCM_24"), or the dtype of an array.
    """

    sample_rate: int
    channels: int
    num_frames: int
    format: str
    subtype: str

    @property
    def duration(self) -> float:
        """Return the length in seconds."""
        return self.num_frames / self.sample_rate

    @property
    def num_samples(self) -> int:
        """Return the number of samples at 16 kHz: num_frames * 16000 / sample_rate, rounded, halves up."""
        return (2 * self.num_frames * SAMPLE_RATE + self.sample_rate) // (2 * self.sample_rate)


class _Sequential(soundfile.SoundFile):
    """A file that is read from its beginning to its end only.

    SoundFile seeks to where it is after each read of a seekable file; in mp3 files libsndfile then
    decodes the next frames without those before them that they depend on, and gives wrong samples.
    """

    def seekable(self) -> bool:
        return False


def file_name(audio: File) -> str:
    """Return the name of a file in messages."""
    return "<bytes>" if isinstance(audio, bytes) else os.fspath(audio)


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
def open_file(
    audio: File, sample_rate: int | None
) -> Iterator[tuple[soundfile.SoundFile, AudioInfo, str]]:
    """Open a file or the content of one, its header checked and repaired where necessary."""
    name = file_name(audio)
    if sample_rate is not None:
        raise InputError(
            "states its own sample rate",
            path=name,
            fix=f"Leave sample_rate out, it is for arrays. Received: {sample_rate}.",
        )
    with contextlib.ExitStack() as stack:
        source: BinaryIO = stack.enter_context(
            io.BytesIO(audio) if isinstance(audio, bytes) else _open_regular(audio)
        )
        data = audio if isinstance(audio, bytes) else _map(source, stack)
        if not data:
            raise InputError("is empty (0 bytes)", path=name, fix="Record or export it again.")
        checked = audio_headers.check(data, name)
        # A descriptor, because libsndfile cannot encode every file name.
        plain: Any = source if isinstance(audio, bytes) else source.fileno()
        try:
            file = stack.enter_context(_Sequential(checked.mended or plain, closefd=False))
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"is not audio that can be read ({_reason(error)})",
                path=name,
                fix=f"Supported are {_KINDS} files; convert others first.",
            ) from error
        yield file, _file_info(file, name), name


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
    raise InputError(f"is {kind}", path=name, fix=f"Name a {_KINDS} file.")


def _map(file: BinaryIO, stack: contextlib.ExitStack) -> audio_headers.Bytes:
    if os.fstat(file.fileno()).st_size == 0:
        return b""
    return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _file_info(file: soundfile.SoundFile, name: str) -> AudioInfo:
    if file.format not in _FORMATS:
        raise InputError(
            f"is {file.format} audio, which is not supported",
            path=name,
            fix=f"Convert it to {_KINDS} first.",
        )
    rate = checked_rate(file.samplerate, name)
    require_samples(file.frames, name)
    return AudioInfo(rate, file.channels, file.frames, file.format, file.subtype)


def file_chunks(audio: File) -> Iterator[Waveform]:
    """Yield the samples of a file at its own rate, piece by piece."""
    with open_file(audio, None) as (file, info, name):
        step = max(1, VALUES_PER_READ // info.channels)
        done = 0
        while done < info.num_frames:
            try:
                chunk = file.read(step, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise _damaged(info, name, done, _reason(error)) from error
            if len(chunk) == 0:
                raise _damaged(info, name, done, "the file ends there")
            yield chunk
            done += len(chunk)


def _damaged(info: AudioInfo, name: str, done: int, reason: str) -> InputError:
    return InputError(
        f"is truncated or damaged: {info.duration:.3f} s are announced, decoding stopped after "
        f"{done / info.sample_rate:.3f} s ({reason})",
        path=name,
        fix=_REPAIR,
    )


def _reason(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).strip().removeprefix("Error : ").rstrip(".")
