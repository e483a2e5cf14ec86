"""Test the paper's experiment in miniature: run, interrupted, resumed, reported."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import pipelines
from pipelines.studies.ablation_study import (
    CQT,
    WITH,
    WITHOUT,
    AblationSettings,
    Study,
)
from tests.support.processes import command
from tests.support.small_data import prepare_small
from tfamt.config import Config, replace
from tfamt.evaluation.results import read_evaluation
from tfamt.network.weights import load_weights
from tfamt.utils.locks import exclusive_lock

SMALL = ["--model_channels=4", "--model_temporal_context=none", "--model_reconstruction_channels=4"]
SETTINGS = AblationSettings(
    "data", 2, 9, 8, 320, 1e-3, 3, 5, 1.0, 2.0, ("--model_temporal_context=none",)
)


def ablation(*arguments: str | Path, root: Path) -> subprocess.CompletedProcess[str]:
    return command("pipelines.commands.ablation", *arguments, cwd=root, timeout=900)


def test_pairs_come_early_and_share_everything_but_the_preset() -> None:
    runs = Study(SETTINGS, Path("out"), Path("out/results")).runs
    assert [(run.preset, run.seed) for run in runs] == [
        (WITH, 0), (WITHOUT, 0), (WITH, 1), (WITHOUT, 1), (CQT, 0),
    ]  # fmt: skip
    configs = [run.config for run in runs]
    assert [(c.training.seed, c.training.steps, c.training.batch_size) for c in configs] == [
        (0, 9, 8), (0, 9, 8), (1, 9, 8), (1, 9, 8), (0, 9, 8),
    ]  # fmt: skip
    assert all(c.training == configs[0].training for c in (configs[1], configs[4]))
    assert {c.training.schedule for c in configs} == {"cosine"}
    assert {c.inference.window_frames for c in configs} == {320}
    # The arms differ by reconstruction alone.
    assert configs[0].model.reconstruction and not configs[1].model.reconstruction
    same = replace(configs[0], "model", reconstruction=False)
    assert dataclasses.replace(same, name=configs[1].name) == configs[1]


def test_a_study_may_change_the_network_of_all_runs() -> None:
    def customize(config: Config) -> Config:
        return replace(config, "model", channels=(4,))

    runs = Study(SETTINGS, Path("out"), Path("out/results"), customize).runs
    assert {run.config.model.channels for run in runs} == {(4,)}


@pytest.fixture(scope="module")
def study(root: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("ablation")
    data = prepare_small(folder)
    arguments = [
        f"--data={data}", f"--output={folder / 'out'}", f"--report={folder / 'docs' / 'ablation.md'}",
        "--seeds=1", "--steps=2", "--batch_size=1", "--window_frames=96", "--validate_steps=2",
        "--warmup_steps=1",
    ]  # fmt: skip
    (folder / "docs").mkdir()
    done = ablation(*arguments, "--", *SMALL, root=root)
    assert done.returncode == 0, done.stderr
    return folder, arguments, done


@pytest.mark.slow
def test_a_study_runs_and_reports(study) -> None:
    folder, _, done = study
    assert done.stdout.splitlines() == [
        *(f"{preset}_seed0: {stage}" for preset in (WITH, WITHOUT, CQT) for stage in ("training", "evaluation")),
        f"report: {folder}/docs/ablation.md",
    ]  # fmt: skip
    text = (folder / "docs" / "ablation.md").read_text()
    with_ = read_evaluation(folder / "out/results/icpr2020_mel_seed0_test.json")
    without = read_evaluation(folder / "out/results/icpr2020_mel_baseline_seed0_test.json")
    assert list(with_.pieces) == list(without.pieces)
    assert len(with_.pieces) == 1
    means = [item.summary.mean["average_precision"] for item in (without, with_)]
    row = re.search(
        r"thresholds 0\.5\n\n.*?\| average_precision +\| (\S+) +\| (\S+)",
        text[text.index("## With and without reconstruction: test") :], re.DOTALL,
    )  # fmt: skip
    assert row is not None
    assert [float(cell) for cell in row.groups()] == pytest.approx(means, abs=5e-5)
    assert "does not hold (1 pieces are too few for the sign test)" in text
    assert (
        "| audio seen | 0.0 h, 1 windows per recording | 1582 h, 2000 windows per recording |"
        in text
    )
    assert "| validated on | 2 (tones) | the test pianos |" in text
    assert "bin/ablation \\\n" in text and f"-- {' '.join(SMALL)}" in text
    for picture in re.findall(r"\]\((.+\.png)\)", text):
        assert (folder / "docs" / picture).read_bytes()[:4] == b"\x89PNG"
    assert len(re.findall(r"\.png\)", text)) == 4
    assert "second_pass_note_f1" in with_.summary.mean
    assert "second_pass_note_f1" not in without.summary.mean
    tuned = json.loads((folder / "out/results/icpr2020_mel_seed0_decoding.json").read_text())
    assert tuned["recordings"] == [*read_evaluation(
        folder / "out/results/icpr2020_mel_seed0_validation.json").pieces]  # fmt: skip
    assert tuned["score"] == max(trial["score"] for trial in tuned["trials"])
    config, _ = load_weights(folder / "out/runs/icpr2020_cqt_seed0/weights.npz")
    assert (config.spectrogram.kind, config.training.steps, config.model.channels) == (
        "cqt",
        2,
        (4,),
    )


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_what_is_missing_is(study, root: Path) -> None:
    folder, arguments, _ = study
    results = folder / "out" / "results"
    weights = folder / "out" / "runs" / "icpr2020_mel_baseline_seed0" / "weights.npz"
    before = {path: path.stat().st_mtime_ns for path in [*results.iterdir(), weights]}
    # Without curves: killed at the end of the training, which then finds nothing left to do.
    for what, stage in (("test", "evaluation"), ("curves", "training")):
        lost = results / f"icpr2020_mel_baseline_seed0_{what}.json"
        content = lost.read_bytes()
        lost.unlink()
        done = ablation(*arguments, "--", *SMALL, root=root)
        assert done.stdout.splitlines()[:-1] == [f"icpr2020_mel_baseline_seed0: {stage}"], (
            done.stderr
        )
        assert lost.read_bytes() == content
    for path, time in before.items():
        if "baseline" not in path.name:
            assert path.stat().st_mtime_ns == time, path
    done = ablation(*arguments, root=root)
    assert done.returncode == 1 and "holds a study with other settings" in done.stderr


@pytest.mark.slow
def test_a_run_at_work_is_left_to_it_and_the_others_are_done(study, root: Path) -> None:
    folder, arguments, _ = study
    for name in ("icpr2020_mel_seed0_test.json", "icpr2020_mel_baseline_seed0_test.json"):
        (folder / "out" / "results" / name).unlink()
    with exclusive_lock(folder / "out" / "runs" / "icpr2020_mel_seed0.lock", "is in use"):
        done = ablation(*arguments, "--", *SMALL, root=root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:-1] == [
        "icpr2020_mel_seed0: another process is at work on it",
        "icpr2020_mel_baseline_seed0: evaluation",
    ]
    report = (folder / "docs" / "ablation.md").read_text()
    assert "**2 of 3 runs are complete.** Missing: icpr2020_mel_seed0." in report
    done = ablation(*arguments, "--", *SMALL, root=root)
    assert done.stdout.splitlines()[:-1] == ["icpr2020_mel_seed0: evaluation"]


@pytest.mark.slow
def test_a_study_goes_on_from_its_results_alone(study, root: Path) -> None:
    folder, arguments, _ = study
    results = shutil.copytree(folder / "out" / "results", folder / "elsewhere")
    report = folder / "docs" / "ablation.md"
    before = report.read_text()
    moved = [a for a in arguments if not a.startswith("--output")]
    moved += [f"--output={folder / 'new'}", f"--results={results}"]
    done = ablation(*moved, "--", *SMALL, root=root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"report: {report}"]
    after = report.read_text()
    assert after == before.replace(f"{folder}/out/results", str(results)).replace(
        f"--output={folder}/out", f"--output={folder}/new"
    )

    more = ablation(*moved, "--seeds=2", "--report_only", "--", *SMALL, root=root)
    assert more.returncode == 0, more.stderr
    assert "**3 of 5 runs are complete.**" in report.read_text()

    data = json.loads((results / "data.json").read_text())
    data["splits"]["train"]["recordings"] += 1
    (results / "data.json").write_text(json.dumps(data))
    done = ablation(*moved, "--", *SMALL, root=root)
    assert done.returncode == 1 and "holds a study with other data" in done.stderr


@pytest.mark.slow
def test_python_goes_on_with_what_the_command_began(study) -> None:
    folder, _, _ = study
    lost = folder / "out" / "results" / "icpr2020_mel_baseline_seed0_test.json"
    content = lost.read_bytes()
    lost.unlink()
    settings = AblationSettings(
        str(folder / "data"), seeds=1, steps=2, batch_size=1, window_frames=96, learning_rate=1e-3,
        warmup_steps=1, validate_steps=2, validation_minutes=6.0, tuning_minutes=20.0,
        train_flags=tuple(SMALL),
    )  # fmt: skip

    def customize(config: Config) -> Config:
        config = replace(config, "model", channels=(4,), temporal_context="none")
        return replace(config, "model", reconstruction_channels=(4,))

    lines: list[str] = []
    result = pipelines.run_ablation(
        settings, folder / "out", customize=customize, progress=lines.append
    )
    assert lines == ["icpr2020_mel_baseline_seed0: evaluation"]
    assert [run.done for run in result.runs] == [True] * 3
    assert lost.read_bytes() == content


@pytest.mark.slow
def test_a_failed_training_is_reported_with_its_log(study, root: Path) -> None:
    folder, arguments, _ = study
    other = [a.replace("/out", "/failing") for a in arguments]
    done = ablation(*other, "--", "--training_accumulation=5", root=root)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "must be a multiple of 5" in done.stderr
    assert f"{folder}/failing/logs/icpr2020_mel_seed0.log" in done.stderr
