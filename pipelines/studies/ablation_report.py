"""Write the report of a study from its result files; no figure in it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.studies.ablation_study import ARMS, CQT, EVALUATIONS, WITH, WITHOUT, Run, Study
from tfamt.evaluation.comparison import (
    Difference,
    System,
    common_metrics,
    common_pieces,
    compare,
    format_differences,
)
from tfamt.evaluation.results import Evaluation, read_evaluation
from tfamt.plots.comparison_figure import write_differences_png
from tfamt.plots.learning_curves import Curve, load_curves, write_curves_png
from tfamt.utils.atomic_files import atomic_write
from tfamt.utils.output_paths import make_folder

HOP_SECONDS = 512 / 16000
PAPER_RECORDINGS, PAPER_EPOCHS, PAPER_BATCH, PAPER_FRAMES = 139, 2000, 32, 640
_PICTURED = ("note_f1", "note_offset_f1", "frame_f1", "average_precision")
_SHOWN = ("note_f1", "note_offset_f1", "frame_f1", "average_precision")
_CURVES = {
    "train/pianoroll": "training: BCE(piano roll)",
    "train/reconstruction": "training: MSE(reconstruction)",
    "validation/validation_note_f1": "validation: note F1",
    "validation/validation_frame_f1": "validation: frame F1",
}


def write_report(study: Study, path: Path) -> None:
    """Write the report as Markdown, its pictures into a folder of the same name beside it.

    Runs that are not complete are left out, as the report states.

    Raises:
      InputError: a file cannot be read or written.
    """
    runs = study.runs
    done = [run for run in runs if run.done]
    pictures = path.with_suffix("")
    make_folder(pictures)
    curves = {run.name: load_curves(run.curves) for run in done}
    parts = [
        _heading(runs, done),
        _set_up(study, done, curves),
        *(_arms(done, what, pictures) for what in EVALUATIONS),
        _second_pass(done),
        _spectrograms(done),
        _learning(done, curves, pictures),
        _commands(study, path),
    ]
    atomic_write(path, "\n\n".join(part for part in parts if part) + "\n")


def _heading(runs: Sequence[Run], done: Sequence[Run]) -> str:
    lines = [
        "# Does reconstruction make the transcriber better?",
        "",
        "The question of Cheuk et al. (ICPR 2020), asked with `bin/ablation`: the same network, data, seeds and steps,",
        "with and without the reconstruction of the spectrogram. That command wrote this page, from its result files;",
        "docs/evaluation.md defines the figures.",
    ]
    if len(done) < len(runs):
        missing = ", ".join(run.name for run in runs if not run.done)
        lines += ["", f"**{len(done)} of {len(runs)} runs are complete.** Missing: {missing}."]
    findings = [
        f"- {EVALUATIONS[what]}: {_finding(done, what)}" for what in EVALUATIONS if _pairs(done)
    ]
    if findings:
        lines += ["", "What came out, with reconstruction against without:", "", *findings]
    return "\n".join(lines)


def _finding(done: Sequence[Run], what: str) -> str:
    return "; ".join(
        f"`{item.metric}` {item.mean:+.4f} ({item.interval[0]:+.4f} to {item.interval[1]:+.4f}), {item.verdict}"
        for item in _differences(done, what)
        if item.metric in _SHOWN
    )


def _set_up(study: Study, done: Sequence[Run], curves: dict[str, dict[str, Curve]]) -> str:
    settings = study.settings
    data = json.loads((study.results / "data.json").read_text("utf-8"))
    splits: dict[str, Any] = data["splits"]
    recordings = splits.get("train", {}).get("recordings", 0)
    windows = settings.steps * settings.batch_size
    hours = windows * settings.window_frames * HOP_SECONDS / 3600
    paper_hours = PAPER_RECORDINGS * PAPER_EPOCHS * PAPER_FRAMES * HOP_SECONDS / 3600
    lines = ["## Set-up", "", "| | here | paper |", "| --- | --- | --- |"]
    lines += [
        f"| training recordings | {_contents(splits, 'train')} | {PAPER_RECORDINGS} (7 pianos of MAPS) |",
        f"| validated on | {_contents(splits, 'validation')} | the test pianos |",
        f"| tested on | {_contents(splits, 'test')} | 60 (ENSTDkAm, ENSTDkCl) |",
        f"| steps, batch | {settings.steps} x {settings.batch_size} windows of "
        f"{settings.window_frames * HOP_SECONDS:.2f} s | 8688 x {PAPER_BATCH} windows of "
        f"{PAPER_FRAMES * HOP_SECONDS:.2f} s |",
        f"| audio seen | {hours:.1f} h, {windows / max(recordings, 1):.0f} windows per recording | "
        f"{paper_hours:.0f} h, {PAPER_EPOCHS} windows per recording |",
        f"| learning rate | {settings.learning_rate:g}, cosine to 0, {settings.warmup_steps} steps of warm-up | "
        "6e-4, x0.98 every 10,000 steps |",
        f"| seeds | {settings.seeds} for each arm | 1 |",
    ]
    if settings.train_flags:
        lines.append(f"| changed | `{' '.join(settings.train_flags)}` | - |")
    lines += ["", "| arm | run | s per step | minutes of training |", "| --- | --- | ---: | ---: |"]
    for run in done:
        seconds = curves[run.name]["train/loss"].seconds_per_step
        lines.append(
            f"| {ARMS[run.preset]} | `{run.name}` | {seconds:.2f} | {seconds * settings.steps / 60:.0f} |"
        )
    lines += ["", "(Median over the reports of a run, with other load on the machine.)"]
    return "\n".join(lines)


def _contents(splits: dict[str, Any], split: str) -> str:
    """Return how many recordings there are, and of what."""
    content = splits.get(split, {"recordings": 0})
    groups = sorted(content.get("groups", {}))
    return f"{content['recordings']}" + (f" ({', '.join(groups)})" if groups else "")


def _arms(done: Sequence[Run], what: str, pictures: Path) -> str:
    if not _pairs(done):
        return ""
    differences = _differences(done, what)
    picture = pictures / f"{what}.png"
    shown = [item for item in differences if item.metric in _PICTURED]
    title = f"{ARMS[WITH]} against {ARMS[WITHOUT]}: {EVALUATIONS[what]}"
    write_differences_png(shown, picture, title=title, overwrite=True)
    return "\n".join(
        [
            f"## With and without reconstruction: {EVALUATIONS[what]}",
            "",
            format_differences(ARMS[WITHOUT], ARMS[WITH], differences),
            "",
            *_by_seed(done, what),
            "",
            f"![Differences by piece]({picture.parent.name}/{picture.name})",
        ]
    )


def _by_seed(done: Sequence[Run], what: str) -> list[str]:
    lines = ["Means by seed, without and with:", "", "| seed | " + " | ".join(_SHOWN) + " |"]
    lines.append("| --- |" + " ---: |" * len(_SHOWN))
    for with_, without in _pairs(done):
        means = [read_evaluation(run.evaluation(what)).summary.mean for run in (without, with_)]
        cells = [f"{means[0][name]:.4f}, {means[1][name]:.4f}" for name in _SHOWN]
        lines.append(f"| {with_.seed} | " + " | ".join(cells) + " |")
    return lines


def _second_pass(done: Sequence[Run]) -> str:
    runs = [run for run in done if run.preset in (WITH, CQT)]
    if not runs:
        return ""
    lines = [
        "## The second pass",
        "",
        "The reconstruction, transcribed again: means on the test split with thresholds 0.5, first and second pass.",
        "",
        "| run | " + " | ".join(_SHOWN) + " |",
        "| --- |" + " ---: |" * len(_SHOWN),
    ]
    for run in runs:
        mean = read_evaluation(run.evaluation("test")).summary.mean
        cells = [f"{mean[name]:.4f}, {mean[f'second_pass_{name}']:.4f}" for name in _SHOWN]
        lines.append(f"| `{run.name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spectrograms(done: Sequence[Run]) -> str:
    mel = [run for run in done if run.preset == WITH and run.seed == 0]
    cqt = [run for run in done if run.preset == CQT]
    if not (mel and cqt):
        return ""
    lines = ["## CQT against log-Mel", "", "One seed: the interval is over pieces alone."]
    for what in EVALUATIONS:
        systems = [
            System("log-Mel", [_read(run, what) for run in mel]),
            System("CQT", [_read(run, what) for run in cqt]),
        ]
        table = format_differences("log-Mel", "CQT", _all_differences(systems))
        lines += ["", f"### {EVALUATIONS[what]}", "", table]
    return "\n".join(lines)


def _learning(done: Sequence[Run], curves: dict[str, dict[str, Curve]], pictures: Path) -> str:
    if not done:
        return ""
    by_arm: dict[str, list[dict[str, Curve]]] = {}
    for run in done:
        by_arm.setdefault(ARMS[run.preset], []).append(curves[run.name])
    picture = pictures / "learning_curves.png"
    write_curves_png(by_arm, picture, tags=_CURVES, overwrite=True)
    lines = ["## Learning curves", "", f"![Learning curves]({picture.parent.name}/{picture.name})"]
    lines += [
        "",
        "| run | BCE(piano roll), last report | least | at step |",
        "| --- | ---: | ---: | ---: |",
    ]
    for run in done:
        curve = curves[run.name]["train/pianoroll"]
        least = int(np.argmin(curve.values))
        lines.append(
            f"| `{run.name}` | {curve.values[-1]:.4f} | {curve.values[least]:.4f} | {curve.steps[least]} |"
        )
    return "\n".join(lines)


def _commands(study: Study, path: Path) -> str:
    settings = study.settings
    flags = [
        f"--data={settings.data}",
        f"--output={study.work}",
        f"--results={study.results}",
        f"--report={path}",
        f"--seeds={settings.seeds}",
        f"--steps={settings.steps}",
        f"--batch_size={settings.batch_size}",
        f"--window_frames={settings.window_frames}",
        f"--learning_rate={settings.learning_rate:g}",
        f"--warmup_steps={settings.warmup_steps}",
        f"--validate_steps={settings.validate_steps}",
        f"--validation_minutes={settings.validation_minutes:g}",
        f"--tuning_minutes={settings.tuning_minutes:g}",
    ]
    extra = ["-- " + " ".join(settings.train_flags)] if settings.train_flags else []
    command = " \\\n  ".join(["bin/ablation", *flags, *extra])
    return "\n".join(
        [
            "## Commands",
            "",
            "The data set: see BUILD.md. Then, repeatedly if needed, since it resumes where it stopped:",
            "",
            "```sh",
            command,
            "```",
        ]
    )


def _pairs(done: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Return complete pairs (with, without) by seed."""
    found = {(run.preset, run.seed): run for run in done}
    return [
        (run, found[WITHOUT, seed])
        for (preset, seed), run in found.items()
        if preset == WITH and (WITHOUT, seed) in found
    ]


def _differences(done: Sequence[Run], what: str) -> list[Difference]:
    pairs = _pairs(done)
    return _all_differences(
        [
            System(ARMS[WITHOUT], [_read(without, what) for _, without in pairs]),
            System(ARMS[WITH], [_read(with_, what) for with_, _ in pairs]),
        ]
    )


def _all_differences(systems: Sequence[System]) -> list[Difference]:
    base, other = systems
    pieces = common_pieces(systems)
    return [compare(base, other, name, pieces) for name in common_metrics(systems, pieces)]


def _read(run: Run, what: str) -> Evaluation:
    return read_evaluation(run.evaluation(what))
