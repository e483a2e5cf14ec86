"""Define the sections of a config; every field describes itself (`tfamt.config_fields`).

The defaults are the values of Cheuk et al. (ICPR 2020) and its authors' code.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfamt.config_fields import check_fields, setting
from tfamt.errors import InputError
from tfamt.frames import FrameGrid

HEADS = ("pianoroll", "onset", "offset", "velocity")
MAX_LEVELS = 8
"""Levels of a U-net at most."""


@dataclass(frozen=True)
class SpectrogramConfig:
    """Waveform to spectrogram."""

    kind: str = setting("mel", "Log-Mel or constant-Q spectrogram.", choices=("mel", "cqt"))
    sample_rate: int = setting(16000, "Sample rate.", "Hz", above=0, maximum=768_000)
    hop: int = setting(512, "Distance between frames.", "samples", above=0, maximum=65_536)
    bins: int = setting(229, "Number of frequency bins.", above=0, maximum=4096)
    window: int = setting(
        2048, "Length of the STFT window; mel only.", "samples", above=0, maximum=65_536
    )
    low_hz: float = setting(30.0, "Lowest frequency; the first bin of a CQT.", "Hz")
    high_hz: float = setting(8000.0, "Highest frequency; mel only.", "Hz")
    bins_per_octave: int = setting(24, "Bins per octave; cqt only.", above=0, maximum=480)
    scaling: str = setting(
        "minmax",
        "Scaling of magnitudes. minmax: log(x + 1e-5), then min-max over each window (the paper's imagewise). "
        "loudness: decibels below a fixed reference, after the recording has been normalized to one loudness.",
        choices=("minmax", "loudness"),
    )
    range_db: float = setting(80.0, "Dynamic range that scaling loudness keeps.", "dB", above=0)

    def __post_init__(self) -> None:
        check_fields("spectrogram", self)
        if not 0 < self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise InputError(
                "spectrogram_low_hz and spectrogram_high_hz must rise and stay below half the sample rate. "
                f"Received: {self.low_hz}, {self.high_hz} at {self.sample_rate} Hz"
            )
        top = self.low_hz * 2 ** ((self.bins - 1) / self.bins_per_octave)
        if self.kind == "cqt" and top >= self.sample_rate / 2:
            raise InputError(
                f"the highest CQT bin must lie below half the sample rate. Received: {self.bins} bins, "
                f"the last at {top:.0f} Hz"
            )

    @property
    def grid(self) -> FrameGrid:
        """Return the frames of the spectrogram."""
        return FrameGrid(self.sample_rate, self.hop)

    @property
    def normalizes_loudness(self) -> bool:
        """Return whether waveforms are normalized to their recording's loudness (`tfamt.audio.loudness`)."""
        return self.scaling == "loudness"


@dataclass(frozen=True)
class ModelConfig:
    """The two U-nets, their heads and the layers around them."""

    top_skip: bool = setting(
        False, "Join the first level's output before it is halved to the last level up of U-net 1."
    )
    channels: tuple[int, ...] = setting(
        (16, 32, 64, 128),
        "Filters of U-net 1, a number per level from the top; their count is its depth.",
        above=0,
        maximum=1024,
    )
    conv_ranks: tuple[int, ...] = setting(
        (),
        "Ranks of the 3x3 kernels of U-net 1, a number per level from the top; 0 or none for full kernels.",
        minimum=0,
        maximum=1024,
    )
    feature_maps: int = setting(1, "Channels of U-net 1's output.", above=0, maximum=64)
    feature_activation: str = setting(
        "sigmoid", "Activation of U-net 1's output.", choices=("sigmoid", "leaky_relu")
    )
    temporal_context: str = setting(
        "bilstm", "Layer along time behind U-net 1.", choices=("bilstm", "none")
    )
    context_units: int = setting(
        229, "Units of the bidirectional LSTM, each way.", above=0, maximum=4096
    )
    context_rank: int = setting(
        0,
        "Rank of the LSTM's input kernel, shared by both ways; 0 for a full kernel.",
        minimum=0,
        maximum=4096,
    )
    recurrent_rank: int = setting(
        0,
        "Rank of the LSTM's recurrent kernel, for each way; 0 for a full kernel.",
        minimum=0,
        maximum=4096,
    )
    heads: tuple[str, ...] = setting(
        ("pianoroll",), "Outputs of U-net 1; pianoroll must be one.", choices=HEADS
    )
    refinement: int = setting(
        0,
        "Width of the network, shared by all keys, that corrects the heads' logits from those of neighbouring keys; 0 "
        "for none.",
        "channels",
        minimum=0,
        maximum=1024,
    )
    refinement_partials: int = setting(
        0,
        "Partials of each key that the refinement reads from the spectrogram.",
        minimum=0,
        maximum=64,
    )
    refinement_features: int = setting(
        0,
        "Features of each key that the refinement reads from the temporal context.",
        minimum=0,
        maximum=64,
    )
    reconstruction: bool = setting(
        True, "Turn the piano roll back into the spectrogram by U-net 2."
    )
    reconstruction_channels: tuple[int, ...] = setting(
        (16, 32, 64, 128),
        "Filters of U-net 2, a number per level from the top.",
        above=0,
        maximum=1024,
    )
    reconstruction_units: int = setting(
        229, "Units of the bidirectional LSTM in front of U-net 2, each way.", above=0, maximum=4096
    )
    second_pass: bool = setting(
        True, "Transcribe the reconstruction again; only with reconstruction."
    )

    def __post_init__(self) -> None:
        check_fields("model", self)
        for name in ("channels", "reconstruction_channels"):
            if not 1 <= len(getattr(self, name)) <= MAX_LEVELS:
                raise InputError(
                    f"model_{name} must name 1 to {MAX_LEVELS} levels. Received: {getattr(self, name)}"
                )
        if len(self.conv_ranks) > len(self.channels):
            raise InputError(
                f"model_conv_ranks must be for at most the {len(self.channels)} levels of model_channels. "
                f"Received: {self.conv_ranks}"
            )
        self._check_lstm_ranks()
        for name in ("refinement_partials", "refinement_features"):
            if getattr(self, name) and not self.refinement:
                raise InputError(f"model_{name} needs model_refinement")
        if "pianoroll" not in self.heads or len(set(self.heads)) != len(self.heads):
            raise InputError(
                f"model_heads must hold pianoroll, and each head once. Received: {self.heads}"
            )
        if self.second_pass and not self.reconstruction:
            object.__setattr__(self, "second_pass", False)

    def _check_lstm_ranks(self) -> None:
        """Compare the LSTM's ranks with the sizes of its kernels: the gates of both ways, and the states of each."""
        for name, limit in (
            ("context_rank", 8 * self.context_units),
            ("recurrent_rank", self.context_units),
        ):
            rank = getattr(self, name)
            if rank and self.temporal_context != "bilstm":
                raise InputError(f"model_{name} needs model_temporal_context=bilstm")
            if rank >= limit:
                raise InputError(f"model_{name} must be below {limit}. Received: {rank}")


@dataclass(frozen=True)
class LossConfig:
    """Weight of each term of the loss (`tfamt.training.losses.loss_terms`); the paper's are all 1."""

    pianoroll: float = setting(1.0, "Weight of the piano roll's cross-entropy.", minimum=0)
    reconstruction: float = setting(1.0, "Weight of the reconstruction's squared error.", minimum=0)
    second_pass: float = setting(
        1.0, "Weight of the second-pass piano roll's cross-entropy.", minimum=0
    )
    onset: float = setting(1.0, "Weight of the onset roll's cross-entropy.", minimum=0)
    offset: float = setting(1.0, "Weight of the offset roll's cross-entropy.", minimum=0)
    velocity: float = setting(
        1.0, "Weight of the squared error of velocity around its mean in a window.", minimum=0
    )
    velocity_level: float = setting(
        1.0, "Weight of the squared mean error of velocity in a window.", minimum=0
    )

    def __post_init__(self) -> None:
        check_fields("loss", self)


@dataclass(frozen=True)
class DecodingConfig:
    """Probabilities to notes."""

    method: str = setting(
        "edges",
        "What opens a note. edges: the piano roll rises above its threshold (paper). onsets: a peak of the onset roll.",
        choices=("edges", "onsets"),
    )
    pianoroll_threshold: float = setting(
        0.5, "Probability from which on a frame sounds.", above=0, below=1
    )
    onset_threshold: float = setting(
        0.5, "Probability from which on a peak of the onset roll opens a note.", above=0, below=1
    )
    offsets: str = setting(
        "threshold",
        "Where a note ends. threshold: the piano roll falls below its threshold. expected_score: the expected score, "
        "computed from piano roll and offset roll, is highest; method onsets only.",
        choices=("threshold", "expected_score"),
    )
    min_note_ms: float = setting(0.0, "Shorter notes are dropped.", "ms", minimum=0)
    min_gap_ms: float = setting(
        50.0,
        "Shortest time between two onsets of one key; of closer ones the more probable stays.",
        "ms",
        minimum=0,
    )

    def __post_init__(self) -> None:
        check_fields("decoding", self)
        if self.offsets == "expected_score" and self.method != "onsets":
            raise InputError("decoding_offsets=expected_score needs decoding_method=onsets")


@dataclass(frozen=True)
class InferenceConfig:
    """Windows of a recording at inference."""

    window_frames: int = setting(640, "Length of a window.", "frames", above=0, maximum=65_536)
    margin_frames: int = setting(
        32, "Frames at each end of a window that are context only.", "frames", minimum=0
    )

    def __post_init__(self) -> None:
        check_fields("inference", self)
        if not 2 * self.margin_frames < self.window_frames:
            raise InputError(
                "inference_margin_frames must leave something of the window. "
                f"Received: {self.margin_frames} of {self.window_frames}"
            )


@dataclass(frozen=True)
class TrainingConfig:
    """One training run."""

    steps: int = setting(100_000, "Optimizer steps of the run.", above=0)
    batch_size: int = setting(32, "Windows per step, over all replicas.", above=0, maximum=65_536)
    accumulation: int = setting(
        1,
        "Parts that a batch is computed in, one after the other, to save memory; normalisation uses the statistics of "
        "a part.",
        above=0,
    )
    window_frames: int = setting(
        640, "Length of a training window.", "frames", above=0, maximum=65_536
    )
    recording_windows: int = setting(
        1,
        "Consecutive windows of one recording in a batch, with the same room, colour and gain.",
        above=0,
    )
    learning_rate: float = setting(6e-4, "Learning rate of Adam.", above=0)
    schedule: str = setting(
        "exponential",
        "Learning rate over the steps. exponential: times decay_rate every decay_steps (authors' code). cosine: to 0 "
        "at the last step. trapezoid: constant, then to 0 as 1 - sqrt over cooldown_steps (Hägele et al., 2024).",
        choices=("exponential", "cosine", "trapezoid"),
    )
    decay_rate: float = setting(0.98, "Factor of schedule exponential.", above=0)
    decay_steps: int = setting(10_000, "Steps between decays of schedule exponential.", above=0)
    cooldown_steps: int = setting(1000, "Last steps of schedule trapezoid.", above=0)
    warmup_steps: int = setting(0, "Steps in which the learning rate rises from 0.", minimum=0)
    clip_norm: float = setting(3.0, "Global norm that gradients are clipped to.", above=0)
    ema: float = setting(
        0.0,
        "Decay of the moving average of weights that is validated and saved; 0 for none.",
        minimum=0,
        below=1,
    )
    seed: int = setting(0, "Seed of initial weights, data order and augmentation.")

    def __post_init__(self) -> None:
        check_fields("training", self)
