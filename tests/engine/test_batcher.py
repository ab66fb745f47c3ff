"""The queue: bounds, order, greedy batches, suspects alone."""

from __future__ import annotations

import asyncio

import pytest

from spamfilter.engine import batcher
from spamfilter.engine.batcher import MAX_BATCH_BYTES, MOST_EXPLANATIONS, Batcher, Pending
from spamfilter.engine.frames import Ask
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind

DOWN = Failure(FailureKind.ENGINE_DOWN)


def pending(size: int = 10) -> Pending:
    return Pending(Message(b"x" * size, "cli"), asyncio.get_running_loop().create_future(), 0.0)


def unexplained(size: int = 10) -> Pending:
    return Pending(
        Message(b"x" * size, "cli"), asyncio.get_running_loop().create_future(), 0.0, ask=Ask.EXPLAIN, seconds=1.0
    )


async def test_takes_all_that_waits_up_to_a_batch_in_order() -> None:
    queue = Batcher(batch=3, max_messages=10, max_bytes=1000)
    several = [pending() for _ in range(5)]
    assert all(queue.offer(one) for one in several)
    assert queue.take() == several[:3]
    assert queue.take() == several[3:]
    assert queue.take() == []
    assert (len(queue), queue.bytes) == (0, 0)


async def test_bounded_by_count() -> None:
    queue = Batcher(batch=3, max_messages=2, max_bytes=1000)
    assert [queue.offer(pending()) for _ in range(3)] == [True, True, False]
    queue.take()
    assert queue.offer(pending())


async def test_bounded_by_bytes() -> None:
    queue = Batcher(batch=3, max_messages=10, max_bytes=25)
    assert [queue.offer(pending()) for _ in range(3)] == [True, True, False]
    assert queue.offer(pending(5))
    assert queue.bytes == 25


async def test_a_message_above_the_byte_limit_passes_an_empty_queue_only() -> None:
    queue = Batcher(batch=3, max_messages=10, max_bytes=25)
    assert queue.offer(pending(100))
    assert not queue.offer(pending(1))
    queue.take()
    assert queue.offer(pending(1))
    assert not queue.offer(pending(100))


async def test_a_batch_is_bounded_by_bytes_but_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher, "MAX_BATCH_BYTES", 30)
    queue = Batcher(batch=8, max_messages=10, max_bytes=1000)
    sizes = [50, 10, 15, 6, 1]
    several = [pending(size) for size in sizes]
    for one in several:
        queue.offer(one)
    assert [[len(one.message.raw) for one in queue.take()] for _ in range(3)] == [[50], [10, 15], [6, 1]]


async def test_suspects_go_first_and_alone_and_are_never_refused() -> None:
    queue = Batcher(batch=8, max_messages=2, max_bytes=1000)
    newcomers, suspects = [pending(), pending()], [pending(), pending()]
    for one in newcomers:
        queue.offer(one)
    for one in suspects:
        queue.put_back(one)
    assert queue.suspects == 2
    assert [queue.take() for _ in range(3)] == [[suspects[0]], [suspects[1]], newcomers]


async def test_discard_frees_the_place_and_is_harmless_twice() -> None:
    queue = Batcher(batch=8, max_messages=2, max_bytes=20)
    first, second = pending(), pending()
    queue.offer(first)
    queue.put_back(second)
    for one in (first, first, second):
        queue.discard(one)
    assert (first in queue, len(queue), queue.bytes) == (False, 0, 0)
    assert queue.offer(pending(20))


async def test_drain_empties_both_lanes() -> None:
    queue = Batcher(batch=8, max_messages=5, max_bytes=100)
    first, second = pending(), pending()
    queue.offer(first)
    queue.put_back(second)
    assert queue.drain() == [second, first]
    assert (len(queue), queue.bytes) == (0, 0)


async def test_only_the_first_answer_counts_and_none_reaches_a_caller_who_has_gone() -> None:
    one = pending()
    assert one.answer(DOWN)
    assert not one.answer(Failure(FailureKind.TIMEOUT))
    assert one.outcome.result() is DOWN
    gone = pending()
    gone.outcome.cancel()
    assert not gone.answer(DOWN)


async def test_what_is_to_be_explained_goes_last_alone_and_only_where_it_may() -> None:
    queue = Batcher(batch=3, max_messages=10, max_bytes=1000)
    first, second, mail, suspect = unexplained(), unexplained(), pending(), pending()
    assert all(queue.offer(one) for one in (first, second, mail))
    queue.put_back(suspect)
    assert (len(queue), first in queue, queue.bytes) == (4, True, 20)
    assert queue.take() == [suspect]
    assert queue.take() == [mail]
    assert queue.take(explain=False) == []
    assert queue.take() == [first]
    queue.discard(second)
    assert (len(queue), queue.bytes, queue.take()) == (0, 0, [])
    queue.offer(second)
    assert queue.drain() == [second]


async def test_what_is_to_be_explained_takes_no_room_from_mail() -> None:
    queue = Batcher(batch=3, max_messages=2, max_bytes=25)
    assert [queue.offer(unexplained()) for _ in range(MOST_EXPLANATIONS + 1)] == [True] * MOST_EXPLANATIONS + [False]
    assert [queue.offer(pending()) for _ in range(3)] == [True, True, False]
    queue = Batcher(batch=3, max_messages=2, max_bytes=25)
    assert [queue.offer(unexplained(MAX_BATCH_BYTES)) for _ in range(2)] == [True, False]
