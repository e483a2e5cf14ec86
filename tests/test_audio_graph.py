"""In-graph decoding: every kind of file against `tfamt.audio`, inside tf.data."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tfamt import audio, audio_graph
from tfamt.audio_graph import Codec
from tfamt.errors import InputError

TOLERANCE = 1e-4
KINDS = {
    ("WAV", "PCM_U8"): Codec.WAV_U8,
    ("WAV", "PCM_16"): Codec.WAV_16,
    ("WAV", "PCM_24"): Codec.WAV_24,
    ("WAV", "PCM_32"): Codec.SOUNDFILE,
    ("WAV", "FLOAT"): Codec.WAV_FLOAT,
    ("WAV", "DOUBLE"): Codec.SOUNDFILE,
    ("WAVEX", "PCM_24"): Codec.WAV_24,
    ("RF64", "PCM_16"): Codec.SOUNDFILE,
    ("FLAC", "PCM_S8"): Codec.SOUNDFILE,
    ("FLAC", "PCM_16"): Codec.FLAC_16,
    ("FLAC", "PCM_24"): Codec.FLAC_24,
    ("OGG", "VORBIS"): Codec.VORBIS,
    ("MP3", "MPEG_LAYER_III"): Codec.MP3,
}


def tone(frames: int, channels: int, sample_rate: int) -> np.ndarray:
    """Another pitch in each channel, over noise."""
    time = np.arange(frames)[:, np.newaxis] / sample_rate
    pitches = 440.0 * 2.0 ** (np.arange(channels) / 3)
    noise = np.random.default_rng(frames).standard_normal((frames, channels))
    return (0.3 * np.sin(2 * np.pi * pitches * time) + 0.02 * noise).astype(np.float32)


def encoded(kind: tuple[str, str], samples: np.ndarray, sample_rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format=kind[0], subtype=kind[1])
    return file.getvalue()


def decoded(paths: list[Path], decode: object) -> list[np.ndarray]:
    """As a pipeline does it: plans outside of the graph, one map function for all files."""
    plans = audio_graph.stack_plans([audio_graph.decode_plan(path) for path in paths])
    dataset = tf.data.Dataset.from_tensor_slices(([str(path) for path in paths], plans))
    dataset = dataset.map(lambda path, plan: decode(tf.io.read_file(path), plan))  # type: ignore[operator]
    assert dataset.element_spec == tf.TensorSpec([None], tf.float32)
    return list(dataset.as_numpy_iterator())


def test_every_kind_of_file_at_16_khz(tmp_path: Path) -> None:
    paths = []
    for kind in KINDS:
        for channels in (1, 2):
            paths.append(tmp_path / f"{kind[0]} {kind[1]} {channels} Größe.audio")
            paths[-1].write_bytes(encoded(kind, tone(12_000, channels, 16_000)))
    native = decoded(paths, audio_graph.decode_native)
    resampled = decoded(paths, audio_graph.decode_16k)
    for path, first, second in zip(paths, native, resampled, strict=True):
        expected = audio.read(path)
        assert len(expected) == 12_000, path.name
        assert np.abs(expected).max() > 0.2, path.name
        np.testing.assert_allclose(first, expected, atol=TOLERANCE, rtol=0, err_msg=path.name)
        np.testing.assert_allclose(second, expected, atol=TOLERANCE, rtol=0, err_msg=path.name)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_tensorflow_io_decodes_what_it_decodes_exactly(kind: tuple[str, str]) -> None:
    plan = audio_graph.decode_plan(encoded(kind, tone(8_000, 2, 16_000)))
    assert plan == (KINDS[kind], 16_000, 8_000)


def test_other_rates(tmp_path: Path) -> None:
    cases = [
        (("WAV", "PCM_16"), 44_100, 2),
        (("WAV", "FLOAT"), 44_100, 1),
        (("WAV", "PCM_32"), 48_000, 2),
        (("FLAC", "PCM_24"), 44_100, 2),
        (("OGG", "VORBIS"), 44_100, 2),
        (("MP3", "MPEG_LAYER_III"), 44_100, 2),
        (("WAV", "PCM_16"), 4_000, 8),
        (("FLAC", "PCM_16"), 192_000, 1),
    ]
    paths = []
    for number, (kind, rate, channels) in enumerate(cases):
        paths.append(tmp_path / f"{number}")
        paths[-1].write_bytes(encoded(kind, tone(rate // 2 + 7, channels, rate), rate))
    native = decoded(paths, audio_graph.decode_native)
    resampled = decoded(paths, audio_graph.decode_16k)
    for path, (kind, rate, _), first, second in zip(paths, cases, native, resampled, strict=True):
        name = f"{kind} {rate}"
        expected = audio.read_native(path)
        assert len(expected) == rate // 2 + 7, name
        np.testing.assert_allclose(first, expected, atol=TOLERANCE, rtol=0, err_msg=name)
        expected = audio.read(path)
        assert len(expected) == round((rate // 2 + 7) * 16_000 / rate), name
        np.testing.assert_allclose(second, expected, atol=TOLERANCE, rtol=0, err_msg=name)


@pytest.mark.parametrize(("kind", "codec"), [("PCM_U8", Codec.WAV_U8), ("PCM_24", Codec.WAV_24)])
def test_padding_byte(kind: str, codec: Codec) -> None:
    """tensorflow-io stumbles over the byte after an odd number of bytes of audio."""
    for frames, expected in ((1000, codec), (1001, Codec.SOUNDFILE)):
        content = encoded(("WAV", kind), tone(frames, 1, 16_000))
        plan = audio_graph.decode_plan(content)
        assert plan.codec == expected
        found = audio_graph.decode_native(tf.constant(content), plan).numpy()
        np.testing.assert_allclose(found, audio.read(content), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_wav_without_a_size(size: int) -> None:
    whole = encoded(("WAV", "PCM_16"), tone(1000, 1, 16_000))
    content = (
        whole[:4] + struct.pack("<I", size) + whole[8:40] + struct.pack("<I", size) + whole[44:]
    )
    plan = audio_graph.decode_plan(content)
    assert plan == (Codec.SOUNDFILE, 16_000, 1000)
    found = audio_graph.decode_native(tf.constant(content), plan).numpy()
    np.testing.assert_array_equal(found, audio.read(whole))


@pytest.mark.parametrize("position", ["before", "after"])
def test_wav_with_tags(position: str) -> None:
    whole = encoded(("WAV", "PCM_16"), tone(1000, 2, 16_000))
    tags = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"Aria"
    content = whole[:36] + tags + whole[36:] if position == "before" else whole + tags
    content = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    plan = audio_graph.decode_plan(content)
    found = audio_graph.decode_native(tf.constant(content), plan).numpy()
    np.testing.assert_allclose(found, audio.read(whole), atol=TOLERANCE, rtol=0)
    assert plan.codec == Codec.WAV_16


def run(content: bytes, plan: audio_graph.DecodePlan) -> np.ndarray:
    """In a graph, since errors are others in eager execution."""
    return tf.function(audio_graph.decode_native)(tf.constant(content), plan).numpy()


@pytest.mark.parametrize("kind", [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_truncated_files_do_not_pass_for_the_whole(kind: tuple[str, str]) -> None:
    content = encoded(kind, tone(80_000, 1, 16_000))
    plan = audio_graph.decode_plan(content)
    assert len(run(content, plan)) == 80_000
    with pytest.raises(tf.errors.OpError):
        run(content[: len(content) // 2], plan)


def test_another_number_of_samples_than_announced() -> None:
    content = encoded(("WAV", "PCM_16"), tone(1000, 1, 16_000))
    plan = audio_graph.decode_plan(content)._replace(num_frames=1001)
    with pytest.raises(tf.errors.InvalidArgumentError, match="truncated or damaged"):
        run(content, plan)


@pytest.mark.parametrize(("kind", "word"), [("FLOAT", "NaN"), ("DOUBLE", r"NaN.*0\.031 s")])
def test_nan_in_graph(kind: str, word: str) -> None:
    samples = tone(1000, 1, 16_000)
    samples[500] = np.nan
    content = encoded(("WAV", kind), samples)
    with pytest.raises(tf.errors.OpError, match=word):
        run(content, audio_graph.decode_plan(content))


def test_faults_of_the_header_are_raised_before_the_graph_runs(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("This is not audio. " * 100)
    with pytest.raises(InputError, match=r"a\.wav: is not audio that can be read"):
        audio_graph.decode_plan(path)


def test_decode_flac() -> None:
    samples = np.array([0, 1, -1, 32767, -32768, 12345] * 50, np.int16)
    content = encoded(("FLAC", "PCM_16"), samples)
    dataset = tf.data.Dataset.from_tensors(content).map(audio_graph.decode_flac)
    assert dataset.element_spec == tf.TensorSpec([None], tf.float32)
    np.testing.assert_array_equal(next(dataset.as_numpy_iterator()), samples / np.float32(32768))


def test_decode_flac_is_made_of_graph_operations_alone() -> None:
    graph = tf.function(audio_graph.decode_flac).get_concrete_function(tf.TensorSpec([], tf.string))
    kinds = {operation.type for operation in graph.graph.get_operations()}
    assert "IO>AudioDecodeFlac" in kinds
    assert not kinds & {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def test_tensorflow_io_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a TensorFlow that it was not built for, importing it works and its ops fail."""

    def broken(*_: object, **__: object) -> None:
        raise NotImplementedError("unable to open file: libtensorflow_io.so")

    monkeypatch.setattr(audio_graph._tfio().audio, "decode_wav", broken)
    audio_graph.check_tensorflow_io.cache_clear()
    expected = r"tensorflow-io 0\.37\.1 does not run .* 0\.37\.1 with TensorFlow 2\.16 or 2\.17"
    with pytest.raises(InputError, match=expected):
        audio_graph.check_tensorflow_io()
    with pytest.raises(InputError, match=expected):
        audio_graph.decode_plan(encoded(("WAV", "PCM_16"), tone(100, 1, 16_000)))
