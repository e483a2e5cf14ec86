"""Run the stages of a pipeline at the same time: each in a thread, with few items between one and the next."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Marks the end of a stage; `error` is the exception that ended it, None for a plain end."""

    def __init__(self, error: BaseException | None):
        self.error = error


def prefetch(items: Iterable[T], count: int = 2) -> Generator[T, None, None]:
    """Yield the same items, produced by a thread that works up to `count` of them ahead of the consumer.

    An exception of the producer is raised here, after the items before it. An early end of the iteration (an exception,
    `close`) first ends the thread and closes `items`, so that all threads of a chain of stages end with any of them.

    Args:
      items: an iterator that the thread alone uses.
      count: items that exist at one time at most, including the one in production.
    """
    made: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    room = threading.Semaphore(count)
    abandoned = threading.Event()

    def produce() -> None:
        error: BaseException | None = None
        try:
            with closing(items) as iterator:
                while room.acquire() and not abandoned.is_set():
                    made.put(next(iterator))
        except StopIteration:
            pass
        # Every exception must reach the caller.
        except BaseException as raised:
            error = raised
        made.put(_End(error))

    thread = threading.Thread(target=produce, name="tfamt-stage", daemon=True)
    thread.start()
    try:
        while True:
            item = made.get()
            if isinstance(item, _End):
                if item.error:
                    raise item.error
                return
            yield item
            # The place is free only after the consumer is done with the item.
            del item
            room.release()
    finally:
        abandoned.set()
        room.release()
        thread.join()


@contextlib.contextmanager
def closing(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Return an iterator over the items, which is closed at the end of the block if it can be.

    A stage that is a generator needs this for its source: an exception in the generator alone would not end the stages
    before it.
    """
    iterator = iter(items)
    try:
        yield iterator
    finally:
        close = getattr(iterator, "close", None)
        if close:
            close()
