"""Choose the devices and machines of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass

import tensorflow as tf

from tfamt.config import TrainingConfig
from tfamt.errors import InputError

STRATEGIES = ("auto", "single", "mirrored", "multiworker")


@dataclass(frozen=True)
class Share:
    """Which part of every global batch a worker reads: the `index`-th of `count` equal ones."""

    index: int = 0
    count: int = 1

    @property
    def is_chief(self) -> bool:
        """Return whether this worker writes the run folder."""
        return self.index == 0


def choose_strategy(name: str = "auto", logical_cpus: int = 1) -> tf.distribute.Strategy:
    """Return the strategy of a run; must be called before TensorFlow does anything else.

    Args:
      name: "single" for one device; "mirrored" for all devices of this machine; "multiworker" for all machines that
        the environment variable TF_CONFIG names; "auto" for what there is: several machines, several GPUs or one
        device.
      logical_cpus: number of devices that the CPU is split into, to try strategies without GPUs.

    Raises:
      InputError: there is no such strategy, or TF_CONFIG does not fit it.
    """
    if name not in STRATEGIES:
        raise InputError(f"strategy must be one of {', '.join(STRATEGIES)}. Received: {name!r}")
    if logical_cpus > 1:
        (cpu, *_) = tf.config.list_physical_devices("CPU")
        device = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [device] * logical_cpus)
    if name == "auto":
        name = _what_there_is(logical_cpus)
    if name == "multiworker":
        if not os.environ.get("TF_CONFIG"):
            raise InputError(
                "strategy multiworker needs the environment variable TF_CONFIG",
                fix="BUILD.md shows how to set it on each machine.",
            )
        return _multiworker()
    if name == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        devices = [device.name for device in tf.config.list_logical_devices(kind)]
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def _what_there_is(logical_cpus: int) -> str:
    if os.environ.get("TF_CONFIG"):
        return "multiworker"
    if logical_cpus > 1 or len(tf.config.list_physical_devices("GPU")) > 1:
        return "mirrored"
    return "single"


def _multiworker() -> tf.distribute.Strategy:
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"TF_CONFIG cannot be used ({error}). Received: {os.environ['TF_CONFIG']}",
            fix="BUILD.md shows how to set it on each machine.",
        ) from error
    return strategy


def share_of(strategy: tf.distribute.Strategy) -> Share:
    """Return this worker's part of the batches."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return Share()
    jobs = resolver.cluster_spec().as_dict()
    chiefs = len(jobs.get("chief", []))
    before = chiefs if resolver.task_type == "worker" else 0
    return Share(before + resolver.task_id, chiefs + len(jobs.get("worker", [])))


def check_batch_size(training: TrainingConfig, strategy: tf.distribute.Strategy) -> None:
    """Check that every replica gets equally many windows, so that a step is the same on any number of them.

    Raises:
      InputError: the batch cannot be divided like that.
    """
    devices, together = strategy.num_replicas_in_sync, training.recording_windows
    parts = devices * training.accumulation * together
    if training.batch_size % parts:
        raise InputError(
            f"training_batch_size must be a multiple of {parts}: {devices} devices, {training.accumulation} part(s) "
            f"each, {together} window(s) of a recording together. Received: {training.batch_size}"
        )


def distribute(
    strategy: tf.distribute.Strategy, batch: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """Return a worker's batch as one part for each of its replicas."""
    replicas = strategy.num_replicas_in_sync // share_of(strategy).count
    if replicas == strategy.num_replicas_in_sync == 1:
        return batch
    parts = {name: tf.split(value, replicas) for name, value in batch.items()}

    def part(context: tf.distribute.InputReplicaContext) -> dict[str, tf.Tensor]:
        number = context.replica_id_in_sync_group % replicas
        return {name: values[number] for name, values in parts.items()}

    distributed: dict[str, tf.Tensor] = strategy.experimental_distribute_values_from_function(part)
    return distributed
