"""Test the flagfiles: the paper's values, and that each trains a step and evaluates."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from absl import flags

from pipelines.commands import train
from pipelines.preparation.index import load_index
from pipelines.preparation.shards import ShardJob, write_shard
from pipelines.readers import maestro, maps, musicnet
from pipelines.readers.recordings import SPLITS, DataSet
from pipelines.scoring.model_scores import evaluate_predictions, predict
from tests.support import make_fixtures
from tfamt.commands.config_flags import config_from_flags
from tfamt.network.trained_models import load_model
from tfamt.presets import preset
from tfamt.transcription.backends import keras_backend
from tfamt.transcription.transcriber import Transcriber

DATA_SETS = {"maps": 8688, "maestro": 60_438, "musicnet": 20_000}
"""Steps: 2000 epochs of 139, 967 and 320 recordings, 32 to a batch."""
ALL = list(itertools.product(DATA_SETS, ("mel", "cqt"), ("", "_baseline")))
SOME = [
    ("maps", "mel", ""),
    ("maps", "mel", "_baseline"),
    ("maestro", "cqt", ""),
    ("musicnet", "cqt", "_baseline"),
]
"""Each data set, input and network in one of them at least; the others are slow tests."""
SMALLER = [
    "--training_steps=1", "--training_batch_size=2", "--training_window_frames=32",
    "--inference_window_frames=32", "--inference_margin_frames=8", "--model_channels=4,8",
    "--model_reconstruction_channels=4,8", "--model_context_units=8",
    "--model_reconstruction_units=8", "--validation_minutes=0.001",
]  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small data sets in the layouts of the genuine ones, read and prepared."""
    folder = tmp_path_factory.mktemp("prepared")
    make_fixtures.make_maps(folder / "maps")
    make_fixtures.make_musicnet(folder / "musicnet")
    make_fixtures.write_files(folder / "maestro", make_fixtures.maestro_files("v2.0.0"))
    found = {
        "maps": maps.read(str(folder / "maps"), ["AkPnBcht"]),
        "maestro": maestro.read(str(folder / "maestro")),
        "musicnet": musicnet.read(str(folder / "musicnet"), validation_ids=["2302"]),
    }
    return {name: store(data_set, folder / "out" / name) for name, data_set in found.items()}


def store(data_set: DataSet, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for split in SPLITS:
        chosen = [item for item in data_set.recordings if item.split == split]
        assert chosen, (data_set.name, split)
        write_shard(ShardJob(str(folder), f"{split}-00000-of-00001", "fixture", chosen))
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, root: Path):
    """Parses flags as bin/train does in the checkout; all are as before afterwards."""
    from absl.testing import flagsaver

    monkeypatch.chdir(root)
    values = flags.FLAGS
    with flagsaver.flagsaver():

        def parse(*arguments: str) -> None:
            for name in values:
                values[name].unparse()
            values(["train", *arguments])

        yield parse


def test_every_flagfile_has_been_thought_of(root: Path) -> None:
    found = {path.stem for path in (root / "configs").iterdir()}
    assert found == {"tiny", "piano", "icpr2020", *(f"icpr2020_{data}" for data in DATA_SETS)}


@pytest.mark.parametrize(("data", "kind", "baseline"), ALL)
def test_settings_are_the_papers(parse, data: str, kind: str, baseline: str) -> None:
    parse(f"--flagfile=configs/icpr2020_{data}.flags", f"--preset=icpr2020_{kind}{baseline}")
    config, _ = config_from_flags()
    wanted = preset(f"icpr2020_{kind}{baseline}")
    assert config.model == wanted.model and config.spectrogram == wanted.spectrogram
    assert config.model.reconstruction == config.model.second_pass == (not baseline)
    training = config.training
    assert training.steps == DATA_SETS[data]
    assert (training.batch_size, training.window_frames, training.clip_norm) == (32, 640, 3.0)
    assert (training.learning_rate, training.schedule) == (6e-4, "exponential")
    assert (training.decay_rate, training.decay_steps, training.ema) == (0.98, 10_000, 0.0)
    assert flags.FLAGS.data == [f"data/{data}"] and flags.FLAGS.run_dir == f"runs/icpr2020_{data}"


def test_the_log_mel_system_is_the_default_of_the_papers_flagfiles(parse) -> None:
    parse("--flagfile=configs/icpr2020_maps.flags")
    assert config_from_flags()[0].model == preset("icpr2020_mel").model


def test_the_pianos_flagfile_trains_the_preset_piano(parse) -> None:
    parse("--flagfile=configs/piano.flags")
    config, _ = config_from_flags()
    assert config.model == preset("piano").model
    # Windows of one recording fill a batch in pairs, and the run cools down over its last third.
    assert config.training.batch_size % config.training.recording_windows == 0
    assert (config.training.steps, config.training.cooldown_steps) == (30_000, 10_000)
    assert (config.loss.velocity, config.loss.velocity_level) == (12.0, 2.0)
    assert flags.FLAGS.initial_weights is None


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Without graphs, whose making takes most of the time of a single step."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
@pytest.mark.parametrize(
    ("data", "kind", "baseline"),
    [each if each in SOME else pytest.param(*each, marks=pytest.mark.slow) for each in ALL],
)
def test_each_starts_steps_and_evaluates(
    parse, prepared: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    data: str, kind: str, baseline: str,
) -> None:  # fmt: skip
    parse(
        f"--flagfile=configs/icpr2020_{data}.flags", f"--preset=icpr2020_{kind}{baseline}",
        f"--data={prepared[data]}", f"--run_dir={tmp_path}", *SMALLER,
    )  # fmt: skip
    assert train.main(["train"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-3].startswith("step 1/1  loss ") and "validation_note_f1" in lines[-2]
    assert ("reconstruction" in lines[-3]) == (not baseline)
    assert lines[-1].startswith(f"next: bin/evaluate --run={tmp_path} --data={prepared[data]} ")
    config, model = load_model(tmp_path / "weights.npz")
    assert json.loads((tmp_path / "config.json").read_text())["training"]["steps"] == 1
    stored = load_index(prepared[data], "test")[:1]
    scored = evaluate_predictions(
        [predict(Transcriber(config, keras_backend(config, model)), item) for item in stored],
        config,
        {},
    )
    (piece,) = scored.evaluation.pieces.values()
    assert piece.group in {"ENSTDkAm", "ENSTDkCl", "2014", "Mozart", "Bach", "Beethoven"}
    for prefix in ("", *([] if baseline else ["second_pass_"])):
        assert 0 < piece.scores[f"{prefix}average_precision"] <= 1
    assert ("second_pass_note_f1" in piece.scores) == (not baseline)
