"""Stages of a pipeline that work at the same time: each in a thread, with few items between one and the next."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Behind the last item; `error` is what ended the stage, None if it simply had no more."""

    def __init__(self, error: BaseException | None):
        self.error = error


def ahead(items: Iterable[T], count: int = 2) -> Generator[T, None, None]:
    """The same items, produced by a thread that is up to `count` of them ahead of who takes them.

    What the producer raises is raised here, behind the items before it. Whatever ends the iteration early (an
    exception, `close`) ends the thread, and closes `items`, before it goes on; so in a chain of stages all threads
    end with any of them.

    Args:
      items: an iterator; used by the thread alone.
      count: most items that are there at one time, the one being made included.
    """
    made: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    room = threading.Semaphore(count)
    given_up = threading.Event()

    def produce() -> None:
        error: BaseException | None = None
        try:
            with closing(items) as iterator:
                while room.acquire() and not given_up.is_set():
                    made.put(next(iterator))
        except StopIteration:
            pass
        # Whatever it is, it must reach the caller.
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
            # Not before it has been dealt with.
            del item
            room.release()
    finally:
        given_up.set()
        room.release()
        thread.join()


@contextlib.contextmanager
def closing(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """An iterator over the items; at the end of the block they are closed, if they are of a kind that can be.

    A stage that is a generator needs this for what it reads from: an error in it alone would not end the stages before.
    """
    iterator = iter(items)
    try:
        yield iterator
    finally:
        close = getattr(iterator, "close", None)
        if close:
            close()
