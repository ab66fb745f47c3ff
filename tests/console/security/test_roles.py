"""A role may do what the ones before it may."""

from __future__ import annotations

from itertools import product

from spamfilter.console.security.roles import RANKS, Role


def test_roles_are_in_order() -> None:
    assert [*RANKS] == [*map(str, Role)]
    for (high, one), (low, other) in product(enumerate(Role), repeat=2):
        assert one.includes(other) is (high >= low)
