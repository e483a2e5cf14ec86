"""Put room, noise and level on the sound of a synthesiser."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import IO

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from tfamt.audio import reading as audio
from tfamt.errors import InputError

Waveform = NDArray[np.float32]

DIRECT_FRACTION = 0.2
_MAX_RESPONSE = 10 * audio.SAMPLE_RATE
_BLOCK = 2**16
# 1/f to 0.05 dB over the audible range: J. O. Smith, "Spectral Audio Signal Processing", 2011, section 6.14.2.
_PINK = (
    (0.049922035, -0.095993537, 0.050612699, -0.004408786),
    (1.0, -2.494956002, 2.017265875, -0.522189400),
)


@dataclass(frozen=True)
class Sound:
    """Room, noise and level of a recording.

    Attributes:
      room: file of a room response, at most 10 s; None for none.
      noise: "white", "pink" or None.
      noise_below: by how many dB the noise is weaker than the music (root mean square over the recording).
      noise_seed: of the noise.
      peak: largest magnitude of the music, in dB of full scale.
    """

    room: str | None = None
    noise: str | None = None
    noise_below: float = 60.0
    noise_seed: int = 0
    peak: float = -3.0


def record(
    dry: Iterable[Waveform], sound: Sound, samples: int, skip: int = 0
) -> Iterator[Waveform]:
    """Put a sound in its room, add noise and set the level.

    Memory does not grow with the length: the whole, whose level has to be known first, waits in a temporary file.

    Args:
      dry: blocks at 16 kHz.
      sound: what to do.
      samples: how many to return; what `dry` lacks is silence.
      skip: samples to leave out at the beginning.

    Returns:
      Blocks in -1..1. The direct path of the room does not delay them.

    Raises:
      InputError: the room's file is no response, the sound is silent, or the disk is full.
    """
    wet = dry
    if sound.room:
        response, direct = load_response(sound.room)
        wet, skip = _convolved(dry, response), skip + direct
    with tempfile.TemporaryFile(prefix="tfamt-") as store:
        square, peak = _store(_section(wet, skip, samples), store)
        if peak == 0.0:
            raise InputError("makes no sound: none of its notes is played")
        gain = 10 ** (sound.peak / 20) / peak
        level = gain * (square / samples) ** 0.5 * 10 ** (-sound.noise_below / 20)
        noise = noise_source(sound.noise, sound.noise_seed)
        store.seek(0)
        while content := store.read(4 * _BLOCK):
            music = np.frombuffer(content, np.float32)
            yield np.clip(gain * music + level * noise(len(music)), -1.0, 1.0).astype(np.float32)


@lru_cache(maxsize=32)
def load_response(path: str) -> tuple[Waveform, int]:
    """Read a room response at 16 kHz, and the sample of its direct path: the first of a fifth of the peak or more.

    Raises:
      InputError: the file is no audio, silent, or longer than 10 s.
    """
    response = audio.read(path)
    magnitude = np.abs(response)
    if not 0 < len(response) <= _MAX_RESPONSE or magnitude.max() == 0.0:
        raise InputError("is no room response: it is silent or longer than 10 s", path=path)
    return response, int(np.argmax(magnitude >= DIRECT_FRACTION * magnitude.max()))


def _convolved(blocks: Iterable[Waveform], response: Waveform) -> Iterator[Waveform]:
    """Convolve by overlap-add; the result is longer than the blocks by the response less one sample."""
    tail = np.zeros(len(response) - 1, np.float32)
    for block in blocks:
        if len(block):
            wet = signal.oaconvolve(block, response).astype(np.float32)
            wet[: len(tail)] += tail[: len(wet)]
            yield wet[: len(block)]
            tail = wet[len(block) :]
    yield tail


def _section(blocks: Iterable[Waveform], skip: int, samples: int) -> Iterator[Waveform]:
    """Yield samples skip..skip + samples, zeros where there are none."""
    for block in blocks:
        dropped = min(skip, len(block))
        skip -= dropped
        piece = block[dropped : dropped + samples]
        samples -= len(piece)
        yield piece
    yield np.zeros(samples, np.float32)


def _store(blocks: Iterable[Waveform], store: IO[bytes]) -> tuple[float, float]:
    """Write blocks as float32; return the sum of their squares and their peak."""
    square, peak = 0.0, 0.0
    try:
        for block in blocks:
            store.write(block.tobytes())
            square += float(np.square(block, dtype=np.float64).sum())
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
        store.flush()
    except OSError as error:
        raise InputError(
            f"a temporary file cannot be written ({error.strerror})",
            fix="Free some space, or set TMPDIR to a folder on a larger disk.",
        ) from error
    return square, peak


def noise_source(colour: str | None, seed: int) -> Callable[[int], Waveform]:
    """Return a source of noise of unit power that continues where it stopped."""
    generator = np.random.default_rng(seed)
    state = np.zeros(len(_PINK[1]) - 1)
    impulse = signal.lfilter(*_PINK, np.eye(1, _BLOCK)[0])
    unit = float(np.square(impulse).sum()) ** 0.5

    def more(samples: int) -> Waveform:
        nonlocal state
        if colour is None:
            return np.zeros(samples, np.float32)
        white = generator.standard_normal(samples, np.float32)
        if colour == "white":
            return white
        pink, state = signal.lfilter(*_PINK, white, zi=state)
        result: Waveform = (pink / unit).astype(np.float32)
        return result

    return more
