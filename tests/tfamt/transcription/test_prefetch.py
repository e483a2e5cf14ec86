"""Test stages in threads: order, bounds, and that all threads end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tfamt.transcription.prefetch import closing, prefetch


def stages() -> int:
    return sum(thread.name == "tfamt-stage" for thread in threading.enumerate())


def test_the_same_items_in_order_through_several_stages() -> None:
    squares = prefetch((number**2 for number in prefetch(range(100), 3)), 2)
    assert list(squares) == [number**2 for number in range(100)]
    assert stages() == 0


def test_the_producer_is_never_further_ahead_than_the_limit() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    for number in prefetch(numbers(), 3):
        time.sleep(0.002)
        # Those taken, the one in hand, and what there is room for.
        assert len(made) <= number + 3
    assert made == list(range(20))


def test_it_works_while_the_taker_works() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def numbers() -> Iterator[int]:
        yield 0
        meeting.wait()
        yield 1

    items = prefetch(numbers())
    assert next(items) == 0
    # In one thread, neither would get past this.
    meeting.wait()
    assert list(items) == [1]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_stage_ends_all_and_reaches_the_caller(failing: int) -> None:
    closed: list[int] = []

    def stage(number: int, items: Iterator[int]) -> Iterator[int]:
        try:
            with closing(items) as received:
                for item in received:
                    if number == failing and item == 5:
                        raise OverflowError(f"stage {number}")
                    yield item
        finally:
            closed.append(number)

    chain: Iterator[int] = iter(range(1000))
    for number in range(3):
        chain = prefetch(stage(number, chain))
    seen = []
    with pytest.raises(OverflowError, match=f"stage {failing}"):
        for item in chain:
            seen.append(item)
    assert seen == [0, 1, 2, 3, 4]
    assert sorted(closed) == [0, 1, 2]
    assert stages() == 0


def test_a_taker_that_stops_ends_all() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    def fail() -> None:
        for _ in items:
            raise KeyboardInterrupt

    items = prefetch(prefetch(endless()))
    with pytest.raises(KeyboardInterrupt):
        fail()
    items.close()
    assert closed.is_set()
    assert stages() == 0
