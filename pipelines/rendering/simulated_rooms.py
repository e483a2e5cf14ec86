"""Simulate room responses of random rooms.

Rectangular rooms by image sources and ray tracing (pyroomacoustics; Allen and Berkley, "Image method for efficiently
simulating small-room acoustics", JASA 1979). Size, surfaces, and the places of piano and microphone are drawn at
random, from a close microphone in a dry studio to a far one in a hall.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tfamt.audio.reading import SAMPLE_RATE
from tfamt.utils.atomic_files import atomic_path

Waveform = NDArray[np.float32]

SURFACES = ("east", "west", "north", "south", "ceiling", "floor")
BANDS_HZ = (125, 250, 500, 1000, 2000, 4000)
"""Octaves by which the absorption of surfaces is given."""
LONGEST = 4.0
"""Seconds of a response at the most."""
_FLOOR_DB = -60.0
_IMAGE_ORDER = 6
_CLEARANCE = 0.5


@dataclass(frozen=True)
class Room:
    """A room, and where piano and microphone stand in it.

    Attributes:
      size: length, width and height in metres [3].
      absorption: share of the energy that a surface swallows, by `SURFACES` and `BANDS_HZ` [6, 6].
      scattering: share of what it throws back in all directions.
      piano: metres [3].
      microphone: metres [3].
    """

    size: NDArray[np.float64]
    absorption: NDArray[np.float64]
    scattering: float
    piano: NDArray[np.float64]
    microphone: NDArray[np.float64]


def draw(random: np.random.Generator) -> Room:
    """Draw a room: 3 to 15 m long, as dry as a studio or as bare as concrete."""
    length = np.exp(random.uniform(np.log(3.0), np.log(15.0)))
    height = random.uniform(2.3, 3.2) * max(length / 4.0, 1.0) ** 0.4
    size = np.array([length, max(length * random.uniform(0.5, 1.0), 2.5), height])
    middle = np.exp(random.uniform(np.log(0.06), np.log(0.5)))
    # Surfaces differ from each other, and each leans towards high or low frequencies.
    of_surface = np.exp(random.normal(0.0, 0.5, (len(SURFACES), 1)))
    lean = random.normal(0.15, 0.3, (len(SURFACES), 1)) * np.linspace(-1.0, 1.0, len(BANDS_HZ))
    absorption = np.clip(middle * of_surface * np.exp(lean), 0.02, 0.95)
    piano = _place(random, size, 0.6, 1.2)
    microphone = _place(random, size, 0.8, 2.5)
    away = microphone - piano
    # Uniform places are mostly far from each other; half of the microphones stand near.
    distance = max(float(np.linalg.norm(away)), 1e-3)
    wanted = distance * random.choice([random.uniform(0.1, 1.0), 1.0])
    microphone = piano + away * max(wanted, min(0.3, distance)) / distance
    return Room(size, absorption, random.uniform(0.05, 0.5), piano, microphone)


def respond(room: Room, seed: int) -> Waveform:
    """Return the response from the piano to the microphone, float32 [samples] at 16 kHz, of unit energy.

    Args:
      room: the room.
      seed: of the rays.

    Returns:
      From the arrival of the direct sound until what is left lies 60 dB below the whole.
    """
    import pyroomacoustics

    pyroomacoustics.random.seed(seed)
    materials = {
        surface: pyroomacoustics.Material(
            {"coeffs": list(bands), "center_freqs": list(BANDS_HZ)}, room.scattering
        )
        for surface, bands in zip(SURFACES, room.absorption, strict=True)
    }
    simulated = pyroomacoustics.ShoeBox(
        room.size,
        fs=SAMPLE_RATE,
        materials=materials,
        max_order=_IMAGE_ORDER,
        ray_tracing=True,
        air_absorption=True,
    )
    simulated.add_source(room.piano)
    simulated.add_microphone(room.microphone)
    simulated.compute_rir()
    response = np.asarray(simulated.rir[0][0], np.float64)
    # Fractional delays smear each arrival over the library's filter; the peak of the direct one is half of it later.
    distance = float(np.linalg.norm(room.microphone - room.piano))
    delay = pyroomacoustics.constants.get("frac_delay_length") // 2
    direct = int(distance / simulated.c * SAMPLE_RATE) + delay
    response = response[direct : direct + round(LONGEST * SAMPLE_RATE)]
    left = np.cumsum(response[::-1] ** 2)[::-1]
    kept = response[left >= left[0] * 10 ** (_FLOOR_DB / 10)]
    of_unit_energy: Waveform = (kept / np.sqrt(np.square(kept).sum())).astype(np.float32)
    return of_unit_energy


def write_room(path: Path, number: int) -> None:
    """Simulate the room of a number and writes its response, a FLAC file of 24 bits; depends on the number alone.

    Raises:
      InputError: the file cannot be written.
    """
    response = respond(draw(np.random.default_rng([number, 0x400])), number)
    with atomic_path(path) as beside:
        soundfile.write(beside, response, SAMPLE_RATE, format="FLAC", subtype="PCM_24")


def _place(
    random: np.random.Generator, size: NDArray[np.float64], lowest: float, highest: float
) -> NDArray[np.float64]:
    """Draw a place in a room, half a metre or more from its walls, between two heights."""
    flat = random.uniform(_CLEARANCE, size[:2] - _CLEARANCE)
    return np.append(flat, random.uniform(lowest, min(highest, size[2] - _CLEARANCE)))
