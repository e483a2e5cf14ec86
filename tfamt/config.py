"""Everything that defines a model, its training and its decoding: frozen dataclasses, checked, JSON in and out.

A `Config` is made from a preset (`tfamt.presets`), changed by flags (`tfamt.config_flags`), written beside
every run and stored inside every weights file. Fields say their units; the paper's values ("Received" in the
sense of Cheuk et al., ICPR 2020, and its authors' code) are the defaults.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from tfamt.config_migration import migrate
from tfamt.errors import InputError

HEADS = ("pianoroll", "onset", "offset", "velocity")


@dataclass(frozen=True)
class SpectrogramConfig:
    """Waveform to spectrogram.

    Attributes:
      kind: "mel" (log-Mel) or "cqt" (constant Q).
      sample_rate: Hz.
      hop: samples between frames.
      bins: frequency bins.
      window: STFT window in samples (mel).
      low_hz: lowest frequency; the first CQT bin.
      high_hz: highest frequency (mel).
      bins_per_octave: CQT only.
      scaling: "minmax": log(x + 1e-5), then min-max over the window (the paper's "imagewise"); "loudness": decibels
        below a fixed reference, after the recording has been normalized to one loudness (`tfamt.level`).
      range_db: dynamic range that "loudness" keeps, in dB.
    """

    kind: str = "mel"
    sample_rate: int = 16000
    hop: int = 512
    bins: int = 229
    window: int = 2048
    low_hz: float = 30.0
    high_hz: float = 8000.0
    bins_per_octave: int = 24
    scaling: str = "minmax"
    range_db: float = 80.0

    def __post_init__(self) -> None:
        _one_of("spectrogram_kind", self.kind, ("mel", "cqt"))
        _one_of("spectrogram_scaling", self.scaling, ("minmax", "loudness"))
        for name in (
            "sample_rate",
            "hop",
            "bins",
            "window",
            "bins_per_octave",
            "range_db",
        ):
            _positive(f"spectrogram_{name}", getattr(self, name))
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
    def normalizes_loudness(self) -> bool:
        """Return whether waveforms are normalized to their recording's loudness first (`tfamt.level`)."""
        return self.scaling == "loudness"


@dataclass(frozen=True)
class ModelConfig:
    """The two U-nets and what stands around them.

    Attributes:
      top_skip: whether U-net 1 and 2 also join the first level's output before it is halved; not so in the paper.
      channels: filters of U-net 1 by level; their number is its depth.
      conv_ranks: by level of U-net 1, from the top: its 3x3 kernels are products of one along the frames, into so many
        channels, and one along the bins, where that is less to multiply; 0, or none named: they are whole (paper).
      feature_maps: channels of U-net 1's output (1 in the paper: the feature map of its figures).
      feature_activation: "sigmoid" (paper) or "leaky_relu".
      temporal_context: what follows U-net 1 along time: "bilstm" (paper) or "none".
      context_units: units of the bidirectional LSTM, each way.
      context_rank: the input kernel of the LSTM is the product of one with so many columns, for both ways, and one for
        each; 0: it is whole (paper).
      recurrent_rank: the recurrent kernel of the LSTM is such a product, of each way by itself; 0: it is whole (paper).
      heads: which outputs, of pianoroll, onset, offset, velocity; pianoroll is always one.
      refinement: width of a small network, the same for every key, that corrects what the heads say by what they say of
        keys an octave or a twelfth away, and of the second around; 0 leaves it out (paper).
      refinement_partials: how many partials of each key the refinement sees in the spectrogram, beside the heads.
      refinement_features: how many features of each key the refinement sees in the time context, beside the heads.
      reconstruction: whether U-net 2 turns the outputs back into the spectrogram.
      reconstruction_channels: filters of U-net 2 by level.
      reconstruction_units: LSTM units each way in front of U-net 2.
      second_pass: whether the reconstruction is transcribed again.
    """

    top_skip: bool = False
    channels: tuple[int, ...] = (16, 32, 64, 128)
    conv_ranks: tuple[int, ...] = ()
    feature_maps: int = 1
    feature_activation: str = "sigmoid"
    temporal_context: str = "bilstm"
    context_units: int = 229
    context_rank: int = 0
    recurrent_rank: int = 0
    heads: tuple[str, ...] = ("pianoroll",)
    refinement: int = 0
    refinement_partials: int = 0
    refinement_features: int = 0
    reconstruction: bool = True
    reconstruction_channels: tuple[int, ...] = (16, 32, 64, 128)
    reconstruction_units: int = 229
    second_pass: bool = True

    def __post_init__(self) -> None:
        _one_of("model_temporal_context", self.temporal_context, ("bilstm", "none"))
        _one_of("model_feature_activation", self.feature_activation, ("sigmoid", "leaky_relu"))
        for name in ("channels", "reconstruction_channels"):
            if not getattr(self, name):
                raise InputError(f"model_{name} must name at least one level. Received: ()")
            for channels in getattr(self, name):
                _positive(f"model_{name}", channels)
        for name in ("feature_maps", "context_units", "reconstruction_units"):
            _positive(f"model_{name}", getattr(self, name))
        seen = ("refinement_partials", "refinement_features")
        narrow = ("context_rank", "recurrent_rank")
        for name in (*narrow, "refinement", *seen):
            if getattr(self, name) < 0:
                raise InputError(f"model_{name} must be 0 or more. Received: {getattr(self, name)}")
        if min(self.conv_ranks, default=0) < 0 or len(self.conv_ranks) > len(self.channels):
            raise InputError(
                f"model_conv_ranks must be 0 or more, for at most the {len(self.channels)} levels of model_channels. "
                f"Received: {self.conv_ranks}"
            )
        self._check_narrow()
        for name in seen:
            if getattr(self, name) and not self.refinement:
                raise InputError(f"model_{name} needs model_refinement")
        for head in self.heads:
            _one_of("model_heads", head, HEADS)
        if "pianoroll" not in self.heads or len(set(self.heads)) != len(self.heads):
            raise InputError(
                f"model_heads must hold pianoroll, and each head once. Received: {self.heads}"
            )
        if self.second_pass and not self.reconstruction:
            object.__setattr__(self, "second_pass", False)

    def _check_narrow(self) -> None:
        """The ranks of the LSTM's kernels: the gates of both ways, and the states of each, have no more directions."""
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
    """Weight of each term of the loss (`tfamt.losses.loss_terms`); the paper's are all 1."""

    pianoroll: float = 1.0
    reconstruction: float = 1.0
    second_pass: float = 1.0
    onset: float = 1.0
    offset: float = 1.0
    velocity: float = 1.0
    velocity_level: float = 1.0

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            if not getattr(self, item.name) >= 0:
                raise InputError(
                    f"loss_{item.name} must be 0 or more. Received: {getattr(self, item.name)}"
                )


@dataclass(frozen=True)
class DecodingConfig:
    """Probabilities to notes.

    Attributes:
      method: "edges" (paper: edges of the thresholded piano roll) or "onsets" (peaks of the onset roll).
      pianoroll_threshold: a frame sounds at this probability or above.
      onset_threshold: a peak of the onset roll opens a note at this probability or above.
      offsets: "threshold": a note ends where the piano roll falls below its threshold; "expected_score": where piano
        roll and offset roll promise the best score (`tfamt.offsets`; method "onsets" only).
      min_note_ms: shorter notes are dropped.
      min_gap_ms: two strokes of one key cannot follow each other faster; the stronger peak stays.
    """

    method: str = "edges"
    pianoroll_threshold: float = 0.5
    onset_threshold: float = 0.5
    offsets: str = "threshold"
    min_note_ms: float = 0.0
    min_gap_ms: float = 50.0

    def __post_init__(self) -> None:
        _one_of("decoding_method", self.method, ("edges", "onsets"))
        _one_of("decoding_offsets", self.offsets, ("threshold", "expected_score"))
        if self.offsets == "expected_score" and self.method != "onsets":
            raise InputError("decoding_offsets=expected_score needs decoding_method=onsets")
        for name in ("pianoroll_threshold", "onset_threshold"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(
                    f"decoding_{name} must lie between 0 and 1. Received: {getattr(self, name)}"
                )
        for name in ("min_note_ms", "min_gap_ms"):
            if not getattr(self, name) >= 0:
                raise InputError(
                    f"decoding_{name} must be 0 or more. Received: {getattr(self, name)}"
                )


@dataclass(frozen=True)
class InferenceConfig:
    """How a long recording is cut into windows.

    Attributes:
      window_frames: frames that the network sees at once.
      margin_frames: frames at each end of a window that only give context: windows overlap by twice that.
    """

    window_frames: int = 640
    margin_frames: int = 32

    def __post_init__(self) -> None:
        _positive("inference_window_frames", self.window_frames)
        if not 0 <= 2 * self.margin_frames < self.window_frames:
            raise InputError(
                "inference_margin_frames must leave something of the window. "
                f"Received: {self.margin_frames} of {self.window_frames}"
            )


@dataclass(frozen=True)
class TrainingConfig:
    """One training run; the paper's values.

    Attributes:
      steps: optimizer steps.
      batch_size: windows per step, over all replicas.
      accumulation: parts that each replica's share of the batch is worked through in, to save memory; normalisation
        sees one part at a time.
      window_frames: frames per training window (640 = 20.48 s).
      recording_windows: so many windows in a row are of one recording and heard alike (one room, colour and gain);
        velocity's level is taken to be one for all of them (`tfamt.losses.loss_terms`).
      learning_rate: of Adam.
      schedule: "exponential" (x decay_rate every decay_steps, stepwise, as in the authors' code), "cosine" (to 0 at the
        last step) or "trapezoid" (as it is until the last cooldown_steps, in which it falls to 0 as 1 - sqrt: a run can
        be cooled down at any step, and gone on with from the one before; Hägele et al., "Scaling Laws and
        Compute-Optimal Training Beyond Fixed Training Durations", 2024).
      decay_rate: exponential only.
      decay_steps: exponential only.
      cooldown_steps: trapezoid only.
      warmup_steps: linear rise from 0.
      clip_norm: the gradients' global norm is clipped to this before they are applied.
      ema: decay of the moving average of the weights that is validated and saved; 0 for none.
      seed: of initial weights, data order and augmentation.
    """

    steps: int = 100_000
    batch_size: int = 32
    accumulation: int = 1
    window_frames: int = 640
    recording_windows: int = 1
    learning_rate: float = 6e-4
    schedule: str = "exponential"
    decay_rate: float = 0.98
    decay_steps: int = 10_000
    cooldown_steps: int = 1000
    warmup_steps: int = 0
    clip_norm: float = 3.0
    ema: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("training_schedule", self.schedule, ("exponential", "cosine", "trapezoid"))
        for name in (
            "steps",
            "batch_size",
            "accumulation",
            "window_frames",
            "recording_windows",
            "learning_rate",
            "decay_rate",
            "decay_steps",
            "cooldown_steps",
            "clip_norm",
        ):
            _positive(f"training_{name}", getattr(self, name))
        if not 0 <= self.ema < 1:
            raise InputError(f"training_ema must lie in 0..1, without 1. Received: {self.ema}")
        if self.warmup_steps < 0:
            raise InputError(
                f"training_warmup_steps must be 0 or more. Received: {self.warmup_steps}"
            )


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
        if self.decoding.method == "onsets" and "onset" not in self.model.heads:
            raise InputError(
                "decoding_method=onsets needs a model with an onset head. "
                f"Received: model_heads {self.model.heads}"
            )

        if self.decoding.offsets == "expected_score" and "offset" not in self.model.heads:
            raise InputError(
                "decoding_offsets=expected_score needs a model with an offset head. "
                f"Received: model_heads {self.model.heads}"
            )

    @property
    def window_samples(self) -> int:
        """How many samples the network sees at once at inference."""
        return self.inference.window_frames * self.spectrogram.hop

    def to_json(self) -> str:
        """The config as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Reads what `to_json` wrote; fields that are missing take their defaults.

        Raises:
          InputError: not JSON, an unknown field, a value of the wrong type or out of range.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the config is not JSON ({error})") from error
        if isinstance(data, dict):
            data = migrate(data)
        result: Config = from_dict(cls, data, "config")
        return result


def from_dict(cls: type, data: Any, where: str) -> Any:
    """Builds the dataclass `cls` from a dict of JSON values, checking names and types."""
    if not isinstance(data, dict):
        raise InputError(f"{where} must be an object of named values. Received: {data!r}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise InputError(f"{where} has no field {', '.join(unknown)}. Known: {', '.join(hints)}")
    try:
        return cls(
            **{key: _typed(hints[key], value, f"{where}.{key}") for key, value in data.items()}
        )
    except OverflowError as error:
        raise InputError(f"{where} holds a number that is too large ({error})") from error


def replace(config: Config, section: str, **values: Any) -> Config:
    """`config` with fields of one of its sections changed."""
    changed = dataclasses.replace(getattr(config, section), **values)
    return dataclasses.replace(config, **{section: changed})


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value`, as JSON gives it, as the type that a field is declared with."""
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return from_dict(hint, value, where)
    if isinstance(hint, types.GenericAlias) and hint.__origin__ is tuple:
        if not isinstance(value, list):
            raise InputError(f"{where} must be a list. Received: {value!r}")
        return tuple(_typed(hint.__args__[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise InputError(f"{where} must be of type {hint.__name__}. Received: {value!r}")
    return value


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}. Received: {value!r}")


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"{name} must be greater than 0. Received: {value}")
