"""Find damaged records of prepared data sets before training, and leave their recordings out.

A record is bad if it differs from its checksum, is cut short, or differs from the index. Its audio is decoded by
soundfile, since tensorflow-io, which decodes it in training where it runs, never comes back from some damaged FLAC.
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import soundfile
import tensorflow as tf
from google.protobuf.message import DecodeError

from pipelines.preparation.index import StoredRecording
from pipelines.preparation.records import (
    FOOTER_BYTES,
    HEADER_BYTES,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    IndexEntry,
)
from tfamt.errors import InputError

_THREADS = 8
_MASK_DELTA = 0xA282EAD8


def leave_out_damaged(
    stored: Sequence[StoredRecording], most: int, report: Callable[[str], None]
) -> list[StoredRecording]:
    """Return the recordings whose records are all as they were written.

    Every record is read once, compared with its checksum and decoded: 6,000 s of audio a CPU second.

    Args:
      stored: the recordings of a data set.
      most: how many bad records are put up with.
      report: called with a line for each damaged recording.

    Raises:
      InputError: there are more bad records than that.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        damage = list(pool.map(bad_records, stored))
    for item, bad in zip(stored, damage, strict=True):
        if bad:
            numbers = ", ".join(map(str, bad))
            report(
                f"{item.shard}: recording {item.entry.recording} is left out, its record(s) {numbers} are damaged"
            )
    total = sum(map(len, damage))
    if total > most:
        raise InputError(
            f"the prepared data has {total} damaged record(s), and {most} are allowed",
            path=next(item.shard for item, bad in zip(stored, damage, strict=True) if bad),
            fix="Prepare the data set again, or go without the recordings concerned: --max_bad_records.",
        )
    return [item for item, bad in zip(stored, damage, strict=True) if not bad]


def bad_records(item: StoredRecording) -> list[int]:
    """Return the numbers of the recording's bad records.

    Raises:
      InputError: the shard cannot be read at all.
    """
    offsets = item.entry.offsets
    try:
        with open(item.shard, "rb") as file:
            file.seek(offsets[0])
            return [
                number
                for number, (begin, end) in enumerate(itertools.pairwise(offsets))
                # No more than there is: what a damaged index asks for may exceed all memory.
                if not _is_good(
                    file.read(min(end - begin, item.size)), end - begin, item.entry, number
                )
            ]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=item.shard) from error


def readable(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches of a prepared data set.

    Raises:
      InputError: one cannot be read: the disk fails, or the files have changed since they were checked.
    """
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        # TensorFlow's message quotes what it cannot read: bytes that are no text end in a UnicodeDecodeError instead.
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"the prepared data cannot be read any more ({reason})",
                fix="Started again, training checks every record, and resumes from its last checkpoint.",
            ) from error
        yield batch


def _is_good(record: bytes, size: int, entry: IndexEntry, number: int) -> bool:
    return _is_whole(record, size) and _is_segment(
        record[HEADER_BYTES:-FOOTER_BYTES], entry, number
    )


def _is_segment(content: bytes, entry: IndexEntry, number: int) -> bool:
    """Return whether `content` is the recording's segment of this number, with audio of its length."""
    try:
        fields = tf.train.Example.FromString(content).features.feature
    except DecodeError:
        return False
    samples = min(entry.total - number * SEGMENT_SAMPLES, SEGMENT_SAMPLES)
    flac = b"".join(fields["audio"].bytes_list.value)
    return (
        list(fields["recording"].bytes_list.value) == [entry.recording.encode()]
        and list(fields["index"].int64_list.value) == [number]
        and _is_flac(flac, samples)
    )


def _is_flac(content: bytes, samples: int) -> bool:
    """Return whether `content` is FLAC as `pipelines.preparation.records.encode` writes it, of this length."""
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            form = (file.format, file.subtype, file.samplerate, file.channels)
            # One more than there may be.
            found = len(file.read(samples + 1, dtype="int16"))
    except soundfile.LibsndfileError:
        return False
    return form == ("FLAC", "PCM_16", SAMPLE_RATE, 1) and found == samples


def _is_whole(record: bytes, size: int) -> bool:
    """Return whether `record` is a TFRecord of `size` bytes: length (8), checksum (4), content, checksum (4)."""
    if len(record) != size:
        return False
    length, content = record[:8], record[HEADER_BYTES:-FOOTER_BYTES]
    checksums = record[8:HEADER_BYTES] + record[-FOOTER_BYTES:]
    return checksums == struct.pack("<II", _masked_crc(length), _masked_crc(content))


def _masked_crc(content: bytes) -> int:
    """Return the CRC-32C as TFRecord files hold it: rotated right by 15 bits, plus a constant."""
    import google_crc32c

    crc = google_crc32c.value(content)
    return int(((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)
