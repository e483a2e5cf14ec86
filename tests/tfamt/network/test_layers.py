"""Test layers against plain numpy, known answers, and their configs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfamt.config import SpectrogramConfig
from tfamt.network.blocks import dilated_residual
from tfamt.network.frontend import build_recording_frontend
from tfamt.network.layers.batch_normalization import BatchNormalization
from tfamt.network.layers.bidirectional_lstm import BidirectionalLSTM
from tfamt.network.layers.constant_q import ConstantQ
from tfamt.network.layers.crop_like import CropLike
from tfamt.network.layers.dilated_conv import DilatedConv
from tfamt.network.layers.key_neighbours import KeyNeighbours
from tfamt.network.layers.loudness_scaling import LoudnessScaling
from tfamt.network.layers.mel_spectrogram import MelSpectrogram, mel_filters, mel_positions
from tfamt.network.layers.min_max_scaling import MinMaxScaling
from tfamt.network.layers.pad_frames import PadFrames
from tfamt.network.layers.upsample_like import UpsampleLike

RATE = 16000


def _sine(hz: float, seconds: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(RATE * seconds)) / RATE).astype(np.float32)[None]


@pytest.mark.parametrize("note", [0, 24, 60, 87])
def test_a_tone_peaks_in_its_constant_q_bin(note: int) -> None:
    hz = 27.5 * 2 ** (note / 12)
    spectrum = ConstantQ()(_sine(hz))[0, 30].numpy()
    assert spectrum.argmax() == 2 * note


@pytest.mark.parametrize("hz", [100.0, 440.0, 1000.0, 5000.0])
def test_a_tone_peaks_in_its_mel_bin(hz: float) -> None:
    spectrum = MelSpectrogram()(_sine(hz))[0, 30].numpy()
    filters = mel_filters(RATE, 2048, 229, 30.0, 8000.0)
    centres = filters.argmax(axis=1) * RATE / 2048
    assert abs(centres[spectrum.argmax()] - hz) < max(20.0, 0.02 * hz)


def test_mel_spectrogram_equals_plain_numpy() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 5000).astype(np.float32)
    padded = np.pad(waveform.astype(np.float64), 1024, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    frames = [padded[start : start + 2048] * hann for start in range(0, 5000, 512)]
    power = np.abs(np.fft.rfft(frames)) ** 2
    expected = power @ mel_filters(RATE, 2048, 229, 30.0, 8000.0).T
    ours = MelSpectrogram()(waveform[None])[0].numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-6 * expected.max())


def test_mel_without_fft_is_the_same() -> None:
    waveform = np.random.default_rng(1).normal(0, 0.1, (2, 3000)).astype(np.float32)
    by_fft = MelSpectrogram()(waveform).numpy()
    by_matrix = MelSpectrogram(fourier="matrix")(waveform).numpy()
    np.testing.assert_allclose(by_matrix, by_fft, rtol=1e-4, atol=1e-6 * by_fft.max())
    assert MelSpectrogram(fourier="matrix").get_config()["fourier"] == "matrix"


def test_frequencies_lie_between_the_bins_whose_filters_they_pass() -> None:
    # 10 Hz apart: each centre is a frequency of its own.
    filters = mel_filters(16000, 1600, 40, 100.0, 7000.0)
    hz = np.arange(801) * 10.0
    positions = mel_positions(hz, 40, 100.0, 7000.0)
    for bin_, weights in enumerate(filters):
        assert abs(positions[weights.argmax()] - bin_) < 0.2
        np.testing.assert_array_equal(weights > 1e-9, np.abs(positions - bin_) < 1.0 - 1e-9)


def test_mel_filters_of_slaneys_scale() -> None:
    # 3 filters from 0 to 1000 Hz, where the scale is linear: edges 0, 250, 500, 750, 1000 Hz, height 2 / width.
    filters = mel_filters(4000, 160, 3, 0.0, 1000.0)
    assert filters.shape == (3, 81)
    assert filters[0, [0, 5, 10, 15, 20]] == pytest.approx([0, 0.002, 0.004, 0.002, 0])
    assert filters[2, [20, 25, 30, 35, 40]] == pytest.approx([0, 0.002, 0.004, 0.002, 0])


def test_min_max_scaling() -> None:
    window = np.array([[[1.0, 1e-5], [0.1, 0.0]]], np.float32)
    logarithms = np.log(window + 1e-5)
    low, high = np.log(1e-5), np.log(1 + 1e-5)
    np.testing.assert_allclose(
        MinMaxScaling()(window), (logarithms - low) / (high - low), atol=1e-6
    )
    assert not MinMaxScaling()(np.zeros((2, 3, 4), np.float32)).numpy().any()
    # Each window has its own range.
    both = MinMaxScaling()(np.concatenate([window, 7 * window])).numpy()
    assert both.min(axis=(1, 2)).tolist() == [0.0, 0.0]
    assert both.max(axis=(1, 2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", ["mel", "cqt"])
@pytest.mark.parametrize("samples", [1, 160, 512, 513, 16000])
def test_frontend_gives_the_frames_that_lie_in_the_audio(kind: str, samples: int) -> None:
    config = (
        SpectrogramConfig()
        if kind == "mel"
        else SpectrogramConfig(kind="cqt", bins=176, low_hz=27.5)
    )
    waveform = np.random.default_rng(1).normal(0, 0.1, (2, samples)).astype(np.float32)
    scaled = build_recording_frontend(config)(waveform).numpy()
    assert scaled.shape == (2, -(-samples // 512), config.bins)
    assert np.isfinite(scaled).all()
    assert 0.0 <= scaled.min() < scaled.max() <= 1.0


def test_silence_is_defined() -> None:
    for scaling in ("minmax", "loudness"):
        assert np.isfinite(
            build_recording_frontend(SpectrogramConfig(scaling=scaling))(
                np.zeros((1, 9000), np.float32)
            )
        ).all()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("rank", [0, 2])
def test_lstm_equals_plain_numpy(rank: int, compiled: bool) -> None:
    layer = BidirectionalLSTM(3, rank)
    layer.compiled = compiled
    inputs = np.random.default_rng(2).normal(size=(2, 5, 4)).astype(np.float32)
    ours = layer(inputs).numpy()
    kernel, *factors, bias, recurrent_bias = (weight.numpy() for weight in layer.weights)
    assert [factor.shape for factor in factors] == (
        [(2, 3, 2), (2, 2, 12)] if rank else [(2, 3, 12)]
    )
    recurrent = factors[0] @ factors[1] if rank else factors[0]

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    expected = np.zeros((2, 5, 6))
    for way, times in enumerate((range(5), reversed(range(5)))):
        hidden, cell = np.zeros((2, 3)), np.zeros((2, 3))
        for time in times:
            gates = (
                inputs[:, time] @ kernel[way]
                + hidden @ recurrent[way]
                + bias[way]
                + recurrent_bias[way]
            )
            into, forget, candidate, out = np.split(gates, 4, axis=-1)
            cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(candidate)
            hidden = sigmoid(out) * np.tanh(cell)
            expected[:, time, way * 3 : way * 3 + 3] = hidden
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def _lstm_gradients(layer: BidirectionalLSTM, training: bool) -> list[np.ndarray]:
    random = np.random.default_rng(4)
    inputs = tf.constant(random.normal(size=(3, 7, 4)).astype(np.float32))
    weights = random.normal(size=(3, 7, 10)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, training=training) * weights)
    watched = [inputs, *(weight.value for weight in layer.trainable_weights)]
    return [gradient.numpy() for gradient in tape.gradient(loss, watched)]


@pytest.mark.parametrize("rank", [0, 2])
def test_the_lstms_gradient_by_hand_is_tensorflows(rank: int) -> None:
    layer = BidirectionalLSTM(5, rank)
    layer(np.zeros((1, 1, 4), np.float32))
    by_hand, by_tensorflow = _lstm_gradients(layer, True), _lstm_gradients(layer, False)
    assert len(by_hand) == (6 if rank else 5)
    for ours, theirs in zip(by_hand, by_tensorflow, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


def test_the_lstms_gradient_by_hand_is_the_slope() -> None:
    layer = BidirectionalLSTM(3, dtype="float64")
    random = np.random.default_rng(5)
    inputs, upstream = random.normal(size=(2, 4, 3)), random.normal(size=(2, 4, 6))
    layer(inputs)
    for weight in layer.trainable_weights:
        values = weight.numpy()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(inputs, training=True) * upstream)
        gradient = tape.gradient(loss, weight.value).numpy()
        direction = random.normal(size=values.shape)
        sides = []
        for shift in (1e-5, -1e-5):
            weight.assign(values + shift * direction)
            sides.append(float(tf.reduce_sum(layer(inputs) * upstream)))
        weight.assign(values)
        assert (gradient * direction).sum() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-7)


def test_the_lstm_computes_the_same_in_training() -> None:
    layer = BidirectionalLSTM(3)
    inputs = np.random.default_rng(6).normal(size=(2, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(layer(inputs, training=True), layer(inputs, training=False))


def test_batch_norm_is_keras_in_output_gradient_and_statistics() -> None:
    random = np.random.default_rng(7)
    inputs = tf.constant(random.normal(3.0, 2.0, size=(2, 5, 6, 4)).astype(np.float32))
    upstream = random.normal(size=inputs.shape).astype(np.float32)
    values = [random.normal(1.0, 0.2, size=4).astype(np.float32) for _ in range(4)]
    found = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        layer = kind(momentum=0.7, epsilon=1e-5)
        layer.build(inputs.shape)
        layer.set_weights(values)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        watched = [inputs, layer.gamma.value, layer.beta.value]
        gradients = tape.gradient(outputs, watched, upstream)
        found.append([outputs, *gradients, *layer.get_weights(), layer(inputs, training=False)])
    for ours, keras_ in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_, rtol=1e-4, atol=2e-5)
    # 60 values a channel: a variance of sum / 59 would be off by 1.7 %.
    variance = inputs.numpy().astype(np.float64).var(axis=(0, 1, 2))
    np.testing.assert_allclose(found[0][7], 0.7 * values[3] + 0.3 * variance, rtol=1e-5)


def test_upsampling_by_hand() -> None:
    layer = UpsampleLike()
    x = np.array([[[[1.0], [2.0]]]], np.float32)  # one row, two columns
    layer([x, np.zeros((1, 3, 5, 1), np.float32)])
    layer.set_weights([np.array([[10.0, 20.0, 30.0, 40.0]]), np.array([1.0])])
    enlarged = layer([x, np.zeros((1, 3, 5, 7), np.float32)])[0, :, :, 0].numpy()
    # Each pixel becomes a block (10 20 / 30 40) times its value; what is not reached holds the bias alone.
    np.testing.assert_array_equal(
        enlarged, [[11, 21, 21, 41, 1], [31, 41, 61, 81, 1], [1, 1, 1, 1, 1]]
    )


def test_padding_and_cropping() -> None:
    image = np.arange(1, 7, dtype=np.float32).reshape(1, 3, 2, 1)
    padded = PadFrames(4)(image)
    np.testing.assert_array_equal(padded[0, :, :, 0], [[1, 2], [3, 4], [5, 6], [0, 0]])
    np.testing.assert_array_equal(PadFrames(2)(image), image)
    np.testing.assert_array_equal(CropLike()([padded, image]), image)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (MelSpectrogram(window=1024, hop=256, bins=40, low_hz=50.0, high_hz=4000.0), (1, 4000)),
        (
            ConstantQ(hop=256, bins=30, bins_per_octave=12, low_hz=110.0),
            (1, 4000),
        ),
        (MinMaxScaling(), (1, 5, 6)),
        (LoudnessScaling(range_db=60.0, power=False, reference=0.3), (1, 5, 6)),
        (PadFrames(9), (1, 5, 6, 1)),
        (BidirectionalLSTM(4), (1, 5, 6)),
        (BidirectionalLSTM(4, 2), (1, 5, 6)),
        (DilatedConv(3, 5, 2), (1, 7, 4, 2)),
        (KeyNeighbours((-3, 2)), (1, 5, 6, 2)),
    ],
)
def test_a_layer_made_from_its_config_does_the_same(
    layer: keras.layers.Layer, shape: tuple[int, ...]
) -> None:
    inputs = np.random.default_rng(3).random(shape, np.float32)
    expected = layer(inputs)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    again(inputs)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(inputs), expected)


@pytest.mark.parametrize("frames", [1, 7, 8, 9])
@pytest.mark.parametrize("apart", [1, 4])
def test_dilated_convolutions_are_sums_worked_by_hand(apart: int, frames: int) -> None:
    layer = DilatedConv(3, 5, apart)
    x = np.random.default_rng(8).normal(size=(2, frames, 6, 4)).astype(np.float32)
    ours = layer(x)
    kernel, bias = layer.get_weights()
    padded = np.pad(x, ((0, 0), (2 * apart, 2 * apart), (0, 0), (0, 0)))
    expected = sum(padded[:, apart * t : apart * t + frames] @ kernel[t, 0] for t in range(5))
    np.testing.assert_allclose(ours, expected + bias, rtol=0, atol=1e-5)


def test_dilated_convolutions_see_frames_apart_of_their_own_bin() -> None:
    image = keras.Input((None, 5, 1))
    model = keras.Model(image, dilated_residual(image, 3, "dilated"))
    model.get_layer("dilated").set_weights([np.ones((5, 1, 1, 1)), np.zeros(1)])
    impulse = np.zeros((1, 40, 5, 1), np.float32)
    impulse[0, 20, 2, 0] = 1.0
    # At first it changes nothing.
    np.testing.assert_array_equal(model(impulse, training=False), impulse)
    model.get_layer("dilated_norm").gamma.assign([1.0])
    frames, bins = np.nonzero(np.asarray(model(impulse, training=False))[0, ..., 0])
    assert frames.tolist() == [14, 17, 20, 23, 26] and set(bins.tolist()) == {2}
