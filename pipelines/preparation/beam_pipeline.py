"""Prepare data sets: a Beam pipeline from recordings to shards, a report and a manifest.

A prepared data set is a folder of shards (`pipelines.preparation.shards`) with

- `plan.json`, written first: what it is made from, by which a changed source or option is noticed;
- `report.json` and `report.txt`: everything that was left out, with its reason, and what was repaired or ignored in
  the labels of recordings that were taken;
- `manifest.json`, written last: it exists only when the data set is whole.

All of it is the same, byte for byte, however often the work was interrupted and by however many workers it was done.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.preparation.beam_runner import run_steps
from pipelines.preparation.plan import FORMAT, Options, check_or_write_plan, make_plan, plan_shards
from pipelines.preparation.shards import ShardJob, read_index, write_shard
from pipelines.readers.recordings import SPLITS, DataSet, LabelRemark, LeftOut
from tfamt.errors import InputError
from tfamt.utils.atomic_files import atomic_write
from tfamt.utils.locks import exclusive_lock

DEFAULT_SHARDS = 32


@dataclass(frozen=True)
class Summary:
    """What came out.

    Attributes:
      manifest: content of manifest.json.
      left_out: recordings that failed while they were prepared; those that the reader left out are not among them.
      warnings: what was repaired or ignored in labels.
    """

    manifest: dict[str, Any]
    left_out: Sequence[LeftOut]
    warnings: Sequence[LabelRemark] = ()


def prepare(
    data_set: DataSet,
    folder: str | os.PathLike[str],
    options: Options,
    *,
    shards: int = DEFAULT_SHARDS,
    workers: int = 1,
    overwrite: bool = False,
    runner: str = "DirectRunner",
    beam_arguments: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Prepare a data set, or finish an interrupted preparation.

    Args:
      data_set: what to prepare.
      folder: where to; created if need be. With other runners than DirectRunner all workers must see it, and the
        recordings, under the same name.
      options: options of the reader; part of the plan and the manifest.
      shards: files per split, at the most: no more than there are recordings.
      workers: processes of the DirectRunner.
      overwrite: whether a data set of another source or with other options may be deleted.
      runner: a Beam runner. "DirectRunner" works on this machine.
      beam_arguments: further pipeline options, as on a command line.
      progress: called with a line of progress now and then.

    Raises:
      InputError: there are no recordings, the folder holds something else or cannot be written, somebody else is
        preparing it, the disk is full, or not one recording could be used.
    """
    if shards < 1 or workers < 1:
        raise InputError(f"shards and workers must be at least 1. Received: {shards} and {workers}")
    data_set.require_some(str(options.get("source", folder)))
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created ({error.strerror})", path=target) from error
    jobs = plan_shards(data_set, target, shards)
    with exclusive_lock(target / ".lock", "another process is preparing this data set"):
        check_or_write_plan(target, make_plan(data_set, options, shards), overwrite=overwrite)
        unfinished = [job for job in jobs if read_index(job) is None]
        with _watching(jobs, unfinished, progress):
            if unfinished:
                run_steps(_transform(unfinished), workers, runner, beam_arguments)
        return _finish(data_set, target, options, jobs)


def _transform(jobs: Sequence[ShardJob]) -> Any:
    """Return the transform that writes shards, each an independent work item."""
    import apache_beam

    steps: Any = apache_beam
    # Without the reshuffle a runner may fuse the steps and give all shards to one worker.
    return steps.Create(jobs) | steps.Reshuffle() | steps.Map(write_shard)


@contextmanager
def _watching(
    jobs: Sequence[ShardJob], unfinished: Sequence[ShardJob], progress: Callable[[str], None]
) -> Iterator[None]:
    """Report progress while the block runs, by the files that exist, since workers may be anywhere."""
    total = sum(len(job.recordings) for job in unfinished)
    done = sum(len(job.recordings) for job in jobs) - total
    progress(f"{total} recordings in {len(unfinished)} shards to prepare, {done} are done")
    stop, begin = threading.Event(), time.monotonic()

    def watch() -> None:
        reported = 0
        while not stop.wait(1.0):
            ready = sum(len(job.recordings) for job in unfinished if job.index.exists())
            if ready > reported:
                reported = ready
                seconds = (time.monotonic() - begin) / ready * (total - ready)
                progress(f"{ready} of {total} recordings, about {_readable(seconds)} left")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        ready = done + sum(len(job.recordings) for job in unfinished if job.index.exists())
        progress(
            f"{ready} of {done + total} recordings are prepared and kept; the same command resumes from there"
        )
        raise
    finally:
        stop.set()
        thread.join()


def _readable(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _finish(data_set: DataSet, folder: Path, options: Options, jobs: Sequence[ShardJob]) -> Summary:
    """Write the report, then the manifest."""
    indices = {job.name: read_index(job) for job in jobs}
    if lost := sorted(name for name, index in indices.items() if index is None):
        raise InputError(
            f"these shards were not written: {', '.join(lost)}",
            path=folder,
            fix="All workers must see this folder under this name. Run the command again to make what is missing.",
        )
    found = {name: index for name, index in indices.items() if index is not None}
    failed = sorted(LeftOut(**item) for index in found.values() for item in index["left_out"])
    warnings = sorted(LabelRemark(**item) for index in found.values() for item in index["warnings"])
    _write_report(folder, data_set, failed, warnings)
    if not any(index["recordings"] for index in found.values()):
        raise InputError(
            f"not one of the {len(failed)} recordings could be used; the first: {failed[0].name}: {failed[0].reason}",
            path=folder / "report.txt",
        )
    manifest = {
        "format": FORMAT,
        "data_set": data_set.name,
        "licence": sorted({item.licence for item in data_set.recordings}),
        "options": {**options},
        "remarks": list(data_set.remarks),
        "splits": {split: _summary_of(split, found) for split in SPLITS},
        "left_out": len(data_set.left_out) + len(failed),
        "warnings": len(warnings),
        "shards": {
            f"{name}.tfrecord": {key: index[key] for key in ("sha256", "bytes")}
            for name, index in found.items()
        },
    }
    atomic_write(
        folder / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    )
    return Summary(manifest, failed, warnings)


def _summary_of(split: str, indices: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    mine = [index for name, index in indices.items() if name.startswith(f"{split}-")]
    groups: dict[str, int] = {}
    for index in mine:
        for entry in index["recordings"]:
            groups[entry["group"]] = groups.get(entry["group"], 0) + 1
    return {
        "recordings": sum(len(index["recordings"]) for index in mine),
        "hours": round(sum(index["seconds"] for index in mine) / 3600, 6),
        "notes": sum(index["notes"] for index in mine),
        "groups": dict(sorted(groups.items())),
    }


def _write_report(
    folder: Path, data_set: DataSet, failed: Sequence[LeftOut], warnings: Sequence[LabelRemark]
) -> None:
    parts = {"failed": failed, "not used": data_set.left_out}
    content: dict[str, Any] = {
        kind: [dataclasses.asdict(item) for item in items] for kind, items in parts.items()
    }
    content["warnings"] = [dataclasses.asdict(item) for item in warnings]
    content["remarks"] = list(data_set.remarks)
    atomic_write(folder / "report.json", json.dumps(content, ensure_ascii=True, indent=1) + "\n")
    lines = [*data_set.remarks]
    lines += [
        f"{kind}: {item.name}: {item.reason}" for kind, items in parts.items() for item in items
    ]
    lines += [f"warning: {item.name}: {item.text}" for item in warnings]
    text = "".join(f"{line}\n" for line in lines or ["Nothing was left out."])
    atomic_write(folder / "report.txt", text.encode("utf-8", "backslashreplace"))
