"""Test scoring and tuning of models on prepared data, by library and commands."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from pipelines.input.batches import training_input
from pipelines.preparation.index import load_index
from pipelines.scoring.model_scores import (
    PredictedRecording,
    evaluate_predictions,
    f1_decoded,
    predict,
    score_prediction,
)
from pipelines.scoring.threshold_search import CANDIDATES, best_of, fields_of, tune
from tests.support.processes import command
from tests.support.small_data import piece, prepare_small
from tests.tfamt.evaluation.test_average_precision import by_sorting
from tfamt.config import Config, DecodingConfig, ModelConfig, replace
from tfamt.evaluation.metrics import score
from tfamt.evaluation.results import read_evaluation
from tfamt.frames import FrameGrid
from tfamt.network.low_rank import factorized
from tfamt.network.model import build_model, build_transcriber
from tfamt.network.trained_models import load_model, load_transcriber
from tfamt.network.weights import load_weights, named_weights, save_weights
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.notes.table import Notes
from tfamt.presets import preset
from tfamt.transcription.backends import keras_backend
from tfamt.transcription.transcriber import Transcriber

GRID = FrameGrid(16000, 512)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data, and a run whose weights are random."""
    folder = tmp_path_factory.mktemp("scoring")
    prepare_small(folder)
    keras.utils.set_random_seed(1)
    config = replace(preset("tiny"), "model", temporal_context="none")
    model = build_model(config)
    (folder / "run").mkdir()
    weights = {name: value.numpy() for name, value in named_weights(model).items()}
    # The outputs of new heads are small; these are to give notes.
    weights["transcriber/pianoroll/bias"][:] = 0
    save_weights(folder / "run" / "weights.npz", config, weights)
    return folder


def heard_of(notes: Notes, frames: int = 140, **rolls: np.ndarray) -> PredictedRecording:
    return PredictedRecording("x", "tones", frames * 0.032, notes, rolls)


def rolls_of(notes: Notes, frames: int = 140) -> np.ndarray:
    return notes_to_rolls(notes, frames, GRID)["pianoroll"]


def test_both_passes_are_decoded_and_scored() -> None:
    notes = piece(1)
    late = notes.shift(0.32)
    config = Config()
    scored = score_prediction(
        heard_of(
            notes, pianoroll=0.8 * rolls_of(notes), pianoroll_second_pass=0.8 * rolls_of(late)
        ),
        config,
    ).piece
    assert scored.scores["note_f1"] == scored.scores["frame_f1"] == 1.0
    assert scored.scores["average_precision"] == 1.0
    assert scored.scores["second_pass_note_f1"] == 0.0
    assert 0 < scored.scores["second_pass_frame_f1"] < 1
    assert scored.errors["hits"] == len(notes) and scored.errors["second_pass_hits"] == 0
    expected = by_sorting(rolls_of(notes), rolls_of(late))
    assert scored.scores["second_pass_average_precision"] == pytest.approx(expected, abs=1e-9)
    # The model has no velocity head, so velocity is not scored.
    assert "note_offset_velocity_f1" not in scored.scores and scored.group == "tones"
    assert "shifted_note_f1" not in scored.scores


def test_the_second_pass_has_no_onsets_to_decode_by() -> None:
    notes = piece(1)
    config = replace(
        Config(model=ModelConfig(heads=("pianoroll", "onset", "offset"))),
        "decoding",
        method="onsets",
        offsets="expected_score",
    )
    rolls = notes_to_rolls(notes, 140, GRID)
    estimated = heard_of(notes, **rolls, pianoroll_second_pass=rolls["pianoroll"])
    scores = score_prediction(estimated, config).piece.scores
    assert scores["note_f1"] == scores["second_pass_note_f1"] == 1.0


def test_labels_that_lie_early_are_scored_raw_and_shifted() -> None:
    notes = piece(1, seconds=20.0)
    config = Config()
    estimated = heard_of(notes, pianoroll=rolls_of(notes.shift(0.064), 700))
    scored = score_prediction(estimated, config, "auto").piece
    assert scored.scores["note_f1"] < 0.5 and scored.scores["shifted_note_f1"] > 0.95
    assert scored.details["label_shift_ms"] == pytest.approx(64, abs=4)
    fixed = score_prediction(estimated, config, 0.064).piece
    assert fixed.details["label_shift_ms"] == 64.0
    assert fixed.details["measured_label_shift_ms"] == scored.details["label_shift_ms"]


def test_pooled_precision_is_not_the_mean() -> None:
    good, poor = piece(1), piece(2)
    noise = 0.9 * np.random.default_rng(0).random((140, 88)).astype(np.float32)
    items = [heard_of(good, pianoroll=rolls_of(good)), heard_of(poor, pianoroll=noise)]
    both = [
        PredictedRecording(f"p{n}", "", 1.0, item.reference, item.rolls)
        for n, item in enumerate(items)
    ]
    scored = evaluate_predictions(both, Config(), {"split": "validation"})
    joined = np.concatenate([item.rolls["pianoroll"] for item in items])
    truth = np.concatenate([rolls_of(good), rolls_of(poor)])
    assert scored.evaluation.pooled["average_precision"] == pytest.approx(
        by_sorting(truth, joined), abs=1e-3
    )
    assert scored.notes["p0"][0] == good and scored.evaluation.source["split"] == "validation"


def test_tuning_finds_the_threshold_that_separates() -> None:
    notes = piece(4)
    config = Config()
    # Notes at 0.3 over a floor of false alarms at 0.2, and one frame of 0.4 here and there.
    roll = np.maximum(0.3 * rolls_of(notes), 0.2 * rolls_of(piece(5)))
    roll[::16, 3] = 0.4
    trials = tune(config, [heard_of(notes, pianoroll=roll)], ["note_f1"])
    assert trials[0].decoding == config.decoding and trials[0].score == 0.0
    best = best_of(trials)
    assert best.score == 1.0
    assert best.decoding.pianoroll_threshold in (0.25, 0.3) and best.decoding.min_note_ms > 32
    assert len({trial.decoding for trial in trials}) == len(trials)
    assert fields_of(config) == ["pianoroll_threshold", "min_note_ms"]
    assert fields_of(preset("piano")) == list(CANDIDATES)
    onsets = Config(
        model=ModelConfig(heads=("pianoroll", "onset")), decoding=DecodingConfig(method="onsets")
    )
    assert set(CANDIDATES) - {*fields_of(onsets)} == {"offsets"}


def test_several_figures_count_alike() -> None:
    notes = piece(4)
    estimated = heard_of(notes, pianoroll=rolls_of(notes.select(notes.onset < 2.0)))
    decoding = Config().decoding
    each = [f1_decoded([name], estimated, Config(), decoding) for name in ("note_f1", "frame_f1")]
    assert each[0] != each[1]
    both = f1_decoded(["note_f1", "frame_f1"], estimated, Config(), decoding)
    assert both == pytest.approx(sum(each) / 2)


def test_velocity_is_scored_where_model_and_labels_have_it() -> None:
    notes = piece(6)
    rolls = notes_to_rolls(notes, 140, GRID)
    model = ModelConfig(heads=("pianoroll", "onset", "velocity"), reconstruction=False)
    config = Config(model=model, decoding=DecodingConfig(method="onsets"))
    chosen = {name: rolls[name] for name in ("pianoroll", "onset", "velocity")}
    assert (
        score_prediction(heard_of(notes, **chosen), config).piece.scores["note_offset_velocity_f1"]
        == 1
    )
    silent_labels = Notes(notes.onset, notes.offset, notes.pitch)
    scores = score_prediction(heard_of(silent_labels, **chosen), config).piece.scores
    assert "note_offset_velocity_f1" not in scores and scores["note_f1"] == 1


def run(name: str, *arguments: str | Path, root: Path) -> subprocess.CompletedProcess[str]:
    return command(f"pipelines.commands.{name}", *arguments, cwd=root)


def test_evaluate_and_tune_commands(place: Path, root: Path) -> None:
    model, out = [f"--run={place}/run", f"--data={place}/data"], place / "out"
    out.mkdir()
    done = run(
        "tune",
        *model,
        "--metric=frame_f1",
        "--metric=note_f1",
        f"--output={out}/d.json",
        f"--output_weights={out}/w.npz",
        root=root,
    )
    assert (done.returncode, done.stderr) == (0, "")
    tuned = json.loads((out / "d.json").read_text())
    assert done.stdout.splitlines()[0] == "tiny: tuning frame_f1 + note_f1 on 2 recordings"
    assert tuned["score"] == max(trial["score"] for trial in tuned["trials"]) > 0
    config, arrays = load_weights(out / "w.npz")
    assert config.decoding == DecodingConfig(**tuned["decoding"])
    _, before = load_weights(place / "run" / "weights.npz")
    assert all((arrays[name] == before[name]).all() for name in before)

    targets = [
        f"--json={out}/e.json", f"--csv={out}/e.csv", f"--markdown={out}/e.md", f"--png={out}/e.png",
        f"--overlay_png={out}/o.png", "--overlay_seconds=3",
    ]  # fmt: skip
    flags = [*model, f"--decoding={out}/d.json", "--label_shift_ms=auto"]
    done = run("evaluate", *flags, *targets, root=root)
    assert (done.returncode, done.stderr) == (0, "")
    assert "second-pass piano roll:" in done.stdout and "labels shifted:" in done.stdout
    evaluation = read_evaluation(out / "e.json")
    mean = evaluation.summary.mean
    assert (mean["frame_f1"] + mean["note_f1"]) / 2 == pytest.approx(tuned["score"])
    assert evaluation.source["decoding"] == tuned["decoding"]
    assert (evaluation.source["split"], evaluation.source["model"]) == ("validation", "tiny")
    with (out / "e.csv").open() as file:
        rows = {row["piece"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(evaluation.pieces)
    for png in ("e.png", "o.png"):
        assert (out / png).read_bytes()[:4] == b"\x89PNG"

    # The same by hand: every recording transcribed with the tuned weights and scored.
    config, joint = load_model(out / "w.npz")
    transcriber = Transcriber(config, keras_backend(config, joint.get_layer("transcriber")))
    for item in load_index(place / "data", "validation"):
        estimated = predict(transcriber, item)
        expected = score(
            estimated.reference, score_prediction(estimated, config).estimate, velocity=False
        )
        found = evaluation.pieces[item.entry.recording]
        assert found.scores["frame_f1"] == pytest.approx(expected["frame_f1"], abs=1e-9)
        assert float(rows[item.entry.recording]["frame_f1"]) == pytest.approx(expected["frame_f1"])
        assert found.details["seconds"] == pytest.approx(item.entry.total / 16000, abs=1e-3)


def test_the_mean_of_two_weights_files_is_tuned_and_written(place: Path, root: Path) -> None:
    config, before = load_weights(place / "run" / "weights.npz")
    tuned, other = place / "mean.npz", place / "other.npz"
    save_weights(other, config, {name: 3 * array for name, array in before.items()})
    done = run(
        "tune", f"--run={place}/run", f"--data={place}/data", f"--average_with={other}", "--average_share=0.25",
        "--metric=frame_f1", f"--output={place}/mean.json", f"--output_weights={tuned}", root=root,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    _, arrays = load_weights(tuned)
    for name in before:
        np.testing.assert_allclose(arrays[name], 1.5 * before[name], rtol=1e-6)
    # The score is that of the mean, which differs from that of the run by the same thresholds.
    reached = json.loads((place / "mean.json").read_text())["score"]
    config, joint = load_model(tuned)
    _, unmixed = load_model(place / "run" / "weights.npz")
    of_mean, of_run = (frame_f1(config, model, place / "data") for model in (joint, unmixed))
    assert of_mean == pytest.approx(reached) and of_run != pytest.approx(reached)


def test_a_former_decoding_is_written_into_weights(place: Path, root: Path) -> None:
    decoding = {"pianoroll_threshold": 0.15, "min_gap_ms": 50.0}
    (place / "former.json").write_text(json.dumps({"decoding": decoding}))
    done = run(
        "tune", f"--run={place}/run", f"--decoding={place}/former.json", f"--output_weights={place}/former.npz",
        root=root,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    config, arrays = load_weights(place / "former.npz")
    before, same = load_weights(place / "run" / "weights.npz")
    wanted = dataclasses.replace(DecodingConfig(), **decoding)
    assert config == dataclasses.replace(before, decoding=wanted) != before
    assert arrays.keys() == same.keys()
    for name, array in same.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_compress_command(place: Path, root: Path) -> None:
    small = place / "small.npz"
    arguments = [
        f"--run={place}/run",
        f"--data={place}/data",
        "--model_conv_ranks=0,3",
        f"--output_weights={small}",
    ]
    done = run("compress", *arguments, "--batches=2", root=root)
    assert (done.returncode, done.stderr) == (0, "")
    (config, before), (narrow, after) = load_weights(place / "run/weights.npz"), load_weights(small)
    assert narrow == replace(config, "model", conv_ranks=(0, 3))
    sizes = [
        sum(array.size for name, array in arrays.items() if name.startswith("transcriber/"))
        for arrays in (before, after)
    ]
    assert sizes[1] < sizes[0]
    printed = f"tiny: {sizes[1]} numbers instead of {sizes[0]} in U-net 1 and its heads\n"
    assert done.stdout == printed
    # The same by hand, from the first two training batches.
    batches = training_input(config, load_index(place / "data", "train")).take(2)
    _, model = load_transcriber(place / "run/weights.npz")
    other = build_transcriber(narrow.model, narrow.spectrogram)
    expected = factorized(before, model, other, [batch["spectrogram"] for batch in batches])
    assert expected.keys() == after.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(np.abs(array), np.abs(after[name]), rtol=0, atol=1e-4)

    done = run("evaluate", f"--weights={small}", f"--data={place}/data", root=root)
    assert (done.returncode, done.stderr) == (0, "") and "second-pass piano roll:" in done.stdout
    again = ["--weights", small, *arguments[1:3], f"--output_weights={place}/smaller.npz"]
    cases = [
        (arguments, "small.npz: exists already"),
        (again, "small.npz: holds products already"),
        ([*arguments[:2], "--model_conv_ranks=0,20", again[-1]], "do not make the network smaller"),
        ([*arguments[:2], "--model_conv_ranks=1,1,1", again[-1]], "at most the 2 levels"),
        ([arguments[0], *arguments[2:3], again[-1]], "--data is missing"),
        (arguments[:3], "--output_weights is missing"),
    ]
    for wrong, message in cases:
        done = run("compress", *wrong, root=root)
        assert (done.returncode, done.stdout) == (1, ""), (wrong, done.stderr)
        assert message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (place / "smaller.npz").exists()


def frame_f1(config: Config, joint: keras.Model, data: Path) -> float:
    """The mean over what bin/tune has tuned on."""
    transcriber = Transcriber(config, keras_backend(config, joint.get_layer("transcriber")))
    estimated = [predict(transcriber, item) for item in load_index(data, "validation")]
    return float(
        np.mean([score_prediction(item, config).piece.scores["frame_f1"] for item in estimated])
    )


def test_wrong_calls_get_one_line_each(place: Path, root: Path) -> None:
    model, data = f"--run={place}/run", f"--data={place}/data"
    out = f"--output={place}/x.json"
    not_decoding = place / "not.json"
    not_decoding.write_text("{}")
    cases = [
        ("tune", [model, data, out, "--split=test"], "on the validation split only"),
        ("tune", [model, data], "--output or --output_weights is missing"),
        ("tune", [model, out], "--data is missing"),
        ("tune", [model, data, out, "--average_with=none"], "none: does not exist"),
        ("tune", [model, data, out, "--average_share=0.3"], "is that of --average_with"),
        ("tune", [model, data, out, "--decoding=d.json"], "into --output_weights only"),
        (
            "tune",
            [model, "--output_weights=w.npz", "--decoding=none.json"],
            "none.json: cannot be read",
        ),
        ("tune", [data, out], "give either --run or --weights"),
        ("evaluate", [model], "--data is missing"),
        ("evaluate", [data], "give either --run or --weights"),
        ("evaluate", [model, data, "--reference=x"], "give either --reference and --estimate or"),
        ("evaluate", [model, data, "--label_shift_ms=some"], "must be a number or auto"),
        ("evaluate", ["--run=none", data], "none/weights.npz: does not exist"),
        ("evaluate", [model, data, f"--decoding={not_decoding}"], "decoding must be an object"),
        ("evaluate", [model, f"--data={place}"], "is not a prepared data set"),
    ]
    for name, arguments, message in cases:
        done = run(name, *arguments, root=root)
        assert (done.returncode, done.stdout) == (1, ""), (arguments, done.stderr)
        assert message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
