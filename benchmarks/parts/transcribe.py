"""Measure the speed of transcribing, its stages, and its memory.

Usage: bin/benchmark transcribe --audio=FOLDER [flags]

Transcribes all recordings of a folder to MIDI in a process that has loaded the model and used it once: decoding of the
audio and writing included, start excluded. Gives the median of --repeats, by the clock and in CPU time.

--compare_with=COMMAND times another transcriber beside it, in turns. The command must say "ready" once it is loaded,
take lines "RECORDING<TAB>MIDI" and say "done" after each. For basic-pitch, in an environment of its own:
  python3.11 -m venv bp && bp/bin/pip install basic-pitch==0.4.0 'numpy<2' onnxruntime
  bin/benchmark transcribe --audio=FOLDER \
    --compare_with='bp/bin/python benchmarks/basic_pitch_worker.py onnx'
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from absl import flags

from benchmarks.arithmetic import multiply_adds, peak_multiply_adds
from benchmarks.made_recordings import make_recordings
from benchmarks.measuring import cpu_seconds, run_measured
from benchmarks.stage_costs import stage_costs
from tfamt import audio, network, transcription
from tfamt.commands.app import refuse_arguments
from tfamt.config import replace
from tfamt.errors import InputError
from tfamt.notes.midi import write_midi
from tfamt.presets import preset
from tfamt.transcription.resources import share_cores

if TYPE_CHECKING:
    import keras

    from tfamt.config import Config
    from tfamt.transcription.transcriber import Transcriber

_AUDIO = flags.DEFINE_string("audio", None, "Folder of recordings.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file; default: the model in the package.")
_PRESET = flags.DEFINE_string("preset", None, "Instead: a preset's network with random weights.")
_PRECISION = flags.DEFINE_string("precision", "auto", "As of bin/transcribe.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often; the median counts.", 1)
_PARALLEL = flags.DEFINE_integer("parallel", 2, "Recordings to work on at a time.", 1)
_COMPARE = flags.DEFINE_multi_string("compare_with", [], "Command of another transcriber.")
_START = flags.DEFINE_string("start", None, "Recording to measure the whole command with.")
_MEMORY = flags.DEFINE_bool("memory", False, "Measure memory with 3 minutes and with 3 hours.")

_COMMAND = (sys.executable, "-m", "tfamt.commands.transcribe")
_MEMORY_SECONDS = (180, 10_800)


def main(argv: list[str]) -> int:
    """Measure and print; return the exit code."""
    refuse_arguments(argv)
    if not (_AUDIO.value or _START.value or _MEMORY.value):
        raise InputError("nothing to measure was named", fix="Pass --audio, --start or --memory.")
    if _AUDIO.value:
        _measure_speed(_AUDIO.value)
    if _START.value:
        _measure_start(_START.value)
    if _MEMORY.value:
        _measure_memory()
    return 0


def _measure_speed(folder: str) -> None:

    found = transcription.find([folder])
    if found.problems:
        raise found.problems[0]
    recordings = [recording.path for recording in found.recordings]
    audio = sum(audio.probe(recording).duration for recording in recordings)
    share_cores(_PARALLEL.value)
    config, model = _network()
    transcriber = transcription.Transcriber.from_model(config, model)
    _compare(transcriber, recordings, audio, config.name)

    costs, seconds = stage_costs(config, model, recordings)
    print("stage            CPU ms per second of audio, each stage alone")
    for stage, cost in costs.items():
        print(f"{stage:15s}  {1000 * cost / seconds:6.2f}")
    print(f"{'all':15s}  {1000 * sum(costs.values()) / seconds:6.2f}")
    window = config.inference.window_frames
    window_seconds = window * config.spectrogram.hop / config.spectrogram.sample_rate
    needed = multiply_adds(model, window, config.spectrogram.bins) / window_seconds
    peak = peak_multiply_adds()
    least = needed / peak
    print(
        f"network: {needed / 1e6:.0f} million multiply-adds per second of audio; a convolution does "
        f"{peak / 1e9:.0f} thousand million in a second of a core: {1000 * least:.2f} ms at best, "
        f"{100 * least * seconds / costs['network']:.0f} % of that reached"
    )


def _network() -> tuple[Config, keras.Model]:

    precision = _PRECISION.value
    if not _PRESET.value:
        return network.load_transcriber(_WEIGHTS.value or network.shipped_weights(), precision)
    config = preset(_PRESET.value)
    with network.layers_in(network.inference_precision(precision)):
        model = network.build_model(
            replace(config, "model", reconstruction=False, second_pass=False)
        )
    return config, model.get_layer("transcriber")


def _compare(transcriber: Transcriber, recordings: list[Path], audio: float, name: str) -> None:
    with ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        others = {command: stack.enter_context(_other(command)) for command in _COMPARE.value}
        _transcribe(transcriber, recordings[:1], out)
        times: dict[str, list[_Time]] = {name: [], **{command: [] for command in others}}
        for _ in range(_REPEATS.value):
            with _timed(os.getpid(), times[name]):
                _transcribe(transcriber, recordings, out)
            for command, process in others.items():
                with _timed(process.pid, times[command]):
                    _transcribe_by_other(process, recordings, out)
    print(f"{len(recordings)} recordings, {audio:.0f} s; medians of {_REPEATS.value}")
    print("times real time  per CPU second  times slower, in CPU time")
    for label, taken in times.items():
        speeds = [audio / statistics.median(column) for column in zip(*taken, strict=True)]
        slower = [
            (theirs.clock / ours.clock, theirs.cpu / ours.cpu)
            for theirs, ours in zip(taken, times[name], strict=True)
        ]
        ratios = [statistics.median(column) for column in zip(*slower, strict=True)]
        print(
            f"{speeds[0]:15.1f}  {speeds[1]:14.1f}  {ratios[0]:12.2f}  {ratios[1]:11.2f}  {label}"
        )


class _Time(NamedTuple):
    clock: float
    cpu: float


@contextmanager
def _timed(pid: int, times: list[_Time]) -> Iterator[None]:
    began, used = time.perf_counter(), cpu_seconds(pid)
    yield
    times.append(_Time(time.perf_counter() - began, cpu_seconds(pid) - used))


def _transcribe(transcriber: Transcriber, recordings: list[Path], out: Path) -> None:

    def work(recording: Path) -> None:
        notes = transcriber.transcribe(recording)
        write_midi(notes, out / f"{recording.stem}.mid", overwrite=True)

    with ThreadPoolExecutor(_PARALLEL.value) as pool:
        list(pool.map(work, recordings))


@contextmanager
def _other(command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        shlex.split(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            _expect(process, "ready")
            yield process
        finally:
            process.kill()


def _transcribe_by_other(process: subprocess.Popen[str], recordings: list[Path], out: Path) -> None:
    for recording in recordings:
        if process.stdin is not None:
            process.stdin.write(f"{recording}\t{out / recording.stem}.other.mid\n")
            process.stdin.flush()
        _expect(process, "done")


def _expect(process: subprocess.Popen[str], word: str) -> None:
    for line in process.stdout or ():
        if line.strip() == word:
            return
    raise InputError(f"the command of --compare_with ended before it said {word!r}")


def _measure_start(recording: str) -> None:
    """Measure the whole command, and the import that every such command needs; in turns."""
    command, least = [], []
    for _ in range(_REPEATS.value):
        with tempfile.TemporaryDirectory() as folder:
            command.append(run_measured([*_COMMAND, f"--output_dir={folder}", recording]))
        least.append(run_measured([sys.executable, "-c", "import tensorflow"]))
    for label, usages in (("transcribe", command), ("import tensorflow", least)):
        by_clock = statistics.median(usage.seconds for usage in usages)
        cpu = statistics.median(usage.cpu_seconds for usage in usages)
        print(f"{label:20s} {by_clock:6.1f} s by the clock, {cpu:6.1f} s of CPU time")


def _measure_memory() -> None:

    peaks = []
    for seconds in _MEMORY_SECONDS:
        with tempfile.TemporaryDirectory() as folder:
            make_recordings(Path(folder, "in"), 1, float(seconds), 16_000, 1)
            command = [*_COMMAND, f"--output_dir={folder}/out", f"{folder}/in"]
            peaks.append(run_measured(command).peak_megabytes)
        print(f"{seconds:6d} s: peak {peaks[-1]:5.0f} MB", flush=True)
    print(f"ratio: {peaks[1] / peaks[0]:.3f}")
