"""Define a model, its training and its decoding: frozen dataclasses, checked, JSON in and out.

A `Config` is made from a preset (`tfamt.presets`), changed by flags (`tfamt.commands.config_flags`), written beside
every run and stored inside every weights file. The defaults are the values of Cheuk et al. (ICPR 2020) and its
authors' code.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from tfamt.config_fields import from_dict
from tfamt.config_migration import migrate
from tfamt.config_sections import (
    HEADS,
    DecodingConfig,
    InferenceConfig,
    LossConfig,
    ModelConfig,
    SpectrogramConfig,
    TrainingConfig,
)
from tfamt.errors import InputError

__all__ = [
    "HEADS",
    "SECTIONS",
    "Config",
    "DecodingConfig",
    "InferenceConfig",
    "LossConfig",
    "ModelConfig",
    "SpectrogramConfig",
    "TrainingConfig",
    "replace",
]


MAX_VALUES = 2.0**28
"""Of one tensor, 1 GiB: sixty times what the paper's networks have."""


@dataclass(frozen=True)
class Config:
    """A whole system."""

    name: str = "icpr2020_mel"
    spectrogram: SpectrogramConfig = field(default_factory=SpectrogramConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)

    def __post_init__(self) -> None:
        for choice, head in (("method=onsets", "onset"), ("offsets=expected_score", "offset")):
            name, _, value = choice.partition("=")
            if getattr(self.decoding, name) == value and head not in self.model.heads:
                raise InputError(
                    f"decoding_{choice} needs a model with an {head} head. "
                    f"Received: model_heads {self.model.heads}"
                )
        for what, values in self._sizes().items():
            if values > MAX_VALUES:
                raise InputError(
                    f"{what} would have {values:.2g} values, over {MAX_VALUES:.2g}",
                    fix="Choose smaller sizes; of a weights file that states such sizes, get another copy.",
                )

    def _sizes(self) -> dict[str, float]:
        """Return how many values the largest tensors have: each size may be allowed and their product absurd."""
        spectrogram, model = self.spectrogram, self.model
        kernel = float(spectrogram.window)
        if spectrogram.kind == "cqt":
            quality = 1 / (2 ** (1 / spectrogram.bins_per_octave) - 1)
            kernel = quality * spectrogram.sample_rate / spectrogram.low_hz
        inputs, units = spectrogram.bins * model.feature_maps, model.context_units
        lstm = 8 * units * (inputs + units) if model.temporal_context == "bilstm" else 0
        frames = max(self.inference.window_frames, self.training.window_frames)
        sizes = {
            "the kernels of the spectrogram": spectrogram.bins * kernel,
            "the LSTM": lstm,
            "the first level of U-net 1": frames * spectrogram.bins * model.channels[0],
        }
        if model.reconstruction:
            second = model.reconstruction_units
            sizes["the second LSTM"] = 8 * second * (88 + second)
        return sizes

    @property
    def window_samples(self) -> int:
        """Return the length of a window at inference, in samples."""
        return self.inference.window_frames * self.spectrogram.hop

    def to_json(self) -> str:
        """Return the config as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Read what `to_json` wrote, in this version or before; missing fields take their defaults.

        Raises:
          InputError: the text is not JSON, a field is unknown, or a value has another type or lies out of range.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the config is not JSON ({error})") from error
        if isinstance(data, dict):
            data = migrate(data)
        result: Config = from_dict(cls, data, "config")
        return result


# The sections of a config, in the order of its fields.
SECTIONS = tuple(each.name for each in dataclasses.fields(Config) if each.name != "name")


def replace(config: Config, section: str, **values: Any) -> Config:
    """Return `config` with fields of one of its sections changed."""
    changed = dataclasses.replace(getattr(config, section), **values)
    return dataclasses.replace(config, **{section: changed})
