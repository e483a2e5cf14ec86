"""Sum gradients over replicas and over parts of a batch."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Batch = dict[str, tf.Tensor]


def sum_over_replicas(values: list[tf.Tensor], replicas: int) -> list[tf.Tensor]:
    """Return sums over all replicas; must be called in a replica."""
    if replicas == 1:
        return values
    context = tf.distribute.get_replica_context()
    summed: list[tf.Tensor] = context.all_reduce(tf.distribute.ReduceOp.SUM, values)
    return summed


def sum_over_parts(
    add: Callable[[Batch], tuple[list[tf.Tensor], Batch]], batch: Batch, parts: int
) -> tuple[list[tf.Tensor], Batch]:
    """Return the sum of `add` over equal parts of a batch, one part in memory at a time."""
    pieces = {
        name: tf.stack(tf.split(value, parts)) for name, value in batch.items() if value.shape.rank
    }
    first = add({name: value[0] for name, value in pieces.items()})

    def body(number: tf.Tensor, sums: tuple[list[tf.Tensor], Batch]) -> tuple[tf.Tensor, object]:
        addends = add({name: value[number] for name, value in pieces.items()})
        return number + 1, tf.nest.map_structure(tf.add, sums, addends)

    _, sums = tf.while_loop(
        lambda number, _: number < parts, body, (tf.constant(1), first), parallel_iterations=1
    )
    return sums  # type: ignore[no-any-return]
