"""Slows down who guesses passwords, and nobody else.

Failures are counted for the place they come from, and for the account that is tried. After some of them the next try
has to wait, each time twice as long. An account's own count never holds up a place from which its password has been
given rightly before: strangers cannot lock anybody out.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from spamfilter.console.security.caller import network_of

FREE_TRIES = 5
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 900.0
FORGOTTEN_S = 3600.0
_MOST_KEPT = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class LoginLimit:
    """Counts failed sign-ins in the daemon's memory. Times are seconds of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait_s(self, address: str, name: str) -> float:
        """How long this place has to wait before it may try this account; 0 where it may now."""
        place = network_of(address)
        wait = self._wait_s(("place", place))
        if (place, name) not in self._known:
            wait = max(wait, self._wait_s(("account", name)))
        return wait

    def failed(self, address: str, name: str) -> None:
        """Note a wrong password."""
        now = self._clock()
        for key in (("place", network_of(address)), ("account", name)):
            before = self._failures.pop(key, None)
            stale = before is None or now - before.last > FORGOTTEN_S
            self._failures[key] = _Failures(1 if before is None or stale else before.count + 1, now)
        while len(self._failures) > _MOST_KEPT:
            self._failures.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Note a right password: this place is known for this account, and its failures are forgiven."""
        place = network_of(address)
        self._failures.pop(("place", place), None)
        self._known.pop((place, name), None)
        self._known[(place, name)] = None
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)

    def _wait_s(self, key: tuple[str, str]) -> float:
        failures = self._failures.get(key)
        if failures is None or failures.count < FREE_TRIES:
            return 0.0
        passed = self._clock() - failures.last
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures.count - FREE_TRIES, 20))
        return max(0.0, wait - passed)
