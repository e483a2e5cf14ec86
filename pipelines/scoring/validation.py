"""Transcribe and score a split of a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.preparation.index import StoredRecording
from pipelines.preparation.records import SAMPLE_RATE, read_segments
from pipelines.scoring.model_scores import predict, score_prediction
from tfamt.config import Config
from tfamt.evaluation.metrics import Scores, summarise
from tfamt.network.frontend import build_frontend
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.transcription.transcriber import Transcriber


def score_recordings(
    transcriber: Transcriber, stored: Sequence[StoredRecording]
) -> dict[str, Scores]:
    """Return the figures (`pipelines.scoring.model_scores.score_prediction`) of every recording, by id."""
    config = transcriber.config
    return {
        item.entry.recording: score_prediction(predict(transcriber, item), config).piece.scores
        for item in stored
    }


def mean_scores(transcriber: Transcriber, stored: Sequence[StoredRecording]) -> Scores:
    """Return means over recordings."""
    return dict(summarise(score_recordings(transcriber, stored)).mean)


def first_minutes(stored: Sequence[StoredRecording], minutes: float) -> list[StoredRecording]:
    """Return as many whole recordings as fit, in turns from each group; one at least."""
    groups: dict[str, list[StoredRecording]] = {}
    for item in stored:
        groups.setdefault(item.entry.group, []).append(item)
    chosen: list[StoredRecording] = []
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


def first_window(
    config: Config, item: StoredRecording
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the spectrogram [frames, bins] and true piano roll [frames, 88] of a recording's first training window."""
    grid = config.spectrogram.grid
    segment = next(read_segments(item.shard, item.entry))
    waveform = segment.waveform[: config.training.window_frames * grid.hop]
    loudness = np.array([item.entry.loudness], np.float32)
    spectrogram = build_frontend(config.spectrogram)([waveform[None], loudness])[0].numpy()
    return spectrogram, notes_to_rolls(segment.notes, len(spectrogram), grid)["pianoroll"]
