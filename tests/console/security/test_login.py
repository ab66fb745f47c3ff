"""Guessing costs time, for who guesses and nobody else."""

from __future__ import annotations

import pytest

from spamfilter.console.security.login import FREE_TRIES, LONGEST_WAIT_S, LoginLimit


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> LoginLimit:
    return LoginLimit(clock)


def fail(limit: LoginLimit, address: str, name: str, times: int) -> None:
    for _ in range(times):
        limit.failed(address, name)


def test_each_failure_beyond_the_free_ones_doubles_the_wait(limit: LoginLimit, clock: Clock) -> None:
    fail(limit, "192.0.2.1", "ann", FREE_TRIES - 1)
    assert limit.wait_s("192.0.2.1", "ann") == 0
    waits = []
    for _ in range(4):
        limit.failed("192.0.2.1", "ann")
        waits.append(limit.wait_s("192.0.2.1", "ann"))
    assert waits == [2, 4, 8, 16]
    clock.now += 15.5
    assert limit.wait_s("192.0.2.1", "ann") == 0.5
    fail(limit, "192.0.2.1", "ann", 500)
    assert limit.wait_s("192.0.2.1", "ann") == LONGEST_WAIT_S


def test_one_place_that_tries_many_names_waits_for_all_of_them(limit: LoginLimit) -> None:
    for number in range(FREE_TRIES):
        limit.failed("192.0.2.1", f"name{number}")
    assert limit.wait_s("192.0.2.1", "somebody new") > 0
    assert limit.wait_s("192.0.2.2", "somebody new") == 0


def test_many_places_that_try_one_name_wait_for_it(limit: LoginLimit) -> None:
    for number in range(FREE_TRIES):
        limit.failed(f"192.0.2.{number}", "ann")
    assert limit.wait_s("198.51.100.1", "ann") > 0
    assert limit.wait_s("198.51.100.1", "bob") == 0


def test_strangers_do_not_lock_out_whoever_was_here_before(limit: LoginLimit) -> None:
    limit.succeeded("203.0.113.5", "ann")
    for number in range(50):
        limit.failed(f"192.0.2.{number}", "ann")
    assert limit.wait_s("203.0.113.5", "ann") == 0
    assert limit.wait_s("192.0.2.99", "ann") > 0


def test_an_ipv6_network_is_one_place(limit: LoginLimit) -> None:
    for number in range(FREE_TRIES):
        limit.failed(f"2001:db8::{number}", "ann")
    assert limit.wait_s("2001:db8::ffff", "bob") > 0
    assert limit.wait_s("2001:db8:0:1::1", "bob") == 0


def test_failures_are_forgiven_by_success_and_forgotten_with_time(limit: LoginLimit, clock: Clock) -> None:
    fail(limit, "192.0.2.1", "ann", FREE_TRIES)
    limit.succeeded("192.0.2.1", "ann")
    assert limit.wait_s("192.0.2.1", "ann") == 0
    fail(limit, "192.0.2.2", "bob", FREE_TRIES)
    clock.now += 4000
    limit.failed("192.0.2.2", "bob")
    assert limit.wait_s("192.0.2.2", "bob") == 0


def test_what_is_kept_is_bounded(limit: LoginLimit) -> None:
    for number in range(12_000):
        limit.failed(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", f"n{number}")
    assert len(limit._failures) <= 10_000
