"""The agenda with a clock of our own: settling, back-off, the brake."""

from __future__ import annotations

from pathlib import Path

from spamfilter.frontends.folder.agenda import Agenda, Backoff, Brake
from spamfilter.frontends.folder.names import Source
from spamfilter.frontends.folder.spool import Arrival, Claimed


def arrival(name: str, *, size: int = 1, source: Source = Source.IN) -> Arrival:
    return Arrival(source, name, inode=7, size=size, mtime_ns=0)


def claimed(name: str) -> Claimed:
    return Claimed("0" * 16, Source.IN, name, Path(name), 1)


def agenda(settle_s: float = 1.0, limit: int = 10) -> Agenda:
    return Agenda(settle_s, limit, Brake(Backoff(1.0, 8.0)))


def test_a_file_is_ready_when_it_was_seen_unchanged_for_long_enough() -> None:
    plan = agenda()
    plan.see(arrival("a"), 10.0)
    assert (plan.take(10.0), plan.next_due(10.0), plan.to_look_at(10.9)) == (None, 11.0, [])
    plan.see(arrival("a", size=2), 10.5)  # it grew: the time starts again
    assert plan.next_due(10.5) == 11.5
    plan.see(arrival("a", size=2), 11.4)
    assert plan.take(11.4) is None
    assert plan.to_look_at(11.5) == [(Source.IN, "a")]
    plan.see(arrival("a", size=2), 11.5)
    assert plan.take(11.5) == arrival("a", size=2) and plan.take(11.5) is None and plan.waiting == 0


def test_maildir_files_need_not_settle() -> None:
    plan = agenda()
    plan.see(arrival("a", source=Source.NEW), 0.0)
    assert plan.take(0.0) == arrival("a", source=Source.NEW)


def test_a_file_is_known_once_however_often_it_is_seen() -> None:
    plan = agenda(settle_s=0)
    for now in range(5):
        plan.see(arrival("a"), float(now))
    assert plan.waiting == 1 and plan.knows((Source.IN, "a"))
    assert plan.take(5.0) is not None and plan.take(5.0) is None and not plan.knows((Source.IN, "a"))


def test_the_number_of_names_is_bounded() -> None:
    plan = agenda(limit=3)
    for n in range(9):
        plan.see(arrival(str(n)), 0.0)
    assert plan.waiting == 3 and plan.full and not plan.half_empty


def test_files_that_vanish_are_forgotten() -> None:
    plan = agenda()
    plan.see(arrival("a"), 0.0)
    plan.missing([(Source.IN, "a"), (Source.IN, "never seen")])
    assert plan.waiting == 0 and plan.next_due(0.0) is None


def test_what_was_put_off_comes_when_it_is_due_and_first() -> None:
    plan = agenda(settle_s=0)
    plan.put_off(claimed("late"), 9.0)
    plan.put_off(claimed("soon"), 5.0)
    plan.see(arrival("new"), 0.0)
    assert plan.next_due(0.0) == 5.0
    assert plan.take(5.0) == claimed("soon")
    assert plan.take(5.0) == arrival("new")
    assert plan.take(8.9) is None and plan.take(9.0) == claimed("late")


def test_put_back_is_the_next_one_again() -> None:
    plan = agenda(settle_s=0)
    for name in "ab":
        plan.see(arrival(name), 0.0)
    first = plan.take(0.0)
    assert isinstance(first, Arrival)
    plan.put_back(first)
    assert plan.take(0.0) == first


def test_the_brake_stops_everything_and_opens_for_a_try() -> None:
    plan = agenda(settle_s=0)
    plan.see(arrival("a"), 0.0)
    plan.put_off(claimed("b"), 0.0)
    plan.brake.apply(0.0, "trouble")
    assert plan.take(0.9) is None and plan.next_due(0.5) == 1.0
    assert plan.take(1.0) == claimed("b")


def test_the_brake_holds_longer_each_time_until_it_is_released() -> None:
    brake = Brake(Backoff(1.0, 8.0))
    now, holds = 0.0, []
    for _ in range(5):
        brake.apply(now, "trouble")
        brake.apply(now + 0.5, "the same trouble, seen by another worker")
        holds.append(brake.until - now)
        now = brake.until
    assert holds == [1.0, 2.0, 4.0, 8.0, 8.0]
    brake.release()
    brake.apply(now, "trouble")
    assert brake.until - now == 1.0
