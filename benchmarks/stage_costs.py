"""Measure the cost of each stage of a transcription."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfamt.audio.loudness import loudness
from tfamt.audio.reading import SAMPLE_RATE, read
from tfamt.network.frontend import build_frontend
from tfamt.network.frozen_graph import freeze
from tfamt.notes.midi import write_midi
from tfamt.notes.table import Notes
from tfamt.transcription.backends import optimize_for_inference
from tfamt.transcription.note_decoder import NoteDecoder
from tfamt.transcription.windows import window_cutter

if TYPE_CHECKING:
    import keras

    from tfamt.config import Config
    from tfamt.notes.table import Row


def stage_costs(
    config: Config, model: keras.Model, recordings: Iterable[Path]
) -> tuple[dict[str, float], float]:
    """Measure the CPU seconds of each stage alone; return them and the seconds of audio."""
    import tensorflow as tf

    grid = config.spectrogram.grid
    inference = config.inference
    frontend = tf.function(build_frontend(config.spectrogram))
    fast = optimize_for_inference(model)
    spec = tf.TensorSpec([1, inference.window_frames, config.spectrogram.bins])
    network = freeze(
        tf.function(lambda spectrogram: fast(spectrogram, training=False), input_signature=[spec])
    )
    network(frontend([tf.zeros([1, config.window_samples]), tf.ones([1])]))
    costs = dict.fromkeys(("decoding audio", "front-end", "network", "notes", "writing"), 0.0)
    samples = 0

    def timed(stage: str, function: Callable[..., Any], *arguments: Any) -> Any:
        begin = time.process_time()
        result = function(*arguments)
        costs[stage] += time.process_time() - begin
        return result

    for recording in recordings:
        waveform = timed("decoding audio", read, recording)
        samples += len(waveform)
        measured = timed("decoding audio", loudness, waveform)
        cutter = window_cutter(config, measured)
        decoder = NoteDecoder(config.decoding, grid)
        rows: list[Row] = []
        for window in [
            *cutter.push(waveform),
            *(window for last in cutter.flush() for window in last),
        ]:
            spectrogram = timed(
                "front-end",
                frontend,
                [tf.constant(window.waveform[None]), tf.constant([window.loudness], tf.float32)],
            )
            outputs = timed("network", network, spectrogram)
            kept = slice(inference.margin_frames, inference.margin_frames + window.frames)
            rolls = {name: roll.numpy()[0, kept] for name, roll in outputs.items()}
            rows += timed("notes", decoder.push, rolls)
        notes = Notes.from_rows(rows + timed("notes", decoder.finish))
        with tempfile.TemporaryDirectory() as folder:
            timed("writing", write_midi, notes, Path(folder, "notes.mid"))
    return costs, samples / SAMPLE_RATE
