"""Which file is next, and when: settling, ready, put off; and the brake that stops everything while there is trouble.

Pure bookkeeping on one thread: no clock and no disk in here, `now` is always seconds of one monotonic clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from spamfilter.frontends.folder.names import Source
from spamfilter.frontends.folder.spool import Arrival, Claimed
from spamfilter.frontends.folder.watch import Key

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before the first further attempt; they double with each up to `most_s`."""

    first_s: float = 1.0
    most_s: float = 60.0

    def after(self, attempts: int) -> float:
        """How long to wait after that many failed attempts (1 or more)."""
        return min(self.first_s * 2.0 ** min(attempts - 1, 30), self.most_s)


@dataclass(slots=True)
class Brake:
    """Stops all work while the disk is full or the engine is down; said once when it closes, once when it opens.

    It opens for a moment when its time is over; the first file that gets through releases it, a further failure
    closes it again for longer.
    """

    backoff: Backoff
    part: str = "folder"
    reason: str = ""
    until: float = 0.0
    _times: int = 0

    def apply(self, now: float, reason: str, **details: object) -> None:
        """Close, for longer with each time in a row. No effect while it is closed."""
        if now < self.until:
            return
        if not self.reason:
            _log.warning(
                f"{self.part}.paused",
                reason=reason,
                effect="no file is taken; those in the folder wait where they are",
                **details,
            )
        self.reason = reason
        self._times += 1
        self.until = now + self.backoff.after(self._times)

    def release(self) -> None:
        """A file got through."""
        if self.reason:
            _log.info(f"{self.part}.resumed", after=self.reason)
        self.reason, self.until, self._times = "", 0.0, 0


@dataclass(slots=True)
class Agenda:
    """Files that are known and not yet in work: at most about `limit` unclaimed ones, by name only."""

    settle_s: float
    limit: int
    brake: Brake
    _settling: dict[Key, tuple[Arrival, float]] = field(default_factory=dict)
    _ready: deque[Arrival] = field(default_factory=deque)
    _known: set[Key] = field(default_factory=set)  # settling and ready
    _put_off: list[tuple[float, int, Claimed]] = field(default_factory=list)
    _count: int = 0

    def see(self, arrival: Arrival, now: float) -> None:
        """A file as it was at `now`. It is ready when it was seen unchanged for `settle_s`."""
        key = arrival.key
        if key in self._settling:
            earlier, since = self._settling[key]
            if not arrival.same_as(earlier):
                del self._settling[key]  # to the end: the dict stays ordered by time
                self._settling[key] = (arrival, now)
            elif now - since >= self.settle_s:
                del self._settling[key]
                self._ready.append(arrival)
        elif key not in self._known and not self.full:
            self._known.add(key)
            if arrival.source is Source.NEW or self.settle_s == 0:
                self._ready.append(arrival)
            else:
                self._settling[key] = (arrival, now)

    def missing(self, keys: Iterable[Key]) -> None:
        """These files are no longer there."""
        for key in keys:
            if self._settling.pop(key, None) is not None:
                self._known.discard(key)

    def to_look_at(self, now: float) -> list[Key]:
        """Files that have settled if they are still unchanged."""
        due: list[Key] = []
        for key, (_, since) in self._settling.items():
            if now - since < self.settle_s:
                break
            due.append(key)
        return due

    def put_off(self, claimed: Claimed, until: float) -> None:
        """Try a claimed file again at `until`."""
        self._count += 1
        heapq.heappush(self._put_off, (until, self._count, claimed))

    def put_back(self, arrival: Arrival) -> None:
        """An arrival that was taken and could not be claimed: it is the next one again."""
        if arrival.key not in self._known:
            self._known.add(arrival.key)
            self._ready.appendleft(arrival)

    def take(self, now: float) -> Arrival | Claimed | None:
        """The next file, or None. What was put off goes first: it is the oldest."""
        if now < self.brake.until:
            return None
        if self._put_off and self._put_off[0][0] <= now:
            return heapq.heappop(self._put_off)[2]
        if self._ready:
            arrival = self._ready.popleft()
            self._known.discard(arrival.key)
            return arrival
        return None

    def next_due(self, now: float) -> float | None:
        """When `take` or `to_look_at` will have more than at `now`; None: not before news come."""
        times = [self.brake.until] if self._ready else []
        if self._put_off:
            times.append(max(self._put_off[0][0], self.brake.until))
        times = [due for due in times if due > now]  # what is due already waits for a worker, not for a time
        if self._settling:
            times.append(next(iter(self._settling.values()))[1] + self.settle_s)
        return min(times, default=None)

    def knows(self, key: Key) -> bool:
        """True for a file that is settling or ready."""
        return key in self._known

    @property
    def settling(self) -> set[Key]:
        """The files that are watched for changes."""
        return set(self._settling)

    @property
    def full(self) -> bool:
        """True when no more names are taken in."""
        return len(self._known) >= self.limit

    @property
    def half_empty(self) -> bool:
        """True when it is time to look for more names, if some were left out."""
        return len(self._known) <= self.limit // 2

    @property
    def waiting(self) -> int:
        """How many files are known and not in work."""
        return len(self._known) + len(self._put_off)
