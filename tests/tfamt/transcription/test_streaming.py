"""Test that a stream gives the same notes within its latency."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import tfamt
from tfamt.audio.loudness import loudness
from tfamt.audio.reading import resample
from tfamt.errors import InputError
from tfamt.notes.table import Notes
from tfamt.transcription.streaming import StreamingTranscriber
from tfamt.transcription.transcriber import Transcriber


@pytest.fixture(scope="module")
def quick() -> Transcriber:
    return Transcriber.load(window_frames=128)


@pytest.fixture(scope="module")
def music(root: Path) -> np.ndarray:
    samples, rate = soundfile.read(root / "examples" / "prelude.ogg", dtype="float32")
    assert rate == 44100
    return (samples if samples.ndim == 1 else samples.mean(axis=1))[: 15 * 44100]


def streamed(streaming: StreamingTranscriber, music: np.ndarray, sizes: list[int]) -> Notes:
    notes, position = [], 0
    while position < len(music):
        size = sizes[len(notes) % len(sizes)]
        notes.append(streaming.push(music[position : position + size]))
        position += size
    rows = [row for part in (*notes, streaming.finish()) for row in part]
    return Notes.from_rows(rows)


@pytest.mark.parametrize("sizes", [[1, 7, 30000], [441], [10**7]])
def test_chunks_of_any_size_give_the_notes_of_the_whole(
    quick: Transcriber, music: np.ndarray, sizes: list[int]
) -> None:
    whole = quick.transcribe(music, sample_rate=44100)
    assert len(whole) > 20
    measured = loudness(resample(music, 44100))
    streaming = StreamingTranscriber(quick, sample_rate=44100, loudness=measured)
    assert streamed(streaming, music, sizes) == whole


def test_a_stream_of_unknown_loudness_gives_the_notes_of_the_loudness_so_far(
    quick: Transcriber, music: np.ndarray
) -> None:
    # The loudest comes last: a whole recording's windows are all soft before it.
    rising = music * np.linspace(0.1, 1.0, len(music), dtype=np.float32)
    waveform = resample(rising, 44100)
    so_far = streamed(StreamingTranscriber(quick, sample_rate=44100), rising, [44100])
    assert so_far == quick.transcribe_blocks([waveform])
    whole = quick.transcribe(waveform, sample_rate=16000)
    assert whole == quick.transcribe_blocks([waveform], loudness=loudness(waveform))
    early = [notes.velocity[notes.onset < 4.0].mean() for notes in (so_far, whole)]
    assert early[0] > early[1] + 5.0


def test_every_note_is_given_within_the_stated_latency(
    quick: Transcriber, music: np.ndarray
) -> None:
    streaming = tfamt.StreamingTranscriber(quick, sample_rate=44100)
    # 128 frames without the margin of 8, and 33 in which a note may still end, of 32 ms each.
    assert streaming.latency == pytest.approx(153 * 0.032)
    waits = []
    for end in range(441, len(music), 441):
        now = end / 44100
        waits += [now - offset for _, offset, _, _ in streaming.push(music[end - 441 : end])]
    assert len(waits) > 15
    assert max(waits) < streaming.latency + 0.1
    # Not before they have ended and been seen in context, the margin of 0.26 s.
    assert min(waits) > 0.25


def test_what_is_no_waveform_is_refused(quick: Transcriber) -> None:
    with pytest.raises(InputError, match="sample rate"):
        StreamingTranscriber(quick, sample_rate=0)
    streaming = StreamingTranscriber(quick)
    with pytest.raises(InputError, match="finite"):
        streaming.push([0.0, float("nan")])
    with pytest.raises(InputError, match="Received: .2, 2."):
        streaming.push([[0.0, 1.0], [0.0, 1.0]])
    assert len(streaming.finish()) == 0
    with pytest.raises(ValueError, match="finished"):
        streaming.push([0.0])
