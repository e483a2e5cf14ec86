"""Read audio from a stream of bytes without seeking, such as standard input.

A wav of linear samples is decoded as it comes. Every other kind is first read to its end into a temporary file, since
some can be decoded only with their end.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import soundfile

from tfamt.audio.decoding import MAX_MISSING_SECONDS
from tfamt.audio.files import checked_rate
from tfamt.audio.reading import Waveform, mono_chunks, native_chunks, probe
from tfamt.errors import IncompleteError, InputError

NAME = "<standard input>"
_MAX_HEADER = 2**20
_BYTES_PER_READ = 2**16
_UNKNOWN_SIZE = 0x7FFF0000
"""Programs that write to a pipe put this or more (SoX, arecord, ffmpeg), or 0, where the size would stand."""


@dataclass(frozen=True)
class Stream:
    """Audio that comes.

    Attributes:
      sample_rate: Hz.
      chunks: mono, float32 [samples] each, at that rate, as soon as they are there. Iterating raises InputError where
        the audio is damaged or ends before the length in its header.
    """

    sample_rate: int
    chunks: Iterator[Waveform]


@contextlib.contextmanager
def open_stream(file: io.BufferedReader) -> Iterator[Stream]:
    """Open a stream as audio.

    Raises:
      InputError: it is not audio of a supported kind.
    """
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE":
        header, claimed = _wav_header(file, head)
        if stream := _open_wav(file, header, claimed):
            yield stream
            return
        head = bytes(header)
    with tempfile.NamedTemporaryFile(prefix="tfamt-") as whole:
        whole.write(head)
        shutil.copyfileobj(file, whole)
        whole.flush()
        try:
            info = probe(whole.name)
            yield Stream(info.sample_rate, native_chunks(whole.name))
        except InputError as error:
            if error.path != whole.name:
                raise
            raise _renamed(error) from error


def _problem(text: str, fix: str = "") -> InputError:
    return InputError(text, path=NAME, fix=fix)


def _renamed(error: InputError) -> InputError:
    """Return an error of the temporary file as one of the stream."""
    if isinstance(error, IncompleteError):
        return IncompleteError(error.problem, path=NAME, fix=error.fix, seconds=error.seconds)
    return _problem(error.problem, error.fix)


def _open_wav(file: io.BufferedReader, found: bytearray, claimed: int | None) -> Stream | None:
    """Return the samples of a wav whose header was read; None if they are not linear."""
    header = bytearray(found)
    # libsndfile reads the header with a little silence after it.
    silence = bytes(4096)
    struct.pack_into("<4sI", header, 0, b"RIFF", len(header) - 8 + len(silence))
    struct.pack_into("<I", header, len(header) - 4, len(silence))
    try:
        with soundfile.SoundFile(io.BytesIO(bytes(header) + silence)) as known:
            rate, channels, subtype = known.samplerate, known.channels, known.subtype
            frame_bytes = len(silence) // known.frames if known.frames else 0
    except soundfile.LibsndfileError:
        return None
    if not subtype.startswith(("PCM_", "FLOAT", "DOUBLE")) or not frame_bytes:
        return None
    checked_rate(rate, NAME)

    def decoded() -> Iterator[Waveform]:
        for piece in _data(file, claimed, frame_bytes, rate):
            samples, _ = soundfile.read(
                io.BytesIO(piece),
                dtype="float32",
                always_2d=True,
                format="RAW",
                samplerate=rate,
                channels=channels,
                subtype=subtype,
                endian="LITTLE",
            )
            yield samples

    return Stream(rate, mono_chunks(decoded(), rate, NAME))


def _wav_header(file: BinaryIO, head: bytes) -> tuple[bytearray, int | None]:
    """Read everything before the samples, and how many bytes of them follow, None if unknown."""
    header, big = bytearray(head), None
    while True:
        chunk = file.read(8)
        header += chunk
        if len(chunk) < 8:
            raise _problem("ends within its header")
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            if size == 0xFFFFFFFF:
                # All ones: the size stands in a ds64 chunk before, or nowhere.
                return header, big
            return header, None if size == 0 or size >= _UNKNOWN_SIZE else size
        if len(header) + size > _MAX_HEADER:
            raise _problem("is not a wav: its samples do not begin within the first MiB")
        content = file.read(size + size % 2)
        header += content
        if name == b"ds64" and len(content) >= 16:
            (big,) = struct.unpack_from("<Q", content, 8)


def _data(
    file: io.BufferedReader, claimed: int | None, frame_bytes: int, rate: int
) -> Iterator[bytes]:
    """Yield the samples' bytes as they come, in whole frames."""
    done, rest = 0, b""
    while claimed is None or done < claimed:
        wanted = _BYTES_PER_READ if claimed is None else min(_BYTES_PER_READ, claimed - done)
        piece = file.read1(wanted)
        if not piece:
            break
        done += len(piece)
        rest += piece
        whole = len(rest) - len(rest) % frame_bytes
        if whole:
            yield rest[:whole]
            rest = rest[whole:]
    if done == 0:
        raise _problem("holds no samples")
    seconds = done / (frame_bytes * rate)
    if claimed is not None and claimed / (frame_bytes * rate) > seconds + MAX_MISSING_SECONDS:
        raise IncompleteError(
            f"is truncated after {seconds:.3f} s: its header announces {claimed:,} bytes of audio, {done:,} came",
            path=NAME,
            seconds=seconds,
        )
