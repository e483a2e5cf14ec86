"""Test that recordings of every kind that people have are read whole and in time, or reported."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tests.support.encoding import Kind, clicks, encode, lag
from tfamt.audio import data_size
from tfamt.audio.reading import probe, read, read_blocks
from tfamt.errors import IncompleteError, InputError

SECONDS = 4
WAV = Kind("wav", "pcm_s16le", 44_100, ".wav")
FLAC = Kind("flac", "flac", 44_100, ".flac")
MP3 = Kind("mp3", "libmp3lame", 44_100, ".mp3")
BARE_MP3 = Kind(
    "mp3", "libmp3lame", 44_100, ".mp3", options={"write_xing": "0", "id3v2_version": "0"}
)
M4A = Kind("ipod", "aac", 44_100, ".m4a")
OPUS = Kind("ogg", "libopus", 48_000, ".opus")
KINDS = [
    *(WAV, FLAC, MP3, BARE_MP3, M4A, OPUS),
    Kind("mp3", "libmp3lame", 22_050, ".mp3", options={"write_xing": "0"}),
    Kind("mp2", "mp2", 44_100, ".mp2"),
    Kind("mp2", "mp2", 48_000, ".mp3"),
    Kind("ipod", "alac", 44_100, ".m4a"),
    Kind("adts", "aac", 44_100, ".aac"),
    Kind("mp4", "aac", 48_000, ".mp4", has_video=True),
    Kind("mov", "pcm_s24le", 48_000, ".mov", has_video=True),
    Kind("mov", "aac", 44_100, ".mov"),
    Kind("matroska", "aac", 44_100, ".mkv"),
    Kind("matroska", "ac3", 48_000, ".mkv", has_video=True),
    Kind("webm", "libopus", 48_000, ".webm"),
    Kind("aiff", "pcm_s16be", 44_100, ".aiff"),
    Kind("au", "pcm_s16be", 44_100, ".au"),
    Kind("caf", "pcm_s16be", 44_100, ".caf"),
    Kind("w64", "pcm_s16le", 44_100, ".w64"),
    Kind("asf", "wmav2", 44_100, ".wma", bit_rate=128_000),
    Kind("asf", "wmav1", 22_050, ".wma", bit_rate=64_000),
    Kind("amr", "libopencore_amrnb", 8_000, ".amr", bit_rate=12_200),
    Kind("3gp", "libopencore_amrnb", 8_000, ".3gp", bit_rate=12_200),
    Kind("ac3", "ac3", 48_000, ".ac3"),
    Kind("eac3", "eac3", 48_000, ".eac3"),
    Kind("ogg", "flac", 44_100, ".ogg"),
    Kind("wav", "libmp3lame", 44_100, ".wav"),
    Kind("wav", "adpcm_ima_wav", 44_100, ".wav"),
    Kind("wav", "pcm_mulaw", 8_000, ".wav"),
    Kind("wav", "pcm_s16le", 44_100, ".wav", options={"rf64": "always"}),
    Kind("avi", "libmp3lame", 44_100, ".avi"),
    Kind("mpegts", "aac", 44_100, ".mts"),
    Kind("mpeg", "mp2", 44_100, ".mpg"),
    Kind("flv", "aac", 44_100, ".flv"),
    Kind("wv", "wavpack", 44_100, ".wv"),
    Kind("tta", "tta", 44_100, ".tta"),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_click_every_second_is_found_in_its_place(kind: Kind) -> None:
    found = read(encode(clicks(kind.rate, SECONDS), kind))
    expected = clicks(16_000, SECONDS)
    for second in range(SECONDS):
        part = slice(second * 16_000, (second + 1) * 16_000)
        assert abs(lag(found[part], expected[part])) <= 32, f"2 ms, second {second}"
    assert SECONDS * 16_000 - 200 <= len(found) <= SECONDS * 16_000 + 1_000


@pytest.mark.parametrize("container", ["mov", "ipod", "matroska"])
def test_sound_that_begins_after_the_picture_stays_there(container: str) -> None:
    """In an edit list (mov, m4a) and in time stamps (mkv)."""
    kind = Kind(container, "aac", 44_100, "", start=0.75, has_video=container != "ipod")
    found = read(encode(clicks(44_100, 3), kind))
    assert lag(found, clicks(16_000, 4, first=1.25)[: len(found)]) == pytest.approx(0, abs=32)


def test_a_gap_in_the_time_stamps_is_silence() -> None:
    """As browsers leave it where a microphone sent nothing."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as output:
        stream = output.add_stream("libopus", rate=48_000, layout="mono")
        sound = clicks(48_000, 4)
        packets = []
        with av.open(io.BytesIO(encode(sound, Kind("webm", "libopus", 48_000, "")))) as source:
            for packet in source.demux(source.streams.audio[0]):
                if packet.size and not 1.8 < packet.pts / 1000 < 2.2:
                    packets.append((bytes(packet), packet.pts, packet.duration))
        for content, stamp, duration in packets:
            packet = av.Packet(content)
            packet.pts = packet.dts = stamp
            packet.duration, packet.stream = duration, stream
            packet.time_base = Fraction(1, 1000)
            output.mux(packet)
    found = read(file.getvalue())
    assert len(found) == pytest.approx(4 * 16_000, abs=400)
    late = slice(3 * 16_000, 4 * 16_000)
    assert abs(lag(found[late], clicks(16_000, 4)[late])) <= 32
    assert np.abs(found[round(1.85 * 16_000) : round(2.15 * 16_000)]).max() < 1e-3


# --- whole ---

ID3 = b"ID3\x04\0\0\0\0\x20\0" + bytes(4096)


def noise(rate: int, seconds: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, rate * seconds).astype(np.float32)


def ape_tag(size: int) -> bytes:
    """A tag whose binary item looks like the beginnings of frames."""
    item = b"\xff\xfb\x90\x64" * (size // 4)
    ends = [
        b"APETAGEX" + struct.pack("<IIII", 2000, 32 + size, 1, flags) + bytes(8)
        for flags in (0xA0000000, 0x80000000)
    ]
    return ends[0] + item + ends[1]


def without_end_flag(content: bytes) -> bytes:
    """An Ogg file whose last page does not say that it is the last; its checksum is made anew."""
    place = content.rfind(b"OggS")
    page = bytearray(content[place:])
    page[5] &= ~4
    page[22:26] = bytes(4)
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ 0x04C11DB7 * (checksum >> 31)) & 0xFFFFFFFF
    page[22:26] = struct.pack("<I", checksum)
    return content[:place] + bytes(page)


def bw64(content: bytes) -> bytes:
    place = content.index(b"data")
    size = len(content) - place - 8
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, len(content) + 28, size, size // 2, 0)
    return (
        b"BW64\xff\xff\xff\xffWAVE"
        + ds64
        + content[12:place]
        + b"data\xff\xff\xff\xff"
        + content[place + 8 :]
    )


def unstated_flac(content: bytes) -> bytes:
    return content[:21] + bytes([content[21] & 0xF0, 0, 0, 0, 0]) + content[26:]


WHOLE: dict[str, tuple[Kind, Callable[[bytes], bytes], float]] = {
    "two mp3 joined": (MP3, lambda one: one + one, 8.0),
    "two mp3 without tag joined": (BARE_MP3, lambda one: one + ID3 + one, 8.0),
    "mp3 with two ID3v2 tags": (BARE_MP3, lambda one: ID3 + ID3 + one, 4.0),
    "mp3 with an APEv2 cover": (BARE_MP3, lambda one: one + ape_tag(32_768), 4.0),
    "mp3 with an ID3v1 tag": (MP3, lambda one: one + b"TAG" + b" " * 125, 4.0),
    "mp3 from the middle of a frame": (BARE_MP3, lambda one: one[211:], 3.97),
    "two opus joined": (OPUS, lambda one: one + one, 8.0),
    "opus without end flag": (OPUS, without_end_flag, 4.0),
    "flac with trailing bytes": (FLAC, lambda one: one + bytes(range(256)) * 9, 4.0),
    "flac with an ID3v1 tag": (FLAC, lambda one: one + b"TAG" + b" " * 125, 4.0),
    "flac with an ID3v2 tag": (FLAC, lambda one: ID3 + one, 4.0),
    "flac from a pipe": (FLAC, unstated_flac, 4.0),
    "two flac joined": (FLAC, lambda one: one + one, 8.0),
    "bw64": (WAV, bw64, 4.0),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_plays_whole_is_read_whole(case: str) -> None:
    kind, change, seconds = WHOLE[case]
    sound = noise(kind.rate, 4)
    found = read(change(encode(sound, kind)))
    assert len(found) / 16_000 == pytest.approx(seconds, abs=0.11)
    # The end is there too; padding within joined files, up to 0.1 s, stays.
    clean = read(encode(sound, kind))
    end = clean[3 * 16_000 : round(3.9 * 16_000)]
    place = len(found) - len(clean) + 3 * 16_000
    around = found[place - 2_000 : place + len(end) + 2_000]
    assert abs(lag(around, end) - 2_000) < (1_700 if "mp3" in case else 250)
    assert np.max(np.correlate(around, end, "valid")) > 0.7 * np.dot(end, end)


def test_files_joined_of_other_rates_and_channels_are_read_whole() -> None:
    other = Kind("mp3", "libmp3lame", 48_000, ".mp3")
    stereo = np.stack([clicks(48_000, 4)] * 2, axis=1)
    found = read(encode(clicks(44_100, 4), MP3) + encode(stereo, other))
    assert len(found) / 16_000 == pytest.approx(8.0, abs=0.12)
    late = found[-16_000:]
    assert abs(lag(late, clicks(16_000, 1))) < 1_000
    assert np.abs(late).max() == pytest.approx(np.abs(clicks(16_000, 1)).max(), rel=0.2)


def long_wav(path: Path, frames: int, modulus: int, channels: int = 1, extra: int = 0) -> None:
    """Silence and a last sample, whose size the header states as the remainder of a division."""
    frame = 2 * channels
    size = frames * frame
    form = struct.pack("<HHIIHH", 1, channels, 48_000, 48_000 * frame, frame, 16)
    head = b"RIFF" + struct.pack("<I", (size + 36) % modulus) + b"WAVEfmt " + struct.pack("<I", 16)
    with path.open("wb") as file:
        file.write(head + form + b"data" + struct.pack("<I", size % modulus))
        file.seek(44 + size - frame)
        file.write(np.full(channels, 2**14, np.int16).tobytes())
        file.write(b"LIST" + struct.pack("<I", extra) + bytes(extra) if extra else b"")


def test_a_wav_over_4_gib_whose_size_wrapped(tmp_path: Path) -> None:
    frames = 2**32 // 16 + 24_000
    long_wav(tmp_path / "long.wav", frames, 2**32, channels=8, extra=1001)
    assert probe(tmp_path / "long.wav").num_frames == frames
    with contextlib.closing(read_blocks(tmp_path / "long.wav", block_seconds=5.0)) as blocks:
        assert len(next(blocks)) == 80_000


@pytest.mark.parametrize("extra", [0, 1001])
@pytest.mark.parametrize("wraps", [1, 3])
def test_all_of_a_wrapped_wav_is_read_and_no_chunk_after_it(
    extra: int, wraps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 1 MiB in place of 4 GiB, to be read in little time."""
    monkeypatch.setattr(data_size, "_WRAP", 2**20)
    frames = wraps * 2**19 + 30_000
    long_wav(tmp_path / "long.wav", frames, 2**20, extra=extra)
    found = read(tmp_path / "long.wav")
    assert len(found) == round(frames / 3)
    assert abs(found[-1]) > 0.05 and np.abs(found[:-3_000]).max() < 1e-5


# --- or reported ---


def cut(fraction: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: round(len(content) * fraction)]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :]


FAST_START = {"movflags": "faststart"}
BROKEN: dict[str, tuple[Kind, Callable[[bytes], bytes], tuple[float, float]]] = {
    "wav": (WAV, cut(0.6), (2.39, 2.41)),
    "w64": (Kind("w64", "pcm_s16le", 44_100, ""), cut(0.6), (2.39, 2.41)),
    "caf": (Kind("caf", "pcm_s16be", 44_100, ""), cut(0.6), (2.35, 2.45)),
    "aiff": (Kind("aiff", "pcm_s16be", 44_100, ""), cut(0.6), (2.39, 2.41)),
    "au": (Kind("au", "pcm_s16be", 44_100, ""), cut(0.6), (2.39, 2.41)),
    "flac": (FLAC, cut(0.6), (2.2, 2.4)),
    "flac, one byte": (FLAC, lambda content: content[:-1], (3.85, 4.0)),
    "flac, a flipped bit": (FLAC, flipped, (1.8, 2.05)),
    "mp3": (MP3, cut(0.6), (2.3, 2.45)),
    "m4a": (Kind("ipod", "aac", 44_100, "", options=FAST_START), cut(0.6), (2.2, 2.45)),
    "mov": (Kind("mov", "pcm_s16le", 44_100, "", options=FAST_START), cut(0.6), (2.3, 2.45)),
    "mkv": (Kind("matroska", "aac", 44_100, ""), cut(0.6), (2.0, 2.45)),
    "webm": (Kind("webm", "libopus", 48_000, ""), cut(0.6), (2.0, 2.6)),
    "opus": (OPUS, cut(0.6), (1.8, 2.5)),
    "opus, a flipped bit": (OPUS, flipped, (0.9, 2.1)),
    "wma": (Kind("asf", "wmav2", 44_100, "", bit_rate=128_000), cut(0.6), (2.2, 2.5)),
    "avi": (Kind("avi", "libmp3lame", 44_100, ""), cut(0.6), (2.2, 2.5)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_off_is_reported_with_the_time(case: str) -> None:
    kind, damage, (earliest, latest) = BROKEN[case]
    content = damage(encode(noise(kind.rate, 4), kind))
    with pytest.raises(IncompleteError, match=r"<bytes>: is truncated or damaged after") as caught:
        read(content)
    assert earliest <= caught.value.seconds <= latest
    assert f"after {caught.value.seconds:.3f} s" in str(caught.value)
    faults: list[IncompleteError] = []
    samples = sum(len(block) for block in read_blocks(content, faults=faults))
    assert [str(fault) for fault in faults] == [str(caught.value)]
    assert samples / 16_000 == pytest.approx(caught.value.seconds, abs=1e-3)


def test_less_than_half_a_second_is_not_missed() -> None:
    whole = encode(noise(44_100, 4), WAV)
    assert len(read(whole[: -round(0.4 * 88_200)])) == round(3.6 * 16_000)
    with pytest.raises(
        IncompleteError, match="announces 352,800 bytes of audio, 299,880 are there"
    ):
        read(whole[: -round(0.6 * 88_200)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encode(noise(44_100, 1), M4A)[:5000], "is truncated: its index, which stands at the end"),
        (b"ffconcat version 1.0\nfile a.wav\n", "is not audio that can be read"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "is not audio that can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not audio that can be read"),
    ],
)
def test_what_is_no_recording(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(content)


def test_a_film_without_sound() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        picture = output.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 16
        picture.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuv420p")
        output.mux(picture.encode(frame))
        output.mux(picture.encode(None))
    with pytest.raises(InputError, match="<bytes>: holds no audio"):
        read(file.getvalue())


def test_tags_in_another_encoding_do_no_harm() -> None:
    file = io.BytesIO()
    soundfile.write(file, noise(16_000, 1), 16_000, format="WAV", subtype="PCM_16")
    tags = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"\xff\xfe\x80\0"
    content = file.getvalue() + tags
    np.testing.assert_array_equal(read(content), read(file.getvalue()))
