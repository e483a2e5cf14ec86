"""Hold how far training windows are augmented; light to import, since commands read flags into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfamt.errors import InputError


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of training windows; all are off by default.

    Attributes:
      gain_db: gain within +- this, dB.
      equalizer_db: gain of frequency bands within +- this, dB.
      noise_db: loudest added noise relative to the window, dB, of a colour from white to brown; 0 for none.
      reverb: share of windows that are convolved with a room response.
      tuning_cents: tuning within +- this, cents; time is scaled with it.
      transpose_semitones: transposition within +- this, semitones; labels follow.
      room_responses: folders of room responses; one that is named twice counts twice.

    Raises:
      InputError: gain, equalizer, noise or reverb lies out of range; `PitchShift` checks the others.
    """

    gain_db: float = 0.0
    equalizer_db: float = 0.0
    noise_db: float = 0.0
    reverb: float = 0.0
    tuning_cents: float = 0.0
    transpose_semitones: int = 0
    room_responses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.gain_db < 0 or self.equalizer_db < 0:
            raise InputError("augment_gain_db and augment_equalizer_db must be 0 or more")
        if self.noise_db > 0:
            raise InputError(f"augment_noise_db must be 0 or less. Received: {self.noise_db}")
        if not 0 <= self.reverb <= 1:
            raise InputError(f"augment_reverb must lie in 0..1. Received: {self.reverb}")

    @property
    def changes_waveform(self) -> bool:
        """Return whether windows change otherwise than in pitch."""
        return any((self.gain_db, self.equalizer_db, self.noise_db, self.reverb))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings under the names of their flags, as a run folder stores them."""
        names = ("gain_db", "equalizer_db", "noise_db", "reverb")
        stored: dict[str, Any] = {f"augment_{name}": getattr(self, name) for name in names}
        stored["room_responses"] = list(self.room_responses) or None
        for name in ("tuning_cents", "transpose_semitones"):
            stored[f"augment_{name}"] = getattr(self, name)
        return stored
