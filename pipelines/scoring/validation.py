"""A split of a prepared data set, transcribed and scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.records import SAMPLE_RATE, read_segments
from pipelines.scoring import hear, score_heard
from pipelines.windows import Stored
from tfamt.config import Config
from tfamt.evaluation import Scores, summarise
from tfamt.frames import FrameGrid
from tfamt.level import gain_of
from tfamt.model import build_frontend
from tfamt.pianoroll import notes_to_rolls
from tfamt.transcription import Transcriber


def score_recordings(transcriber: Transcriber, stored: Sequence[Stored]) -> dict[str, Scores]:
    """Figures (`pipelines.scoring.score_heard`) of every recording, by id."""
    config = transcriber.config
    return {
        item.entry.recording: score_heard(hear(transcriber, item), config).piece.scores
        for item in stored
    }


def mean_scores(transcriber: Transcriber, stored: Sequence[Stored]) -> Scores:
    """Means over recordings."""
    return dict(summarise(score_recordings(transcriber, stored)).mean)


def first_minutes(stored: Sequence[Stored], minutes: float) -> list[Stored]:
    """As many whole recordings as fit, taken in turns from each group; one at least."""
    groups: dict[str, list[Stored]] = {}
    for item in stored:
        groups.setdefault(item.entry.group, []).append(item)
    chosen: list[Stored] = []
    left = minutes * 60.0 * SAMPLE_RATE
    while any(groups.values()):
        for queue in groups.values():
            if not queue:
                continue
            item = queue.pop(0)
            if item.entry.total <= left or not chosen:
                chosen.append(item)
                left -= item.entry.total
    return chosen


def first_window(config: Config, item: Stored) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Spectrogram [frames, bins] and true piano roll [frames, 88] of a recording's first training window."""
    grid = FrameGrid(config.spectrogram.sample_rate, config.spectrogram.hop)
    segment = next(read_segments(item.shard, item.entry))
    waveform = segment.waveform[: config.training.window_frames * grid.hop]
    if config.spectrogram.normalizes_loudness:
        waveform = waveform * np.float32(gain_of(item.entry.level))
    spectrogram = build_frontend(config.spectrogram)(waveform[None])[0].numpy()
    return spectrogram, notes_to_rolls(segment.notes, len(spectrogram), grid)["pianoroll"]
