"""What each stage of a transcription costs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from tfamt.config import Config
    from tfamt.notes import Row


def stage_costs(
    config: Config, model: keras.Model, recordings: Iterable[Path]
) -> tuple[dict[str, float], float]:
    """CPU seconds of each stage alone, and the seconds of audio that went through them."""
    import tensorflow as tf

    from tfamt.audio import SAMPLE_RATE, read
    from tfamt.backends import optimize_for_inference
    from tfamt.decoding import NoteDecoder
    from tfamt.frames import FrameGrid
    from tfamt.level import loudness
    from tfamt.midi import write_midi
    from tfamt.model import build_frontend
    from tfamt.notes import Notes
    from tfamt.serving_graph import freeze
    from tfamt.windows import window_cutter

    grid = FrameGrid(config.spectrogram.sample_rate, config.spectrogram.hop)
    inference = config.inference
    frontend = tf.function(build_frontend(config.spectrogram))
    fast = optimize_for_inference(model)
    window = tf.TensorSpec([1, inference.window_frames, config.spectrogram.bins])
    network = freeze(
        tf.function(lambda spectrogram: fast(spectrogram, training=False), input_signature=[window])
    )
    network(frontend(tf.zeros([1, config.window_samples])))
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
        level = None
        if config.spectrogram.normalizes_loudness:
            level = timed("decoding audio", loudness, waveform)
        cutter = window_cutter(config, level)
        decoder = NoteDecoder(config.decoding, grid)
        rows: list[Row] = []
        for cut in [*cutter.push(waveform), *(cut for cuts in cutter.rest() for cut in cuts)]:
            spectrogram = timed("front-end", frontend, tf.constant(cut.waveform[None]))
            outputs = timed("network", network, spectrogram)
            kept = slice(inference.margin_frames, inference.margin_frames + cut.frames)
            rolls = {name: roll.numpy()[0, kept] for name, roll in outputs.items()}
            rows += timed("notes", decoder.push, rolls)
        notes = Notes.from_rows(rows + timed("notes", decoder.finish))
        with tempfile.TemporaryDirectory() as folder:
            timed("writing", write_midi, notes, Path(folder, "notes.mid"))
    return costs, samples / SAMPLE_RATE
