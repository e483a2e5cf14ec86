"""Test reading of recordings: every format, resampling, bounded memory, damaged files."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import ROOT
from tfamt.audio import reading as audio
from tfamt.errors import InputError

LOSSLESS = {  # largest error of the coding, of samples in -1..1
    ("WAV", "PCM_U8"): 1 / 128,
    ("WAV", "PCM_16"): 2.0**-15,
    ("WAV", "PCM_24"): 2.0**-23,
    ("WAV", "PCM_32"): 2.0**-23,
    ("WAV", "FLOAT"): 0.0,
    ("WAV", "DOUBLE"): 0.0,
    ("WAVEX", "PCM_24"): 2.0**-23,
    ("RF64", "PCM_16"): 2.0**-15,
    ("FLAC", "PCM_16"): 2.0**-15,
    ("FLAC", "PCM_24"): 2.0**-23,
}
LOSSY = [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")]
WAV_16 = ("WAV", "PCM_16")
MP3 = ("MP3", "MPEG_LAYER_III")


def encoded(kind: tuple[str, str], samples: np.ndarray, sample_rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format=kind[0], subtype=kind[1])
    return file.getvalue()


def noise(frames: int, channels: int = 1) -> np.ndarray:
    generator = np.random.default_rng(frames + channels)
    return generator.uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


def sine(frequency: float, sample_rate: int, frames: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(frames) / sample_rate + 0.3)


# --- formats ---


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("kind", LOSSLESS, ids="-".join)
def test_lossless_formats(kind: tuple[str, str], channels: int, tmp_path: Path) -> None:
    samples = noise(5001, channels)
    path = tmp_path / "Für Elise – エリーゼ.audio"
    path.write_bytes(encoded(kind, samples))
    found = audio.read(path)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, samples.mean(axis=1), atol=LOSSLESS[kind] + 1e-7, rtol=0)
    np.testing.assert_array_equal(audio.read(path.read_bytes()), found)
    np.testing.assert_array_equal(audio.read(os.fspath(path)), found)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", LOSSY, ids="-".join)
@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_lossy_formats(kind: tuple[str, str], channels: int, sample_rate: int) -> None:
    """Neither delay nor another level: the decoded tone minus the true one is small."""
    tone = sine(1000, sample_rate, 2 * sample_rate + 7)
    content = encoded(kind, np.repeat(tone[:, np.newaxis], channels, axis=1), sample_rate)
    found = audio.read(content)
    # Vorbis ends with its last whole block.
    assert abs(len(found) - round(len(tone) * 16_000 / sample_rate)) <= (
        300 if kind == LOSSY[0] else 1
    )
    difference = found - sine(1000, 16_000, len(found))
    assert np.sqrt(np.mean(difference[2000:-2000] ** 2)) < 0.02
    # Another decoder, libsndfile, gives the same samples.
    other, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    native = audio.read_native(content)
    shared = min(len(native), len(other))
    np.testing.assert_allclose(native[:shared], other.mean(axis=1)[:shared], atol=5e-6)


def test_integers_are_divided_by_their_full_scale() -> None:
    samples = np.array([0, 1, -1, 16384, 32767, -32768] * 10, np.int16)
    np.testing.assert_array_equal(
        audio.read(encoded(WAV_16, samples))[:6],
        np.array([0, 1 / 32768, -1 / 32768, 0.5, 32767 / 32768, -1], np.float32),
    )


def test_channels_are_averaged() -> None:
    samples = np.array([[0.5, 0.25], [-1.0, 1.0], [0.75, 0.0]] * 10)
    content = encoded(("WAV", "DOUBLE"), samples)
    np.testing.assert_array_equal(audio.read(content)[:3], np.array([0.375, 0.0, 0.375]))


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.uint8, [128, 0, 255, 192], [0, -1, 127 / 128, 0.5]),
        (np.int8, [0, -128, 127, 64], [0, -1, 127 / 128, 0.5]),
        (np.int16, [0, -32768, 16384, 1], [0, -1, 0.5, 2.0**-15]),
        (np.int32, [0, -(2**31), 2**30, 2**8], [0, -1, 0.5, 2.0**-23]),
        (np.uint16, [2**15, 0, 2**15 + 1, 49152], [0, -1, 2.0**-15, 0.5]),
        (np.uint32, [2**31, 0, 2**31 + 2**8, 3 * 2**30], [0, -1, 2.0**-23, 0.5]),
        # No recording has 64 bits: they hold the fewest of 16, 32 and 64 that all values fit in.
        (np.int64, [0, -32768, 16384, 1], [0, -1, 0.5, 2.0**-15]),
        (np.int64, [0, -32769, 2**30, 2**8], [0, -32769 / 2**31, 0.5, 2.0**-23]),
        (np.uint64, [2**15, 0, 2**15 + 1, 49152], [0, -1, 2.0**-15, 0.5]),
        (np.float16, [0, -1, 0.5, 2], [0, -1, 0.5, 2]),
        (np.longdouble, [0, -1, 0.5, 3], [0, -1, 0.5, 3]),
        (np.float32, [0, -1, 0.5, 3], [0, -1, 0.5, 3]),
        (np.float64, [0, -1, 0.5, 3], [0, -1, 0.5, 3]),
    ],
)
def test_arrays(dtype: type, values: list[float], expected: list[float]) -> None:
    # So often that samples and channels cannot be confused.
    array, result = np.tile(np.array(values, dtype), 20), np.tile(np.float32(expected), 20)
    np.testing.assert_array_equal(audio.read(array, sample_rate=16_000), result)
    stereo = np.stack([array, array[::-1]], axis=1)
    mean = (result + result[::-1]) / 2
    np.testing.assert_array_equal(audio.read(stereo, sample_rate=16_000), mean)
    np.testing.assert_array_equal(audio.read(stereo.T, sample_rate=16_000), mean)


def test_array_and_file_give_the_same_samples() -> None:
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, (300_001, 2)).astype(np.int16)
    np.testing.assert_array_equal(
        audio.read(samples, sample_rate=44_100), audio.read(encoded(WAV_16, samples, 44_100))
    )


def test_probe() -> None:
    content = encoded(("FLAC", "PCM_24"), noise(66_150, 2), 44_100)
    info = audio.probe(content)
    assert info == audio.AudioInfo(44_100, 2, 66_150, "flac", "flac")
    assert (info.duration, info.num_samples) == (1.5, 24_000)
    info = audio.probe(np.zeros((80, 3), np.int16), sample_rate=8000)
    assert info == audio.AudioInfo(8000, 3, 80, "array", "int16")
    assert (info.duration, info.num_samples) == (0.01, 160)


# --- resampling and blocks ---

RATES = [4_000, 8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000]


@pytest.mark.parametrize("sample_rate", RATES)
def test_a_sine_keeps_amplitude_and_phase(sample_rate: int) -> None:
    found = audio.read(sine(1000, sample_rate, sample_rate), sample_rate=sample_rate)
    time = np.arange(len(found))[1000:-1000] / 16_000
    basis = np.stack([np.sin(2000 * np.pi * time), np.cos(2000 * np.pi * time)], axis=1)
    (real, imaginary), *_ = np.linalg.lstsq(basis, found[1000:-1000], rcond=None)
    assert np.hypot(real, imaginary) == pytest.approx(0.5, rel=1e-3)
    assert np.arctan2(imaginary, real) == pytest.approx(0.3, abs=1e-3)
    np.testing.assert_allclose(found[1000:-1000], sine(1000, 16_000, 16_000)[1000:-1000], atol=1e-3)


@pytest.mark.parametrize("sample_rate", RATES)
def test_an_impulse_stays_at_its_place(sample_rate: int) -> None:
    impulse = np.zeros(sample_rate, np.float32)
    impulse[sample_rate // 4] = 1.0
    found = audio.read(impulse, sample_rate=sample_rate)
    center = np.sum(np.arange(len(found)) * found**2) / np.sum(found**2)
    assert center == pytest.approx(sample_rate // 4 * 16_000 / sample_rate, abs=0.05)


def test_band() -> None:
    """7 kHz passes unharmed, 9 kHz leaves nothing that could fold back."""
    kept = audio.read(sine(7000, 44_100, 44_100), sample_rate=44_100)
    np.testing.assert_allclose(kept[1000:-1000], sine(7000, 16_000, 16_000)[1000:-1000], atol=1e-3)
    gone = audio.read(sine(9000, 44_100, 44_100), sample_rate=44_100)
    assert np.abs(gone[1000:-1000]).max() < 1e-4


@pytest.mark.parametrize("kind", [WAV_16, ("FLAC", "PCM_16"), *LOSSY], ids="-".join)
@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_blocks_do_not_depend_on_their_size(kind: tuple[str, str], sample_rate: int) -> None:
    content = encoded(kind, noise(5 * sample_rate + 12_345, 2), sample_rate)
    whole = audio.read(content)
    assert len(whole) == round((5 * sample_rate + 12_345) * 16_000 / sample_rate)
    for seconds, size in ((0.01, 160), (0.7, 11_200), (60.0, 960_000)):
        blocks = list(audio.read_blocks(content, block_seconds=seconds))
        assert {len(block) for block in blocks[:-1]} <= {size}
        assert 1 <= len(blocks[-1]) <= size
        np.testing.assert_array_equal(np.concatenate(blocks), whole)


@pytest.mark.parametrize("sample_rate", [8_000, 16_001, 32_000, 44_100, 192_000])
def test_number_of_samples(sample_rate: int) -> None:
    for frames in (13, 441, 1999, 4_411, 8_197):
        array = np.ones(frames, np.float32)
        expected = int(frames * 16_000 / sample_rate + 0.5)
        assert len(audio.read(array, sample_rate=sample_rate)) == expected
        assert audio.probe(array, sample_rate=sample_rate).num_samples == expected


def test_block_seconds_must_hold_a_sample() -> None:
    with pytest.raises(ValueError, match="Received: 0"):
        audio.read_blocks(np.zeros(10), sample_rate=16_000, block_seconds=0)


def test_files_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(WAV_16, noise(40_000)))
    before = sorted(os.listdir("/proc/self/fd"))
    with contextlib.closing(audio.read_blocks(path, block_seconds=0.1)) as blocks:
        next(blocks)
        assert len(os.listdir("/proc/self/fd")) > len(before)
    assert sorted(os.listdir("/proc/self/fd")) == before
    path.write_bytes(b"no audio")
    with pytest.raises(InputError):
        audio.probe(path)
    assert sorted(os.listdir("/proc/self/fd")) == before


def peak_memory(path: Path) -> float:
    """MB of a process that reads a file in blocks (and does not need TensorFlow for it)."""
    code = (
        "import sys; from benchmarks.measuring import peak_megabytes; from tfamt import audio\n"
        "count = sum(len(block) for block in audio.read_blocks(sys.argv[1]))\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "print(count, peak_megabytes())"
    )
    command = [sys.executable, "-c", code, os.fspath(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    count, megabytes = done.stdout.split()
    assert int(count) == audio.probe(path).num_samples
    return float(megabytes)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    second = (noise(44_100, 2) * 2**15).astype(np.int16)
    for name, seconds in (("short.wav", 10), ("long.wav", 600)):
        with soundfile.SoundFile(tmp_path / name, "w", 44_100, 2, "PCM_16") as file:
            for _ in range(seconds):
                file.write(second)
    assert (tmp_path / "long.wav").stat().st_size > 100e6
    assert peak_memory(tmp_path / "long.wav") - peak_memory(tmp_path / "short.wav") < 20


# --- valid, though unusual ---


def test_ten_milliseconds_and_silence() -> None:
    np.testing.assert_array_equal(audio.read(encoded(WAV_16, np.zeros(160))), np.zeros(160))
    assert len(audio.read(encoded(WAV_16, np.zeros(441), 44_100))) == 160
    silence = audio.read(encoded(("FLAC", "PCM_16"), np.zeros((88_200, 2)), 44_100))
    np.testing.assert_array_equal(silence, np.zeros(32_000))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000])
@pytest.mark.parametrize("kind", [WAV_16, ("WAV", "PCM_24"), ("WAV", "FLOAT")], ids="-".join)
def test_wav_written_to_a_pipe(size: int, kind: tuple[str, str], tmp_path: Path) -> None:
    """The writer did not know the size, or was stopped before it could state it."""
    samples = noise(4001, 2)
    whole = encoded(kind, samples)
    data = whole.index(b"data")
    content = bytearray(whole)
    struct.pack_into("<I", content, data + 4, size)
    path = tmp_path / "piped.wav"
    for riff_size in (size, data) if size == 0 else (size,):
        struct.pack_into("<I", content, 4, riff_size)
        path.write_bytes(content)
        assert audio.probe(path).num_frames == 4001
        np.testing.assert_array_equal(audio.read(path), audio.read(whole))
        np.testing.assert_array_equal(audio.read(bytes(content)), audio.read(whole))


def test_wav_with_tags_after_the_samples() -> None:
    whole = encoded(WAV_16, noise(1000))
    tags = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"Aria"
    content = whole[:4] + struct.pack("<I", len(whole) + 16) + whole[8:] + tags
    np.testing.assert_array_equal(audio.read(content), audio.read(whole))


def without_first_frame(mp3: bytes) -> bytes:
    """Without the frame that states the length, which begins like all the others."""
    assert mp3[:200].count(b"Xing") + mp3[:200].count(b"Info") == 1
    return mp3[mp3.index(mp3[:2], 20) :]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "sample_rate", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]
)
def test_mp3_that_does_not_state_its_length(sample_rate: int, channels: int) -> None:
    """Its length is estimated from the first frames, which here are quiet and small; all of it is decoded."""
    samples = noise(3 * sample_rate, channels)
    samples[:sample_rate] *= 1e-3
    whole = encoded(MP3, samples, sample_rate)
    found, expected = audio.read_native(without_first_frame(whole)), audio.read_native(whole)
    per_frame = 1152 if sample_rate >= 32_000 else 576
    # The padding at the end is stated in that frame, too; the delay at the beginning is that of all encoders.
    assert len(expected) <= len(found) <= len(expected) + 3 * per_frame
    np.testing.assert_allclose(found[5000 : len(expected)], expected[5000:], atol=1e-5)


def test_mp3_with_tags() -> None:
    whole = encoded(MP3, noise(48_000), 16_000)
    tag = b"ID3\x03\0\0\0\0\x20\0" + bytes(4096)
    for content in (tag + whole, whole + b"TAG" + b" " * 125):
        np.testing.assert_array_equal(audio.read(content), audio.read(whole))
    bare = without_first_frame(whole)
    for content in (tag + bare, bare + b"TAG" + b" " * 125):
        np.testing.assert_array_equal(audio.read(content), audio.read(bare))


# --- invalid ---


def truncated(kind: tuple[str, str]) -> bytes:
    content = encoded(kind, noise(80_000, 2))
    return content[: len(content) // 2]


def claiming(size: int) -> bytes:
    content = bytearray(encoded(WAV_16, noise(1000)))
    struct.pack_into("<I", content, 40, size)
    return bytes(content)


def with_rate(rate: int) -> bytes:
    content = bytearray(encoded(WAV_16, noise(1000)))
    struct.pack_into("<I", content, 24, rate)
    return bytes(content)


def with_value(value: float, kind: tuple[str, str] = ("WAV", "FLOAT")) -> bytes:
    samples = noise(32_000, 2)
    samples[20_000, 1] = value
    return encoded(kind, samples)


BAD = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "text": (
        b"This is not audio.\n" * 99,
        "is not audio that can be read .* wav, flac, mp3, m4a, ogg",
    ),
    "three bytes": (b"RIF", "is not audio that can be read"),
    "header only": (encoded(WAV_16, noise(9))[:20], "is not audio that can be read"),
    "no samples": (encoded(WAV_16, np.zeros(0)), "holds no samples"),
    "one sample": (
        encoded(WAV_16, np.zeros(1), 192_000),
        "is too short: less than one sample at 16000 Hz",
    ),
    "truncated wav": (
        truncated(WAV_16),
        r"truncated or damaged after 2\.500 s \(its header announces 320,000 bytes of audio, 159,978 are",
    ),
    "truncated rf64": (
        truncated(("RF64", "PCM_16")),
        r"truncated or damaged after 2\.499 s .* 320,000 bytes",
    ),
    "truncated flac": (truncated(("FLAC", "PCM_16")), r"truncated or damaged after 2\.304 s \(Inv"),
    "truncated ogg": (
        truncated(("OGG", "VORBIS")),
        r"truncated or damaged after 1\.7\d\d s \(its last Ogg page",
    ),
    "truncated mp3": (
        truncated(MP3),
        r"truncated or damaged after 2\.4\d\d s \(5\.000 s are announced",
    ),
    "one byte short": (encoded(("FLAC", "PCM_16"), noise(9000))[:-1], "truncated or damaged"),
    "nearly 4 GB": (
        claiming(0xFFFF0000),
        "truncated or damaged after .* 4,294,901,760 bytes of audio, 2,000 ",
    ),
    "1 Hz": (with_rate(1), "sample rate that no recording has: 1 Hz"),
    "2 GHz": (with_rate(2_000_000_000), "sample rate that no recording has: 2000000000 Hz"),
    "nan": (with_value(np.nan), r"not finite numbers .* the first at 1\.250 s"),
    "infinity": (with_value(-np.inf), r"not finite numbers .* the first at 1\.250 s"),
    "nan in 64 bits": (with_value(np.nan, ("WAV", "DOUBLE")), r"the first at 1\.250 s"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, tmp_path: Path) -> None:
    content, message = BAD[case]
    path = tmp_path / "prélude.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"prélude\.wav: .*" + message) as caught:
        audio.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert re.search(r"\. [A-Z].*\.$", str(caught.value)), "says what can be done"
    with pytest.raises(InputError, match="<bytes>: .*" + message):
        audio.read(content)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.wav: does not exist"):
        audio.read_blocks(tmp_path / "none.wav")
    with pytest.raises(InputError, match="is a folder"):
        audio.read_blocks(tmp_path)
    with pytest.raises(InputError, match="is not a regular file"):
        audio.read_blocks("/dev/null")


def test_samples_before_the_fault_are_given_out_but_the_end_is_an_error() -> None:
    blocks = audio.read_blocks(with_value(np.nan), block_seconds=0.5)
    with pytest.raises(InputError, match=r"1\.250 s"):
        list(blocks)


@pytest.mark.parametrize(
    ("array", "rate", "message"),
    [
        (np.zeros(100), None, "<array>: needs its sample rate"),
        (np.zeros(0), 16_000, "holds no samples"),
        (np.zeros((100, 0)), 16_000, r"Received: shape \(100, 0\)"),
        (np.zeros((65, 16_000)), 16_000, r"\[channels, samples\] .* Received: shape \(65, 16000\)"),
        (np.zeros((2, 64)), 16_000, "2 samples of 64 channels, or 2 channels of 64 samples"),
        (np.zeros((4, 4, 4)), 16_000, r"Received: shape \(4, 4, 4\)"),
        (np.float32(1.0) * np.ones(()), 16_000, r"Received: shape \(\)"),
        (np.zeros(100, np.complex64), 16_000, "Received: dtype complex64"),
        (np.zeros(100, bool), 16_000, "Received: dtype bool"),
        (np.array(["a"]), 16_000, "Received: dtype <U1"),
        (np.zeros(100), 0, "sample rate that no recording has: 0 Hz"),
        (np.zeros(100), -44_100, "sample rate that no recording has: -44100 Hz"),
        (np.zeros(100), 44_100.5, r"sample rate that no recording has: 44100\.5 Hz"),
        (np.zeros(100), float("nan"), "sample rate that no recording has: nan Hz"),
        (np.full(100, 1e300), 16_000, r"not finite numbers .* first at 0\.000 s"),
    ],
)
def test_bad_arrays(array: np.ndarray, rate: int | None, message: str) -> None:
    if array.shape == ():
        array = np.asarray(array)
    with pytest.raises(InputError, match=message):
        audio.read(array, sample_rate=rate)


def test_content_and_open_files_are_read_from_their_beginning(tmp_path: Path) -> None:
    content = encoded(("FLAC", "PCM_16"), noise(5001, 2))
    expected = audio.read(content)
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    written = io.BytesIO()
    written.write(content)
    with path.open("rb") as file, path.open("rb", buffering=0) as unbuffered:
        sources = [bytearray(content), memoryview(content), written, file, unbuffered]
        for source in sources:
            for _ in range(2):
                np.testing.assert_array_equal(audio.read(source), expected)
        assert not file.closed and not written.closed
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        np.testing.assert_array_equal(audio.read(pipe), expected)


def test_what_is_neither_a_file_nor_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(WAV_16, noise(100)))
    with path.open() as text, pytest.raises(InputError, match=r"a\.wav: is open as text.*'rb'"):
        audio.read(text)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="an open file or an array. Received: list"):
        audio.read([0.0, 0.1])  # type: ignore[arg-type]


def test_samples_are_counted_where_the_header_states_none() -> None:
    content = encoded(MP3, noise(40_000), 16_000)
    assert not audio.probe(content).is_exact
    assert audio.count_samples(content) == len(audio.read(content)) == 40_000
    array = np.zeros((44_100, 2))
    assert audio.count_samples(array, sample_rate=44_100) == 16_000


def test_sample_rate_of_a_file_cannot_be_given() -> None:
    with pytest.raises(InputError, match="states its own sample rate.* Received: 44100"):
        audio.read(encoded(WAV_16, noise(100)), sample_rate=44_100)
