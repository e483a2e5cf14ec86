"""A split of a prepared data set, transcribed and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.records import SAMPLE_RATE, Segment, read_segments
from pipelines.windows import Stored
from tfamt.config import Config
from tfamt.evaluation import Scores, score, summarise
from tfamt.frames import FrameGrid
from tfamt.model import build_frontend
from tfamt.notes import Notes, Row
from tfamt.pianoroll import notes_to_rolls
from tfamt.transcription import Transcriber


def score_recordings(transcriber: Transcriber, stored: Sequence[Stored]) -> dict[str, Scores]:
    """Scores (`tfamt.evaluation.score`) of every recording, by id."""
    return {item.entry.recording: _score(transcriber, item) for item in stored}


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
    waveform = _waveform(segment)[: config.training.window_frames * grid.hop]
    spectrogram = build_frontend(config.spectrogram)(waveform[None])[0].numpy()
    return spectrogram, notes_to_rolls(segment.notes, len(spectrogram), grid)["pianoroll"]


def _score(transcriber: Transcriber, item: Stored) -> Scores:
    rows: set[Row] = set()

    def blocks() -> Iterator[NDArray[np.float32]]:
        for segment in read_segments(item.shard, item.entry):
            # A note that sounds in two segments is stored in both.
            rows.update(segment.notes)
            yield _waveform(segment)

    estimate = transcriber.transcribe_blocks(blocks())
    return score(Notes.from_rows(rows), estimate)


def _waveform(segment: Segment) -> NDArray[np.float32]:
    return segment.audio.astype(np.float32) / 2**15
