"""Damaged records of prepared data sets: found before training, named, and left out."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipelines.records import FOOTER_BYTES, HEADER_BYTES
from pipelines.windows import Stored
from tfamt.errors import InputError

_THREADS = 8
_MASK_DELTA = 0xA282EAD8


def leave_out_damaged(
    stored: Sequence[Stored], most: int, report: Callable[[str], None]
) -> list[Stored]:
    """The recordings whose records are all as they were written.

    Every record is read once and compared with its checksum: some gigabytes per second, where the disk is as fast.

    Args:
      stored: the recordings of a data set.
      most: how many bad records are put up with.
      report: told of each damaged recording.

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


def bad_records(item: Stored) -> list[int]:
    """Numbers of the recording's records that are cut short or differ from their checksums."""
    offsets = item.entry.offsets
    with open(item.shard, "rb") as file:
        file.seek(offsets[0])
        return [
            number
            for number, (begin, end) in enumerate(itertools.pairwise(offsets))
            if not _is_whole(file.read(end - begin), end - begin)
        ]


def _is_whole(record: bytes, size: int) -> bool:
    """Whether `record` is a TFRecord of `size` bytes: length (8), its checksum (4), content, its checksum (4)."""
    if len(record) != size:
        return False
    length, content = record[:8], record[HEADER_BYTES:-FOOTER_BYTES]
    checksums = record[8:HEADER_BYTES] + record[-FOOTER_BYTES:]
    return checksums == struct.pack("<II", _masked_crc(length), _masked_crc(content))


def _masked_crc(content: bytes) -> int:
    """CRC-32C as TFRecord files hold it: turned right by 15 bits, plus a constant."""
    import google_crc32c

    crc = google_crc32c.value(content)
    return int(((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)
