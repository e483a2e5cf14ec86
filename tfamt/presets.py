"""Define named configs: the paper's systems, the shipped model's, a tiny one."""

from __future__ import annotations

from tfamt.config import (
    HEADS,
    Config,
    DecodingConfig,
    InferenceConfig,
    LossConfig,
    ModelConfig,
    SpectrogramConfig,
    TrainingConfig,
)
from tfamt.errors import InputError


def preset(name: str) -> Config:
    """Return the config of that name.

    Raises:
      InputError: there is none; the message lists those there are.
    """
    if name not in PRESETS:
        raise InputError(f"there is no preset {name!r}", fix=f"Presets: {', '.join(PRESETS)}.")
    return PRESETS[name]


_CQT = SpectrogramConfig(kind="cqt", bins=176, low_hz=27.5)

PRESETS = {
    config.name: config
    for config in (
        Config(name="icpr2020_mel"),
        Config(name="icpr2020_mel_baseline", model=ModelConfig(reconstruction=False)),
        Config(
            name="icpr2020_cqt",
            spectrogram=_CQT,
            model=ModelConfig(context_units=176, reconstruction_units=176),
        ),
        Config(
            name="icpr2020_cqt_baseline",
            spectrogram=_CQT,
            model=ModelConfig(context_units=176, reconstruction_units=176, reconstruction=False),
        ),
        Config(
            name="piano",
            spectrogram=SpectrogramConfig(scaling="loudness"),
            model=ModelConfig(
                top_skip=True,
                feature_maps=4,
                feature_activation="leaky_relu",
                heads=HEADS,
                refinement=32,
                refinement_partials=6,
                refinement_features=8,
                reconstruction=False,
            ),
            loss=LossConfig(onset=4.0, offset=0.5, velocity=2.0, velocity_level=2.0),
            training=TrainingConfig(
                batch_size=8,
                window_frames=200,
                learning_rate=1e-3,
                schedule="trapezoid",
                warmup_steps=100,
                ema=0.999,
            ),
            decoding=DecodingConfig(
                method="onsets",
                onset_threshold=0.3,
                pianoroll_threshold=0.2,
                offsets="expected_score",
            ),
            # Not much longer than the windows of the training: in longer ones velocities are less accurate.
            inference=InferenceConfig(window_frames=320, margin_frames=8),
        ),
        Config(
            name="tiny",
            model=ModelConfig(
                channels=(4, 8),
                context_units=16,
                reconstruction_channels=(4, 8),
                reconstruction_units=16,
            ),
            training=TrainingConfig(
                steps=60, batch_size=4, window_frames=64, learning_rate=5e-3, schedule="cosine"
            ),
            inference=InferenceConfig(window_frames=128, margin_frames=16),
        ),
    )
}
