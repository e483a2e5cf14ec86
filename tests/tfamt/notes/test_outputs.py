"""Test the content of CSV, JSON, picture and sound of a transcription."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tfamt.errors import InputError
from tfamt.notes.label_files import read_labels
from tfamt.notes.sonify import SAMPLE_RATE, _partial, synthesise, write_wav
from tfamt.notes.table import Notes
from tfamt.notes.tables import Provenance, write_csv, write_json
from tfamt.plots.transcription_figure import _clock, _ticks, pool, write_png

NOTES = Notes.from_rows([(0.5, 1.25, 60, 100), (1.0 / 3, 2.0, 21, 1)])
PROVENANCE = Provenance(
    "Für Elise.flac", 2.5, "piano", "0.1.0", {"method": "onsets", "onset_threshold": 0.4}
)


def draw(path: Path, notes: Notes = NOTES, title: str = "") -> NDArray[np.float64]:
    """A picture of 10 s in which keys 40 and 90 are likely at the start; RGB [height, width, 3]."""
    import matplotlib.image

    pianoroll = np.zeros((312, 88))
    pianoroll[:3, [40 - 21, 90 - 21]] = 1.0
    write_png(
        notes,
        path,
        spectrogram=np.zeros((312, 229)),
        pianoroll=pianoroll,
        frames_per_second=31.25,
        title=title,
        overwrite=True,
    )
    return matplotlib.image.imread(path)[:, :, :3].astype(np.float64)


def box(picture: NDArray[np.float64], without: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of what differs."""
    rows, columns = np.nonzero(np.abs(picture - without).max(axis=2) > 0.1)
    return columns.min(), columns.max(), rows.min(), rows.max()


def test_csv_literal_and_back(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write_csv(NOTES, path)
    assert path.read_text() == (
        "onset,offset,pitch,velocity\n0.333333,2.000000,21,1\n0.500000,1.250000,60,100\n"
    )
    back = read_labels(path)
    np.testing.assert_allclose(back.onset, NOTES.onset, atol=5e-7)
    assert back.velocity.tolist() == [1, 100]
    write_csv(Notes.empty(), path, overwrite=True)
    assert len(read_labels(path)) == 0


def test_json_literal(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(NOTES, path, PROVENANCE)
    assert json.loads(path.read_text("utf-8")) == {
        "audio": "Für Elise.flac",
        "duration": 2.5,
        "model": "piano",
        "version": "0.1.0",
        "decoding": {"method": "onsets", "onset_threshold": 0.4},
        "notes": [
            {"onset": 0.333333, "offset": 2.0, "pitch": 21, "velocity": 1},
            {"onset": 0.5, "offset": 1.25, "pitch": 60, "velocity": 100},
        ],
    }


@pytest.mark.parametrize(
    "write",
    [
        write_csv,
        lambda notes, path, **kw: write_json(notes, path, PROVENANCE, **kw),
        write_wav,
        lambda notes, path, **kw: write_png(
            notes,
            path,
            spectrogram=np.zeros((9, 229)),
            pianoroll=np.zeros((9, 88)),
            frames_per_second=31.25,
            **kw,
        ),
    ],
    ids=["csv", "json", "wav", "png"],
)
def test_no_file_is_replaced_without_overwrite_or_left_half_written(
    write: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "there"
    path.write_text("mine")
    with pytest.raises(InputError, match="there: exists already"):
        write(NOTES, path)
    assert path.read_text() == "mine"
    write(NOTES, path, overwrite=True)
    assert path.read_bytes() != b"mine" and path.stat().st_size > 50
    with pytest.raises(InputError, match="is a folder"):
        write(NOTES, tmp_path, overwrite=True)
    with pytest.raises(InputError, match="cannot be written"):
        write(NOTES, tmp_path / "no_such_folder" / "x")
    assert [p.name for p in tmp_path.iterdir()] == ["there"]


def test_picture_shows_notes_where_they_are(tmp_path: Path) -> None:
    empty = draw(tmp_path / "x.png", Notes.empty())
    first = box(draw(tmp_path / "x.png", Notes([2.0], [3.0], [60])), empty)
    later = box(draw(tmp_path / "x.png", Notes([7.0], [8.0], [60])), empty)
    higher = box(draw(tmp_path / "x.png", Notes([2.0], [3.0], [72])), empty)
    second = first[1] - first[0]
    assert 80 < second < 120
    assert later[0] - first[0] == pytest.approx(5 * second, rel=0.03)
    assert later[2:] == first[2:]
    # Keys 40 and 90 and two more on either side share the height of the lower part.
    key = (first[2] - higher[2]) / 12
    assert 420 / 55 < key < 480 / 55
    assert higher[:2] == first[:2]
    assert first[3] - first[2] == pytest.approx(0.6 * key, abs=1.5)


def test_picture_shows_probabilities_and_spectrogram_upright(tmp_path: Path) -> None:
    import matplotlib.image

    spectrogram = np.zeros((312, 229))
    spectrogram[:156, :100] = 1.0  # first half, low bins
    pianoroll = np.zeros((312, 88))
    pianoroll[156:, 60 - 21] = 1.0
    path = tmp_path / "x.png"
    write_png(
        Notes.empty(), path, spectrogram=spectrogram, pianoroll=pianoroll, frames_per_second=31.25
    )
    picture = matplotlib.image.imread(path)[:, :, :3]
    assert picture.shape == (800, 1200, 3)
    height, width = picture.shape[:2]
    # The bright end of magma is a pale yellow, its dark end black.
    assert picture[int(0.30 * height), int(0.25 * width)] == pytest.approx(
        [0.987, 0.991, 0.750], abs=0.02
    )
    assert picture[int(0.10 * height), int(0.25 * width)].max() < 0.02
    assert picture[int(0.30 * height), int(0.75 * width)].max() < 0.02
    lower = picture[height // 2 : int(0.9 * height)].mean(axis=2)
    assert (lower[:, int(0.75 * width)] < 0.4).any()
    assert not (lower[:, int(0.25 * width)] < 0.4).any()


def test_long_pictures_stay_readable_in_size(tmp_path: Path) -> None:
    import matplotlib.image

    frames = 3600 * 31
    path = tmp_path / "x.png"
    write_png(
        NOTES,
        path,
        spectrogram=np.zeros((frames, 20), np.float32),
        pianoroll=np.zeros((frames, 88), np.float32),
        frames_per_second=31.25,
    )
    assert matplotlib.image.imread(path).shape[:2] == (800, 2400)


def test_titles_are_taken_literally(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # As mathematics, which matplotlib makes of dollars, this would be a syntax error.
        odd = draw(tmp_path / "x.png", title="$\\frac{$ 夜想曲")
    assert (odd[4:22] < 0.2).any()
    plain = draw(tmp_path / "x.png")
    assert not np.array_equal(odd, plain)


def test_pool_keeps_the_maximum() -> None:
    roll = np.array([[0.0, 1], [5, 0], [2, 2], [3, 0], [4, 9]])
    pooled, step = pool(roll, 3)
    assert pooled.tolist() == [[5, 1], [3, 2], [4, 9]] and step == 2
    pooled, step = pool(roll, 5)
    assert pooled.tolist() == roll.tolist() and step == 1


def test_clock() -> None:
    assert [_clock(t) for t in (0, 2.5, 65, 3600)] == ["0:00", "0:02.5", "1:05", "60:00"]
    assert _ticks(10.0).tolist() == list(range(10))
    assert _ticks(600.0).tolist() == [60.0 * n for n in range(10)]


def test_picture_refuses_arrays_of_different_frames(tmp_path: Path) -> None:
    for spectrogram, pianoroll in (
        ((10, 229), (9, 88)),
        ((10, 229), (10, 87)),
        ((0, 229), (0, 88)),
    ):
        with pytest.raises(ValueError, match="Received: "):
            write_png(
                NOTES,
                tmp_path / "x.png",
                spectrogram=np.zeros(spectrogram),
                pianoroll=np.zeros(pianoroll),
                frames_per_second=31.25,
            )


def test_sound_has_the_pitch_time_and_loudness_of_its_notes(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    write_wav(Notes.from_rows([(1.0, 2.0, 69, 127), (3.0, 4.0, 45, 64)]), path)
    sound, rate = soundfile.read(path)
    assert rate == SAMPLE_RATE == 22_050
    assert len(sound) == round(4.15 * rate)
    second = rate
    assert np.abs(sound[:second]).max() == 0.0
    for start, frequency in ((1, 440.0), (3, 110.0)):
        spectrum = np.abs(np.fft.rfft(sound[start * second : (start + 1) * second]))
        assert np.argmax(spectrum) == pytest.approx(frequency, abs=1.5)
    # 60 dB down 0.15 s after the release.
    assert np.abs(sound[round(2.15 * second) : 3 * second]).max() == 0.0
    assert np.abs(sound[2 * second + 1500 : 2 * second + 2000]).max() < 0.1 * np.abs(sound).max()
    loud, soft = np.abs(sound[: second * 2]).max(), np.abs(sound[3 * second :]).max()
    assert soft / loud == pytest.approx((64 / 127) ** 1.5, rel=0.1)


def test_a_partial_is_a_dying_sine() -> None:
    time = np.arange(30_001) / SAMPLE_RATE
    np.testing.assert_allclose(
        _partial(523.25, 2.5, len(time)),
        np.exp(-2.5 * time) * np.sin(2 * np.pi * 523.25 * time),
        atol=1e-9,
    )


def test_sound_does_not_depend_on_blocks_and_never_clips() -> None:
    rng = np.random.default_rng(0)
    onset = rng.uniform(0, 3, 200)
    notes = Notes(
        onset, onset + rng.uniform(0, 2, 200), rng.integers(0, 128, 200), np.full(200, 127)
    )
    whole = np.concatenate(list(synthesise(notes, block_seconds=60.0)))
    pieces = list(synthesise(notes, block_seconds=0.1))
    assert max(len(piece) for piece in pieces) == 2205
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert 0.5 < np.abs(whole).max() <= 1.0


def test_sound_of_a_given_length() -> None:
    assert sum(map(len, synthesise(NOTES, duration=0.7))) == 15_435
    assert sum(map(len, synthesise(Notes.empty(), duration=1.0))) == 22_050
    assert list(synthesise(Notes.empty())) == []


def test_three_hours_of_sound_in_bounded_memory(tmp_path: Path) -> None:
    """A child process plays 3 h, whose samples alone are 950 MB as floats."""
    program = """
import numpy as np
from benchmarks.measuring import peak_megabytes
from tfamt.notes.table import Notes
from tfamt.notes.sonify import synthesise
onset = np.arange(0, 10800, 4.0)
total = sum(map(len, synthesise(Notes(onset, onset + 0.5, 60 + np.arange(2700) % 12))))
print(total, peak_megabytes())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    total, megabytes = done.stdout.split()
    assert int(total) == 10_796 * SAMPLE_RATE + 11_025 + 3_308  # the damper's 3307.5 rounded
    assert float(megabytes) < 500
