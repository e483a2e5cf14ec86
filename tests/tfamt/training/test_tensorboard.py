"""Test the event files of a run by reading them back."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from tfamt.config import replace
from tfamt.errors import InputError
from tfamt.frames import FrameGrid
from tfamt.network.model import FEATURE_MAP, build_model
from tfamt.notes.table import Notes
from tfamt.presets import preset
from tfamt.training.event_file import writing
from tfamt.training.tensorboard import (
    feature_maps,
    picture,
    profiled,
    sound,
    write_config,
    write_excerpt,
)
from tfamt.transcription.note_decoder import decode

SMALL = replace(
    preset("tiny"),
    "model",
    channels=(4,),
    reconstruction_channels=(4,),
    temporal_context="none",
    feature_maps=2,
)


def _events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def test_picture_by_hand() -> None:
    array = np.array([[0.0, 1.0], [0.5, -3.0], [0.25, 0.2]], np.float32)
    np.testing.assert_array_equal(
        picture(array)[:, :, 0], [[255, 0, 51], [0, 128, 64]], err_msg="rows from the top"
    )
    np.testing.assert_array_equal(picture(4 * array)[:, :, 0], picture(array)[:, :, 0])


def test_config_as_text_and_hyper_parameters(tmp_path: Path) -> None:
    write_config(tf.summary.create_file_writer(str(tmp_path)), SMALL, "second try")
    events = _events(tmp_path)
    (text,) = events.Tensors("config")
    markdown = tf.make_ndarray(text.tensor_proto).item().decode()
    assert json.loads(markdown) == json.loads(SMALL.to_json())
    assert all(line.startswith("    ") for line in markdown.splitlines())
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.group_name == "second try"
    given = start.hparams
    assert given["training/learning_rate"].number_value == 5e-3
    assert given["model/channels"].string_value == "[4]"
    assert given["model/reconstruction"].bool_value is True
    assert given["name"].string_value == "tiny"


@pytest.fixture(scope="module")
def excerpt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("excerpt")
    random = np.random.default_rng(0)
    spectrogram = random.random((40, 229), np.float32)
    label = (random.random((40, 88)) < 0.1).astype(np.float32)
    model = build_model(SMALL)
    # Untrained, the roll lies about 0.5: some of it is notes.
    write_excerpt(tf.summary.create_file_writer(str(folder)), 7, SMALL, model, spectrogram, label)
    return {"events": _events(folder), "spectrogram": spectrogram, "label": label, "model": model}


def test_pictures_of_an_excerpt(excerpt: dict) -> None:
    events, spectrogram, model = excerpt["events"], excerpt["spectrogram"], excerpt["model"]
    outputs = {k: v[0].numpy() for k, v in model(spectrogram[None], training=False).items()}
    expected = {
        "input": spectrogram, "label": excerpt["label"], **outputs, **feature_maps(model, spectrogram)
    }  # fmt: skip
    assert {tag.removeprefix("excerpt/") for tag in events.Tags()["tensors"]} == {
        "input", "label", "pianoroll", "pianoroll_second_pass", "reconstruction", "feature_map1",
        "feature_map2", "notes",
    }  # fmt: skip
    for name, array in expected.items():
        (event,) = events.Tensors(f"excerpt/{name}")
        width, height, png = tf.make_ndarray(event.tensor_proto)
        pixels = tf.io.decode_png(png).numpy()
        assert (event.step, int(width), int(height)) == (7, 40, array.shape[1])
        np.testing.assert_array_equal(pixels, picture(array), err_msg=name)


def test_feature_maps_are_the_unets_last_layers(excerpt: dict) -> None:
    model, spectrogram = excerpt["model"], excerpt["spectrogram"]
    maps = feature_maps(model, spectrogram)
    # The reconstruction is the second U-net's only feature.
    reconstruction = model(spectrogram[None], training=False)["reconstruction"][0]
    np.testing.assert_allclose(maps["feature_map2"], reconstruction, atol=1e-6)
    half = model.get_layer("transcriber")
    look = keras.Model(half.input, half.get_layer(FEATURE_MAP).output)
    features = look(spectrogram[None], training=False)[0].numpy()
    side_by_side = np.concatenate([features[:, :, 0], features[:, :, 1]], axis=1)
    np.testing.assert_allclose(maps["feature_map1"], side_by_side, atol=1e-6)


def test_sound_of_an_excerpt(excerpt: dict) -> None:
    outputs = excerpt["model"](excerpt["spectrogram"][None], training=False)
    roll = {"pianoroll": outputs["pianoroll"][0].numpy()}
    notes = decode(roll, SMALL.decoding, FrameGrid(16_000, 512))
    (event,) = excerpt["events"].Tensors("excerpt/notes")
    samples, rate = soundfile.read(io.BytesIO(tf.make_ndarray(event.tensor_proto).ravel()[0]))
    expected = sound(notes, 40 * 512 / 16_000)[0, :, 0]
    assert rate == 22_050
    assert len(samples) == 28_224  # 1.28 s
    np.testing.assert_allclose(samples, expected, atol=2 / 2**15)


def test_sound_of_one_note() -> None:
    samples = sound(Notes.from_rows([(0.5, 1.0, 69, 127)]), 2.0)[0, :, 0]
    assert not samples[:11_025].any()
    spectrum = np.abs(np.fft.rfft(samples[11_025:22_050]))
    assert spectrum.argmax() == pytest.approx(220, abs=1)  # bins of 2 Hz: 440 Hz


def test_profiler_takes_in_the_steps_asked_for(tmp_path: Path) -> None:
    seen = []
    for batch in profiled(range(6), 3, (5, 6), tmp_path):
        with tf.profiler.experimental.Trace(f"batch{batch}"):
            tf.square(2.0)
        seen.append(batch)
    assert seen == list(range(6))
    (file,) = tmp_path.rglob("*.xplane.pb")
    content = file.read_bytes()
    # Batch 0 is step 3.
    assert [f"batch{n}".encode() in content for n in range(6)] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 KiB. A limit of the process is none for TensorFlow, which notes it nowhere."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_an_event_file_on_a_full_disk_is_one_error(small_disk: Path) -> None:
    writer = tf.summary.create_file_writer(str(small_disk / "logs"))
    with contextlib.suppress(OSError), (small_disk / "rest").open("wb", buffering=0) as rest:
        while rest.write(bytes(1024)):
            pass
    # Small ones, which lie in a buffer until the end of the block.
    with pytest.raises(InputError) as caught, writing(writer):
        for step in range(100):
            tf.summary.scalar("loss", 1.0, step)
    assert re.fullmatch(
        r"the event file of TensorBoard cannot be written \(/\S+; No space left on device\)\. "
        r"Make room and start the command again: the run resumes from its last checkpoint\.",
        str(caught.value),
    )
