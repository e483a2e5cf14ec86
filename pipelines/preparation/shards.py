"""Write one shard of a prepared data set: recordings in, a TFRecord file and its index out.

The index is written last, so a shard that has one is whole. It is JSON:

- `recordings`: the `pipelines.preparation.records.IndexEntry` of each, in the order of the file;
- `left_out`: name and reason of each recording that could not be used;
- `warnings`: name of a recording, and what was repaired or ignored in its labels;
- `sha256`, `bytes`: of the TFRecord file;
- `seconds`, `notes`, `pitches` (notes by MIDI pitch), `polyphony` (seconds by number of notes that sound);
- `fingerprint`: of the recordings, their files and the options, by which a change is noticed.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipelines.preparation.records import (
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    IndexEntry,
    Segment,
    encode,
    index_of,
    notes_between,
)
from pipelines.readers.recordings import LabelRemark, LeftOut, Recording
from pipelines.readers.sources import local_path, read_notes_and_remarks
from pipelines.rendering.rendered import rendered_audio, rendered_notes_and_remarks
from tfamt.audio.loudness import LoudnessMeter
from tfamt.audio.reading import count_samples, read_blocks
from tfamt.errors import InputError
from tfamt.notes.table import Notes
from tfamt.utils.atomic_files import atomic_path, atomic_write

LOOK_AHEAD = SAMPLE_RATE // 10
"""A segment also has the notes that begin so many samples after it: onsets in rolls are wider than a frame."""
_NOT_THE_RECORDING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.ENOMEM,
    errno.EMFILE,
}

Waveform = NDArray[np.float32]
Labels = tuple[Notes, list[str]]
"""Notes, and what was repaired or ignored in their files."""


@dataclass(frozen=True)
class ShardJob:
    """A shard to be made.

    Attributes:
      folder: of the prepared data set.
      name: file name without suffix, "train-00000-of-00008".
      fingerprint: of everything that the shard's content depends on.
      recordings: in the order of the file.
    """

    folder: str
    name: str
    fingerprint: str
    recordings: Sequence[Recording]

    @property
    def records(self) -> Path:
        """Return the TFRecord file."""
        return Path(self.folder, f"{self.name}.tfrecord")

    @property
    def index(self) -> Path:
        """Return the index."""
        return Path(self.folder, f"{self.name}.index.json")


@dataclass
class _Statistics:
    samples: int = 0
    pitches: Counter[int] = field(default_factory=Counter)
    polyphony: Counter[int] = field(default_factory=Counter)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[LabelRemark] = field(default_factory=list)
    loudness: dict[str, float] = field(default_factory=dict)

    def add(self, recording: str, labels: Labels, samples: int, measured: float) -> None:
        notes, remarks = labels
        self.loudness[recording] = measured
        self.samples += samples
        self.pitches.update(notes.pitch.tolist())
        self.polyphony.update(polyphony_of(notes, samples))
        self.warnings += [LabelRemark(recording, remark) for remark in remarks]


def write_shard(job: ShardJob) -> None:
    """Write a shard, unless it exists.

    Raises:
      InputError: it cannot be written. Recordings that cannot be used are no error: the index lists them.
    """
    if read_index(job) is not None:
        return
    job.index.unlink(missing_ok=True)
    statistics = _Statistics()
    with atomic_path(job.records) as temporary:
        entries = _write_records(temporary, job.recordings, statistics)
        size, checksum = temporary.stat().st_size, _sha256(temporary)
    index = {
        "fingerprint": job.fingerprint,
        "sha256": checksum,
        "bytes": size,
        # Milliseconds: sums of whole numbers do not depend on their order.
        "seconds": statistics.samples / SAMPLE_RATE,
        "notes": statistics.pitches.total(),
        "pitches": _as_json(statistics.pitches),
        "polyphony": {k: v / SAMPLE_RATE for k, v in _as_json(statistics.polyphony).items()},
        "left_out": [dataclasses.asdict(item) for item in statistics.left_out],
        "warnings": [dataclasses.asdict(item) for item in statistics.warnings],
        "recordings": [dataclasses.asdict(entry) for entry in entries],
    }
    atomic_write(job.index, json.dumps(index, ensure_ascii=False, indent=1) + "\n")


def read_index(job: ShardJob) -> dict[str, Any] | None:
    """Return the index of a shard that is whole and made from the same recordings; None if it must be made."""
    try:
        index: dict[str, Any] = json.loads(job.index.read_text("utf-8"))
        if index["fingerprint"] != job.fingerprint or index["bytes"] != job.records.stat().st_size:
            return None
        return index if index["sha256"] == _sha256(job.records) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def polyphony_of(notes: Notes, samples: int) -> dict[int, int]:
    """Return for how many samples 0, 1, 2, ... notes sound at the same time."""
    times = np.concatenate([notes.onset, notes.offset]) * SAMPLE_RATE
    times = np.rint(times).astype(np.int64).clip(max=samples)
    order = np.argsort(times, kind="stable")
    step = np.repeat([1, -1], len(notes))[order]
    lengths = np.diff(times[order], prepend=0, append=samples)
    sounding = np.concatenate([[0], np.cumsum(step)])
    totals: Counter[int] = Counter()
    for number in np.unique(sounding[lengths > 0]).tolist():
        totals[number] = int(lengths[(sounding == number) & (lengths > 0)].sum())
    return dict(totals)


def _write_records(
    path: Path, recordings: Iterable[Recording], statistics: _Statistics
) -> list[IndexEntry]:

    def written() -> Iterator[tuple[bytes, Segment]]:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for recording in recordings:
                for record, segment in _usable_records(recording, statistics):
                    writer.write(record)
                    yield record, segment

    # A pair at a time: tee holds one where both iterators keep step.
    records, segments = itertools.tee(written())
    try:
        return index_of(
            (record for record, _ in records),
            (segment for _, segment in segments),
            statistics.loudness,
        )
    except tf.errors.OpError as error:
        raise InputError(
            # TensorFlow puts the name of the temporary file before the reason.
            f"cannot be written ({error.message.rpartition('; ')[2]})",
            path=path.parent,
            fix="Check that the disk is not full.",
        ) from error


def _usable_records(
    recording: Recording, statistics: _Statistics
) -> Iterator[tuple[bytes, Segment]]:
    """Yield the records of a recording, with segments that lack the audio; none if it cannot be used."""
    try:
        # What is wrong with a recording may show at its very end, so nothing of it goes into the shard before.
        with tempfile.TemporaryFile(prefix="tfamt-") as store:
            labels, total, measured, lengths = _spool(recording, store)
            statistics.add(recording.id, labels, total, measured)
            nothing = np.zeros(0, np.int16)
            segment = Segment(recording.id, recording.group, 0, total, nothing, Notes.empty())
            store.seek(0)
            for length in lengths:
                yield store.read(length), segment
    except InputError as error:
        if _is_of_the_machine(error):
            raise
        statistics.left_out.append(LeftOut(recording.id, str(error)))
    except OSError as error:
        raise InputError(
            f"a temporary file cannot be written ({error.strerror})",
            fix="Free some space, or set TMPDIR to a folder on a larger disk.",
        ) from error


def _spool(recording: Recording, store: Any) -> tuple[Labels, int, float, list[int]]:
    """Write the records of a whole recording; return its labels, samples, loudness, and the length of each record."""
    lengths: list[int] = []
    meter = LoudnessMeter()
    with _sound_and_labels(recording) as (total, blocks, labels):
        notes, _ = labels
        if not len(notes) and not recording.may_be_empty:
            raise InputError("its labels hold no notes")
        for index, block in enumerate(_resized(blocks, SEGMENT_SAMPLES)):
            audio = np.rint(block * 2.0**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
            start = index * SEGMENT_SAMPLES
            inside = notes_between(notes, start, start + len(audio) + LOOK_AHEAD)
            segment = Segment(recording.id, recording.group, index, total, audio, inside)
            meter.push(segment.waveform)
            lengths.append(store.write(encode(segment)))
    if meter.loudness == 0.0 and not recording.may_be_empty:
        raise InputError("is silent from beginning to end", path=str(recording.audio))
    store.flush()
    return labels, total, meter.loudness, lengths


@contextmanager
def _sound_and_labels(
    recording: Recording,
) -> Iterator[tuple[int, Iterator[Waveform], Labels]]:
    """Return the number of samples at 16 kHz, blocks of them, and the labels."""
    if recording.rendering is not None:
        total, blocks = rendered_audio(recording)
        yield total, blocks, rendered_notes_and_remarks(recording)
        return
    with local_path(recording.audio) as path:
        total = count_samples(path)
        labels = read_notes_and_remarks(recording, total / SAMPLE_RATE)
        yield total, read_blocks(path, block_seconds=SEGMENT_SAMPLES / SAMPLE_RATE), labels


def _resized(blocks: Iterable[Waveform], size: int) -> Iterator[Waveform]:
    """Yield the same samples in blocks of one size; the last may be shorter."""
    waiting: list[Waveform] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= size:
            joined = np.concatenate(waiting)
            whole = count // size * size
            yield from np.split(joined[:whole], whole // size)
            waiting, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)


def _is_of_the_machine(error: BaseException) -> bool:
    """Return whether an error comes from the machine, such as a full disk, and would hit the next recording too."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NOT_THE_RECORDING:
            return True
        cause = cause.__cause__
    return False


def _as_json(counts: Counter[int]) -> dict[str, int]:
    return {str(key): counts[key] for key in sorted(counts)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
