"""Encode and decode the records of prepared data sets: tf.train.Examples, each a segment of a recording.

A recording is cut into segments of `SEGMENT_SAMPLES` (the last may be shorter) that follow each other in one shard.
Segments bound the memory of readers for recordings of any length; the byte offset of each, kept in the
shard's index, lets a reader go straight to any part of any recording.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf
from numpy.typing import NDArray

from pipelines.preparation.flac import decode_flac
from tfamt.notes.table import Notes

SAMPLE_RATE = 16000
SEGMENT_SAMPLES = 640 * 512
"""20.48 s: the paper's training window, which so touches two segments at the most."""
HEADER_BYTES = 12
FOOTER_BYTES = 4
"""What the TFRecord format puts around a record: its length with a checksum, and a checksum of the record."""
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Segment:
    """A part of a recording with its labels.

    Attributes:
      recording: id of the recording, unique in its data set.
      group: what results are broken down by: the piano, the composer.
      index: 0 for the recording's first segment.
      total: samples of the whole recording.
      audio: int16 [samples], 16 kHz mono: `SEGMENT_SAMPLES` of them, fewer in the last segment.
      notes: every note that sounds in `audio`, times from the start of the recording.
    """

    recording: str
    group: str
    index: int
    total: int
    audio: NDArray[np.int16]
    notes: Notes

    @property
    def start(self) -> int:
        """Return the segment's first sample, counted from the recording's first."""
        return self.index * SEGMENT_SAMPLES

    @property
    def waveform(self) -> NDArray[np.float32]:
        """`audio` as float32, full scale 1."""
        return self.audio.astype(np.float32) / 2**15


@dataclass(frozen=True)
class IndexEntry:
    """Where a shard holds a recording.

    Attributes:
      recording: its id.
      group: its group.
      total: its length in samples.
      loudness: its loudness (`tfamt.audio.loudness.loudness`).
      offsets: byte offset in the shard of each of its segments, in order, and of what follows the last.
    """

    recording: str
    group: str
    total: int
    loudness: float
    offsets: tuple[int, ...]


def entry_of(fields: Mapping[str, Any]) -> IndexEntry:
    """Return an index entry from its JSON fields.

    Raises:
      TypeError: fields are missing or of other types.
      ValueError: the offsets do not fit the length.
    """
    # Data sets of tfamt 0.1.0 call the loudness "level".
    named = {"loudness" if name == "level" else name: value for name, value in fields.items()}
    entry = IndexEntry(**{**named, "offsets": tuple(named["offsets"])})
    numbers = (entry.total, *entry.offsets)
    if not all(type(text) is str for text in (entry.recording, entry.group)) or not all(
        type(number) is int and 0 <= number < 2**63 for number in numbers
    ):
        raise TypeError(f"an entry has a field of a wrong type: {entry}")
    if type(entry.loudness) is not float or not 0 <= entry.loudness <= 1:
        raise TypeError(f"an entry has no loudness within 0..1: {entry}")
    least = HEADER_BYTES + FOOTER_BYTES
    rising = all(end - begin > least for begin, end in itertools.pairwise(entry.offsets))
    if (
        not rising
        or len(entry.offsets) != -(-entry.total // SEGMENT_SAMPLES) + 1
        or not entry.total
    ):
        raise ValueError(f"offsets and length of {entry.recording} do not fit each other")
    return entry


def index_of(
    records: Iterable[bytes], segments: Iterable[Segment], loudness: Mapping[str, float]
) -> list[IndexEntry]:
    """Return the index of a shard that holds `records`, the encoded `segments`, in this order.

    Args:
      records: see above.
      segments: see above; their audio and notes are not looked at.
      loudness: by recording, of those whose segments have come.
    """
    entries: dict[str, IndexEntry] = {}
    position = 0
    for record, segment in zip(records, segments, strict=True):
        known = entries.get(segment.recording)
        offsets = known.offsets if known else (position,)
        position += HEADER_BYTES + len(record) + FOOTER_BYTES
        entries[segment.recording] = IndexEntry(
            segment.recording,
            segment.group,
            segment.total,
            loudness[segment.recording],
            (*offsets, position),
        )
    return list(entries.values())


def notes_between(notes: Notes, start: int, end: int) -> Notes:
    """Return the notes that sound between two samples, including those that only touch the interval."""
    return notes.select((notes.offset * SAMPLE_RATE >= start) & (notes.onset * SAMPLE_RATE <= end))


def encode(segment: Segment) -> bytes:
    """Return the segment as a serialised tf.train.Example; audio as 16-bit FLAC, times in whole microseconds."""
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
    """Parse a serialised record into tensors, inside a tf.data graph.

    Returns:
      "recording" and "group" string []; "index", "total" int64 []; "audio" float32 [samples] in
      -1..1; "onset" and "offset" float64 [notes] in seconds; "pitch" and "velocity" int64 [notes].
    """
    scalar = {"recording": tf.string, "group": tf.string, "audio": tf.string}
    scalar |= dict.fromkeys(("index", "total"), tf.int64)
    columns = ("onset", "offset", "pitch", "velocity")
    fields = tf.io.parse_single_example(
        record,
        {name: tf.io.FixedLenFeature([], dtype) for name, dtype in scalar.items()}
        | {name: tf.io.RaggedFeature(tf.int64) for name in columns},
    )
    for name in ("onset", "offset"):
        fields[name] = tf.cast(fields[name], tf.float64) / _MICROSECONDS
    return {**fields, "audio": decode_flac(fields["audio"])}


def parse_span(span: tf.Tensor, offsets: tf.Tensor, most: int) -> dict[str, tf.Tensor]:
    """Parse consecutive segments of one recording as one: the bytes of a shard between two offsets.

    Args:
      span: string [], the bytes.
      offsets: int64 [segments + 1], as in `IndexEntry`, counted from the span's first byte.
      most: how many segments there can be.

    Returns:
      As `parse`, with the audio joined and the notes of all segments; a note that sounds in two is there twice.
    """
    count = tf.shape(offsets)[0] - 1
    names = ("audio", "onset", "offset", "pitch", "velocity")

    def segment(number: int) -> list[tf.Tensor]:
        begin = offsets[number] + HEADER_BYTES
        length = offsets[number + 1] - FOOTER_BYTES - begin
        fields = parse(tf.strings.substr(span, begin, length))
        return [fields[name] for name in names]

    def nothing() -> list[tf.Tensor]:
        dtypes = (tf.float32, tf.float64, tf.float64, tf.int64, tf.int64)
        return [tf.zeros([0], dtype) for dtype in dtypes]

    parts = [segment(0)]
    parts += [
        tf.cond(number < count, lambda number=number: segment(number), nothing)
        for number in range(1, most)
    ]
    columns = (tf.concat(column, axis=0) for column in zip(*parts, strict=True))
    return dict(zip(names, columns, strict=True))


def read_segments(shard: str, entry: IndexEntry) -> Iterator[Segment]:
    """Yield the segments of one recording, in order, one at a time in memory."""
    with open(shard, "rb") as file:
        for begin, end in itertools.pairwise(entry.offsets):
            file.seek(begin + HEADER_BYTES)
            yield decode(file.read(end - begin - HEADER_BYTES - FOOTER_BYTES))


def decode(record: bytes) -> Segment:
    """Invert `encode`."""
    fields = {name: value.numpy() for name, value in parse(record).items()}
    return Segment(
        recording=fields["recording"].decode(),
        group=fields["group"].decode(),
        index=int(fields["index"]),
        total=int(fields["total"]),
        audio=np.rint(fields["audio"] * 2**15).astype(np.int16),
        notes=Notes(*(fields[name] for name in ("onset", "offset", "pitch", "velocity"))),
    )
