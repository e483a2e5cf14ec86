"""Test that exported models give the same outputs in TensorFlow, OpenVINO, ONNX Runtime and C."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tests.support.processes import command
from tfamt.audio.loudness import loudness
from tfamt.audio.reading import read
from tfamt.config import Config, replace
from tfamt.errors import InputError
from tfamt.export.onnx import export_onnx
from tfamt.export.saved_model import Exported, check_parity, export_saved_model, load_signatures
from tfamt.export.serving_module import resample
from tfamt.network.frontend import build_frontend, build_recording_frontend
from tfamt.network.model import build_model
from tfamt.network.trained_models import load_model, load_transcriber
from tfamt.network.weights import named_weights, save_weights, shipped_weights
from tfamt.presets import preset

TENSORFLOW = Path(tf.__file__).parent


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=120, **options
    )  # type: ignore[call-overload]


def export(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return command("tfamt.commands.export", *arguments, **options)


@pytest.fixture(scope="module")
def signatures(exported: Path) -> dict[str, tf.types.experimental.ConcreteFunction]:
    return load_signatures(exported / "1")


@pytest.fixture(scope="module")
def music(root: Path) -> np.ndarray:
    """Ten seconds of the example, float32 [samples]: no whole number of frames."""
    return read(root / "examples" / "prelude.ogg")[48_000 : 48_000 + 160_001]


def weights_file(path: Path, config: Config, spread: float = 20.0) -> Path:
    """Random weights whose piano roll is not all of one value."""
    keras.utils.set_random_seed(5)
    model = build_model(config)
    transcriber = model.get_layer("transcriber")
    head = transcriber.get_layer("pianoroll")
    kernel, bias = head.get_weights()
    head.set_weights([kernel * spread, bias])
    # What begins as nothing is to do something.
    for layer in transcriber.layers:
        first, *others = layer.get_weights() or [np.ones(1)]
        if not first.any():
            layer.set_weights([np.full_like(first, 0.1), *others])
    save_weights(path, config, {k: np.asarray(v) for k, v in named_weights(model).items()})
    return path


@pytest.fixture(scope="module")
def paper_export(paper: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    output = tmp_path_factory.mktemp("versions")
    for name in ("3", "11", "12x"):
        (output / name).mkdir()
    return export_saved_model(output, paper)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small network in the shape of the paper's: Mel, LSTMs, reconstruction, second pass."""
    config = replace(preset("tiny"), "spectrogram", window=512, bins=64)
    return weights_file(tmp_path_factory.mktemp("paper") / "paper.npz", config)


@functools.cache
def network() -> tuple[keras.Model, keras.Model]:
    config, model = load_transcriber(shipped_weights())
    return build_recording_frontend(config.spectrogram), model


def expected(waveform: np.ndarray) -> dict[str, np.ndarray]:
    frontend, model = network()
    outputs = model(frontend(waveform), training=False)
    return {name: value.numpy() for name, value in outputs.items()}


# --- the folder ---


def test_what_lies_in_the_folder(exported: Path) -> None:
    assert [path.name for path in exported.iterdir()] == ["1"]
    config, _ = load_model(shipped_weights())
    extra = exported / "1" / "assets.extra"
    assert Config.from_json((extra / "config.json").read_text()) == config
    card = (extra / "model_card.md").read_text()
    assert hashlib.sha256(Path(shipped_weights()).read_bytes()).hexdigest() in card
    assert "| from_wav_bytes | content string [?] | frame_times float32 [?, ?]," in card
    # What lies beside the weights: data, licence and limits.
    assert "CC BY-NC-SA" in card
    assert (exported / "1").stat().st_mode & 0o055 == 0o055


def test_versions_are_counted_on(paper_export: Exported) -> None:
    assert paper_export.path.name == "12"
    assert paper_export.difference <= 1e-5
    there = {path.name for path in paper_export.path.parent.iterdir()}
    assert there == {"3", "11", "12", "12x"}


def test_a_reconstructor_makes_one_signature_more(paper: Path, paper_export: Exported) -> None:
    loaded = load_signatures(paper_export.path)
    assert set(loaded) == {"serving_default", "from_wav_bytes", "config", "reconstruct"}
    waveform = np.random.default_rng(0).normal(0, 0.1, (2, 9000)).astype(np.float32)
    outputs = loaded["reconstruct"](waveform=tf.constant(waveform))
    assert set(outputs) == {
        "frame_times", "pianoroll", "pianoroll_second_pass", "reconstruction", "spectrogram"
    }  # fmt: skip
    config, model = load_model(paper)
    spectrogram = build_recording_frontend(config.spectrogram)(waveform)
    np.testing.assert_allclose(outputs["spectrogram"], spectrogram, rtol=0, atol=1e-5)
    for name, value in model(spectrogram, training=False).items():
        np.testing.assert_allclose(outputs[name], value, rtol=0, atol=1e-5)
    assert np.std(outputs["pianoroll"]) > 0.05


@pytest.mark.slow
def test_rolls_do_not_depend_on_the_level_of_a_recording(tmp_path: Path) -> None:
    smaller = replace(
        preset("piano"), "model", channels=(4, 8), temporal_context="none", refinement=4
    )
    config = replace(smaller, "spectrogram", bins=64)
    weights = weights_file(tmp_path / "level.npz", config, spread=1000.0)
    exported = export_saved_model(tmp_path / "level", weights)
    assert exported.difference <= 1e-5
    loaded = load_signatures(exported.path)
    assert set(loaded) == {"serving_default", "windows", "from_wav_bytes", "config"}
    loud = np.random.default_rng(0).normal(0, 0.2, (1, 9000)).astype(np.float32)
    soft = loud / 16
    _, model = load_transcriber(weights)
    frontend = build_frontend(config.spectrogram)
    # A recording is normalized to its own loudness, a window to that of its recording.
    measured = np.array([loudness(soft[0])], np.float32)
    cases = (
        ({"waveform": soft}, "serving_default", measured),
        ({"waveform": soft, "loudness": measured}, "windows", measured),
        ({"waveform": soft, "loudness": 4 * measured}, "windows", 4 * measured),
    )
    rolls = []
    for inputs, signature, level in cases:
        outputs = loaded[signature](**{name: tf.constant(x) for name, x in inputs.items()})
        rolls.append(outputs["pianoroll"].numpy())
        expected_roll = model(frontend([soft, level]), training=False)["pianoroll"]
        np.testing.assert_allclose(rolls[-1], expected_roll, atol=1e-5)
    assert np.abs(rolls[1] - rolls[2]).max() > 1e-4
    same = loaded["serving_default"](waveform=tf.constant(loud))["pianoroll"]
    np.testing.assert_allclose(same, rolls[0], atol=1e-4)
    # Both compare with the model on a recording that is not at that level.
    assert export_onnx(tmp_path / "level.onnx", weights).difference < 1e-3


def test_a_model_that_differs_is_not_delivered(
    paper: Path, paper_export: Exported, tmp_path: Path
) -> None:
    config, model = load_model(paper)
    loaded = load_signatures(paper_export.path)
    assert check_parity(config, model, loaded) <= 1e-5
    bias = model.get_layer("transcriber").get_layer("pianoroll").weights[1]
    bias.assign(np.asarray(bias) + 3e-4)
    with pytest.raises(InputError, match=r"pianoroll \(serving_default, recording\) differs by"):
        check_parity(config, model, loaded)

    # Finite weights whose outputs are not: the root of a negative variance.
    arrays = {name: np.asarray(value) for name, value in named_weights(model).items()}
    name = next(name for name in arrays if name.endswith("moving_variance"))
    save_weights(tmp_path / "nan.npz", config, {**arrays, name: -np.ones_like(arrays[name])})
    with pytest.raises(InputError, match="differs by nan"):
        export_saved_model(tmp_path / "bad", tmp_path / "nan.npz")
    assert list((tmp_path / "bad").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 1, "one output must be named"),
        (["a", "b"], 1, "Received: a b"),
        (["--format=pickle", "out"], 2, "pickle"),
        (["--weights=missing.npz", "out"], 1, "missing.npz: does not exist"),
        (["file"], 1, "file: cannot be made"),
        (["--format=onnx", "file"], 1, "file: exists already"),
    ],
)
def test_what_is_wrong_is_said(
    paper: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    shutil.copy(paper, tmp_path / "paper.npz")
    (tmp_path / "file").touch()
    done = export(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr and "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"file", "out", "paper.npz"}
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


# --- what comes out ---


def test_rolls_are_those_of_the_model(signatures: dict, music: np.ndarray) -> None:
    both = np.stack([music, music[::-1]])
    outputs = signatures["serving_default"](waveform=tf.constant(both))
    for name, value in expected(both).items():
        assert value.max() > 0.2
        np.testing.assert_allclose(outputs[name], value, rtol=0, atol=1e-5)
    assert outputs["pianoroll"].shape == (2, 313, 88)
    np.testing.assert_allclose(outputs["frame_times"][1, :4], [0.0, 0.032, 0.064, 0.096], atol=1e-7)
    assert outputs["frame_times"].shape == (2, 313)
    alone = signatures["serving_default"](waveform=tf.constant(both[1:]))
    np.testing.assert_allclose(outputs["onset"][1:], alone["onset"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 511, 512, 513])
def test_any_length_will_do(signatures: dict, samples: int) -> None:
    waveform = np.full((1, samples), 0.1, np.float32)
    outputs = signatures["serving_default"](waveform=tf.constant(waveform))
    assert outputs["pianoroll"].shape == (1, -(-samples // 512), 88)
    np.testing.assert_allclose(outputs["onset"], expected(waveform)["onset"], rtol=0, atol=1e-5)


def test_the_config_can_be_asked_for(signatures: dict) -> None:
    config, _ = load_model(shipped_weights())
    (answer,) = signatures["config"](request=tf.constant([""]))["config"].numpy()
    assert Config.from_json(answer.decode()) == config


def wav(samples: np.ndarray, rate: int, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def test_wav_files_of_several_lengths_at_once(signatures: dict, music: np.ndarray) -> None:
    short = music[:50_000]
    stereo = np.stack([short * 1.5, short * 0.5], axis=1)
    files = [wav(music, 16000), wav(stereo, 16000)]
    outputs = signatures["from_wav_bytes"](content=tf.constant(files))
    np.testing.assert_array_equal(outputs["num_frames"], [313, 98])
    for row, samples, frames in ((0, music, 313), (1, short, 98)):
        # Through 16 bits, so not as close as elsewhere.
        value = expected(samples[None])["pianoroll"][0]
        np.testing.assert_allclose(outputs["pianoroll"][row, :frames], value, rtol=0, atol=0.05)
        assert not np.asarray(outputs["pianoroll"][row, frames:]).any()


def test_other_rates_are_resampled(signatures: dict, root: Path) -> None:
    samples, rate = soundfile.read(root / "examples" / "prelude.ogg", stop=300_000)
    assert rate == 44100
    outputs = signatures["from_wav_bytes"](content=tf.constant([wav(samples, rate)]))
    played = read(wav(samples, rate))
    np.testing.assert_array_equal(outputs["num_frames"], [-(-len(played) // 512)])
    value = expected(played[None])["onset"]
    # soxr, which `read` uses, lets less of the highest 700 Hz pass.
    assert np.abs(outputs["onset"] - value).mean() < 2e-3
    assert np.corrcoef(np.ravel(outputs["onset"]), value.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(("rate", "samples"), [(44100, 100_000), (8000, 12_345), (48000, 48_000)])
def test_resampling_keeps_tones_and_time(rate: int, samples: int) -> None:
    def tone(times: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * 1000.0 * times) * np.exp(-(((times - 0.5) / 0.1) ** 2))

    ours = resample(
        tf.constant(tone(np.arange(samples) / rate), tf.float32), tf.constant(rate), 16000
    )
    assert len(ours) == round(samples * 16000 / rate)
    np.testing.assert_allclose(ours, tone(np.arange(len(ours)) / 16000), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"OggS" * 100, wav(np.zeros((100, 1)), 16000)[:40]]
)
def test_what_is_no_wav_file_is_refused(signatures: dict, content: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["from_wav_bytes"](content=tf.constant([content]))


def test_wav_files_without_samples_are_refused(signatures: dict) -> None:
    for samples, rate in ((0, 16000), (1, 44100)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="no samples"):
            signatures["from_wav_bytes"](content=tf.constant([wav(np.zeros((samples, 1)), rate)]))


def test_wav_files_with_absurd_rates_are_refused(signatures: dict) -> None:
    for rate in (1, 2**31 - 1):
        with pytest.raises(tf.errors.InvalidArgumentError, match="sample rate"):
            signatures["from_wav_bytes"](content=tf.constant([wav(np.zeros((10, 1)), rate)]))


# --- elsewhere ---


def test_stock_tensorflow_has_every_operation(exported: Path) -> None:
    code = f"""
import json, sys
from operator import attrgetter
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry
model = saved_model_pb2.SavedModel()
model.ParseFromString(open({str(exported / "1" / "saved_model.pb")!r}, "rb").read())
graph = model.meta_graphs[0].graph_def
functions = attrgetter("library.function")(graph)
nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
ops = {{node.op for node in nodes}} - {{f.signature.name for f in functions}}
outputs = tf.saved_model.load({str(exported / "1")!r}).signatures["serving_default"](tf.zeros([1, 16000]))
print(json.dumps([sorted(ops), sorted(op for op in ops if op_def_registry.get(op) is None),
    float(tf.reduce_max(outputs["pianoroll"])), [n for n in ("tfamt", "tensorflow_io", "keras") if n in sys.modules]]))
"""
    done = run(sys.executable, "-c", code, cwd=exported)
    assert done.returncode == 0, done.stderr
    ops, unknown, loudest, loaded = json.loads(done.stdout)
    assert {"Conv2D", "DecodeWav"} < set(ops) and unknown == []
    assert not [op for op in ops if op.startswith("IO>")]
    assert loudest < 0.2
    assert "tfamt" not in loaded and "tensorflow_io" not in loaded


def tensor_names(exported: Path) -> tuple[str, str]:
    """Input and piano roll of `serving_default` in the graph."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((exported / "1" / "saved_model.pb").read_bytes())
    signature = model.meta_graphs[0].signature_def["serving_default"]
    return signature.inputs["waveform"].name, signature.outputs["pianoroll"].name


@pytest.mark.slow
def test_a_c_program_runs_it(exported: Path, music: np.ndarray, root: Path, tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("needs a C compiler, gcc")
    program = tmp_path / "run_saved_model"
    compiled = run(
        "gcc", "-Wall", "-Wextra", "-Werror", "-o", program, root / "examples" / "run_saved_model.c",
        "-isystem", TENSORFLOW / "include", f"-L{TENSORFLOW}", f"-Wl,-rpath,{TENSORFLOW}",
        "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2",
    )  # fmt: skip
    assert compiled.returncode == 0, compiled.stderr
    music.tofile(tmp_path / "music.f32")
    done = run(program, exported / "1", *tensor_names(exported), tmp_path / "music.f32")
    assert done.returncode == 0, done.stderr
    roll = np.loadtxt(io.StringIO(done.stdout))
    np.testing.assert_allclose(roll, expected(music[None])["pianoroll"][0], rtol=0, atol=1e-5)
    wrong = run(program, exported / "2", "a:0", "b:0", tmp_path / "music.f32")
    assert wrong.returncode == 1 and wrong.stderr.count("error: ") == 1


def test_the_command_of_tensorflow_runs_it(
    exported: Path, music: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "music.npy", music[None])
    done = run(
        Path(sys.executable).parent / "saved_model_cli", "run", "--dir", exported / "1", "--tag_set", "serve",
        "--signature_def", "serving_default", "--inputs", f"waveform={tmp_path / 'music.npy'}",
        "--outdir", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    value = expected(music[None])
    for name in ("pianoroll", "onset", "offset", "velocity"):
        ours = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(ours, value[name], rtol=0, atol=1e-5)


def test_openvino_reads_the_folder(exported: Path, music: np.ndarray) -> None:
    openvino = pytest.importorskip("openvino", reason="needs the extra test: OpenVINO")
    core = openvino.Core()
    # Its default on this kind of processor is bfloat16.
    compiled = core.compile_model(
        core.read_model(exported / "1"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for waveform in (np.stack([music, music[::-1]]), music[None, :50_000]):
        outputs = {port.any_name: value for port, value in compiled([waveform]).items()}
        for name, value in expected(waveform).items():
            np.testing.assert_allclose(outputs[name], value, rtol=0, atol=1e-4)


def test_openvino_runs_lstms_of_any_length(
    paper: Path, paper_export: Exported, music: np.ndarray
) -> None:
    openvino = pytest.importorskip("openvino", reason="needs the extra test: OpenVINO")
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(paper_export.path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    config, model = load_model(paper)
    for samples in (30_000, 20_000, 30_000):
        waveform = music[None, :samples]
        value = model(build_recording_frontend(config.spectrogram)(waveform), training=False)[
            "pianoroll"
        ]
        outputs = {port.any_name: value for port, value in compiled([waveform]).items()}
        np.testing.assert_allclose(outputs["pianoroll"], value, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["package", "paper"])
def test_onnx_runtime(source: str, paper: Path, music: np.ndarray, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra serving: onnxruntime")
    pytest.importorskip("tf2onnx", reason="needs the extra serving: tf2onnx")
    both = np.stack([music, music[::-1]])[:, :60_001]
    file = tmp_path / "model.onnx"
    if source == "package":
        export_onnx(file)
        value = expected(both)
    else:
        done = export("--format=onnx", "--weights", paper, file)
        assert (done.returncode, done.stderr) == (0, "")
        config, model = load_model(paper)
        outputs = model(build_recording_frontend(config.spectrogram)(both), training=False)
        value = {"pianoroll": outputs["pianoroll"].numpy()}
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {"waveform": both}), strict=True))
    assert set(outputs) == {*value, "frame_times"}
    np.testing.assert_allclose(outputs["frame_times"][1, :2], [0.0, 0.032], atol=1e-7)
    for name in value:
        np.testing.assert_allclose(outputs[name], value[name], rtol=0, atol=1e-4)
