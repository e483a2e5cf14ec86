"""What a prepared data set holds: one tf.train.Example for each segment of a recording.

A segment is `SEGMENT_SECONDS` of a recording (the last may be shorter) and `CONTEXT_SECONDS` of what follows it, so
that a window may begin anywhere in the segment without the next record at hand. Segments bound the memory of
whoever reads them, however long a recording is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfamt.notes import Notes

if TYPE_CHECKING:
    import tensorflow as tf

SAMPLE_RATE = 16000
SEGMENT_SECONDS = 120.0
CONTEXT_SECONDS = 20.48
SEGMENT_SAMPLES = int(SEGMENT_SECONDS * SAMPLE_RATE)
CONTEXT_SAMPLES = int(CONTEXT_SECONDS * SAMPLE_RATE)
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording with its labels.

    Attributes:
      recording: id of the recording, unique in its data set.
      group: what results are broken down by: the piano, the composer.
      index: 0 for the recording's first segment.
      start: its first sample, counted from the recording's first.
      length: samples that are its own; `audio` may go on with context.
      total: samples of the whole recording.
      audio: int16 [length + context], 16 kHz mono.
      notes: every note that sounds in `audio`, times from the start of the recording.
    """

    recording: str
    group: str
    index: int
    start: int
    length: int
    total: int
    audio: NDArray[np.int16]
    notes: Notes


def segment_spans(total: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, end of context) of each segment of a recording of `total` samples."""
    for start in range(0, total, SEGMENT_SAMPLES):
        end = min(start + SEGMENT_SAMPLES, total)
        yield start, end, min(end + CONTEXT_SAMPLES, total)


def notes_between(notes: Notes, start: int, end: int) -> Notes:
    """The notes that sound between two samples; notes that touch the stretch only count as well."""
    return notes.select((notes.offset * SAMPLE_RATE >= start) & (notes.onset * SAMPLE_RATE <= end))


def encode(segment: Segment) -> bytes:
    """The segment as a serialised tf.train.Example; audio as 16-bit FLAC, times in whole microseconds."""
    import soundfile
    import tensorflow as tf

    flac = io.BytesIO()
    soundfile.write(flac, segment.audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16")

    def text(value: str | bytes) -> tf.train.Feature:
        data = value.encode() if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))

    def integers(*values: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    notes = segment.notes
    features = {
        "recording": text(segment.recording),
        "group": text(segment.group),
        "index": integers(segment.index),
        "start": integers(segment.start),
        "length": integers(segment.length),
        "total": integers(segment.total),
        "audio": text(flac.getvalue()),
        "onset": integers(*np.rint(notes.onset * _MICROSECONDS).astype(np.int64)),
        "offset": integers(*np.rint(notes.offset * _MICROSECONDS).astype(np.int64)),
        "pitch": integers(*notes.pitch),
        "velocity": integers(*notes.velocity),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Maps have no order of their own: the same segment must always give the same bytes.
    serialised: bytes = example.SerializeToString(deterministic=True)
    return serialised


def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
    """A serialised record as tensors, inside a tf.data graph.

    Returns:
      "recording" and "group" string []; "index", "start", "length", "total" int64 []; "audio" float32 [samples] in
      -1..1; "onset" and "offset" float64 [notes] in seconds; "pitch" and "velocity" int64 [notes].
    """
    import tensorflow as tf

    from tfamt.audio_graph import decode_flac

    scalar = {"recording": tf.string, "group": tf.string, "audio": tf.string}
    scalar |= dict.fromkeys(("index", "start", "length", "total"), tf.int64)
    columns = ("onset", "offset", "pitch", "velocity")
    fields = tf.io.parse_single_example(
        record,
        {name: tf.io.FixedLenFeature([], dtype) for name, dtype in scalar.items()}
        | {name: tf.io.RaggedFeature(tf.int64) for name in columns},
    )
    for name in ("onset", "offset"):
        fields[name] = tf.cast(fields[name], tf.float64) / _MICROSECONDS
    return {**fields, "audio": decode_flac(fields["audio"])}


def decode(record: bytes) -> Segment:
    """The inverse of `encode`."""
    fields = {name: value.numpy() for name, value in parse(record).items()}
    return Segment(
        recording=fields["recording"].decode(),
        group=fields["group"].decode(),
        index=int(fields["index"]),
        start=int(fields["start"]),
        length=int(fields["length"]),
        total=int(fields["total"]),
        audio=np.rint(fields["audio"] * 2**15).astype(np.int16),
        notes=Notes(*(fields[name] for name in ("onset", "offset", "pitch", "velocity"))),
    )
