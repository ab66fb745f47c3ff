"""Sessions: they end by themselves, and there are never too many."""

from __future__ import annotations

import pytest

from spamfilter.console.security import sessions as module
from spamfilter.console.security.roles import Role, User
from spamfilter.console.security.sessions import Sessions

ANN, BOB = User("ann", Role.ADMIN), User("bob", Role.VIEWER)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(10.0, 25.0, clock)


def test_a_session_lasts_while_it_is_used_but_not_for_ever(sessions: Sessions, clock: Clock) -> None:
    ident = sessions.open(ANN)
    for clock.now in (9.0, 18.0, 25.0):
        found = sessions.find(ident)
        assert found is not None and found.user == ANN
    clock.now = 25.1
    assert sessions.find(ident) is None


def test_an_idle_one_ends(sessions: Sessions, clock: Clock) -> None:
    ident = sessions.open(ANN)
    clock.now = 10.1
    assert sessions.find(ident) is None
    clock.now = 0.0
    assert sessions.find(ident) is None


def test_ids_and_secrets_are_never_the_same(sessions: Sessions) -> None:
    idents = {sessions.open(ANN) for _ in range(50)}
    assert len(idents) == 50
    assert len({found.csrf for ident in idents if (found := sessions.find(ident))}) == 50


def test_a_vouched_user_has_a_secret_of_its_own_and_leaves_nothing(sessions: Sessions) -> None:
    ann, bob = sessions.vouched(ANN), sessions.vouched(BOB)
    assert ann.user == ANN and ann.csrf == sessions.vouched(ANN).csrf != bob.csrf
    assert Sessions(10.0, 25.0).vouched(ANN).csrf != ann.csrf
    assert sessions.find(ann.csrf) is None


def test_all_of_one_user_end_and_nobody_elses(sessions: Sessions) -> None:
    first, second, other = sessions.open(ANN), sessions.open(ANN), sessions.open(BOB)
    sessions.close_all("ann")
    assert sessions.find(first) is None and sessions.find(second) is None
    assert sessions.find(other) is not None


def test_the_one_that_was_not_used_for_longest_makes_room(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 2)
    first, second = sessions.open(ANN), sessions.open(BOB)
    sessions.find(first)
    sessions.open(ANN)
    assert sessions.find(second) is None
    assert sessions.find(first) is not None
