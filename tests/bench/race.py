"""Several scanners, the same mails, one core: in rounds, each in its turn, so that a noisy machine hits all alike."""

from __future__ import annotations

import math
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import psutil

from tests.bench import report
from tests.bench.figures import mean, per_second, percentile
from tests.bench.mails import Mail


class Absent(Exception):
    """A contestant cannot take part; says what to install or what went wrong."""


class Contestant(Protocol):
    """Scans mails. What it starts, it ends in `stop`, also after a `start` that failed."""

    name: str
    how: str
    """Version and settings, for a reader who wants to judge whether it was treated well."""

    def start(self) -> None:
        """Be ready. Raises Absent."""
        ...

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """Milliseconds from the bytes to the verdict by mail; empty where mails are not answered one by one."""
        ...

    def pids(self) -> list[int]:
        """The processes that do the work, this one excepted."""
        ...

    def stop(self) -> None:
        """End everything."""
        ...


@dataclass(slots=True)
class Tally:
    """What one contestant has done so far."""

    name: str
    how: str
    mails: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    rss_mb: float | None = None
    absent: str | None = None

    @property
    def rate(self) -> float:
        """Messages a second over all rounds."""
        return per_second(self.mails, self.seconds)

    @property
    def middle(self) -> float:
        """The median of the rounds' rates: what a burst of somebody else's work in one round does not move."""
        return statistics.median(self.rounds)

    @property
    def cpu_ms(self) -> float:
        """Processor time a mail of all who took part, this process and the client included: blind to other work."""
        return 1e3 * self.cpu_seconds / self.mails if self.mails else math.nan

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        if self.absent is not None:
            return {"absent": self.absent}
        figures: dict[str, Any] = {"how": self.how, "mails": self.mails, "mean_bytes": round(self.bytes / self.mails)}
        figures["per_second"] = round(self.rate, 2)
        figures["per_second_by_round"] = [round(rate, 2) for rate in self.rounds]
        figures["cpu_ms"] = round(self.cpu_ms, 4)
        if self.milliseconds:
            figures["ms"] = {
                "mean": round(mean(self.milliseconds), 3),
                **{f"p{share:g}": round(percentile(self.milliseconds, share / 100), 3) for share in (50, 95, 99)},
            }
        if self.rss_mb is not None:
            figures["rss_mb"] = round(self.rss_mb, 1)
        return figures

    def row(self) -> tuple[str, ...]:
        """Name, mails, rate, median and range of the rounds' rates, processor time, three percentiles, memory."""
        if self.absent is not None:
            return f"{self.name}: {self.absent}", *[""] * (len(COLUMNS) - 1)
        shares = (0.5, 0.95, 0.99)
        tail = [f"{percentile(self.milliseconds, share):.2f}" if self.milliseconds else "-" for share in shares]
        spread = f"{min(self.rounds):.4g} - {max(self.rounds):.4g}"
        rss = "-" if self.rss_mb is None else f"{self.rss_mb:.0f}"
        return (
            self.name,
            str(self.mails),
            f"{self.rate:.4g}",
            f"{self.middle:.4g}",
            spread,
            f"{self.cpu_ms:.2f}",
            *tail,
            rss,
        )


COLUMNS = ("who", "mails", "msg/s", "median", "by round", "CPU ms", "p50 ms", "p95", "p99", "RSS MB")


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """This process, and what it starts, on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run(
    contestants: Sequence[Contestant],
    mails: Sequence[Mail],
    *,
    rounds: int,
    part: Callable[[Contestant], float] = lambda _: 1.0,
    warm_up: int = 10,
) -> dict[str, Tally]:
    """Name -> tally. `part`: the share of each round's mails that a slow contestant scans."""
    tallies = {who.name: Tally(who.name, who.how) for who in contestants}
    ready: list[Contestant] = []
    try:
        for who in contestants:
            print(f"starting {who.name}", file=sys.stderr)
            ready.append(who)
            try:
                who.start()
                who.scan(mails[:warm_up])
            except Absent as reason:
                tallies[who.name].absent = str(reason)
                ready.pop().stop()
            tallies[who.name].how = who.how
        _rounds(ready, mails, rounds, part, tallies)
    finally:
        for who in ready:
            who.stop()
    return tallies


def _rounds(
    ready: Sequence[Contestant],
    mails: Sequence[Mail],
    rounds: int,
    part: Callable[[Contestant], float],
    tallies: dict[str, Tally],
) -> None:
    """A contestant that fails on the way is out from then on, and has no figure."""
    size = -(-len(mails) // rounds)
    with report.progress("rounds") as bar:
        task = bar.add_task("rounds", total=rounds * len(ready))
        for number in range(rounds):
            batch = mails[number * size : (number + 1) * size]
            turn = number % max(len(ready), 1)
            for who in [*ready[turn:], *ready[:turn]]:
                given = batch[: max(1, round(part(who) * len(batch)))]
                tally = tallies[who.name]
                bar.advance(task)
                if tally.absent is not None:
                    continue
                started, busy = time.perf_counter(), _cpu_seconds(who)
                try:
                    tally.milliseconds += who.scan(given)
                except Absent as reason:
                    tally.absent = str(reason)
                    continue
                seconds = time.perf_counter() - started
                tally.cpu_seconds += _cpu_seconds(who) - busy
                tally.mails += len(given)
                tally.bytes += sum(len(mail.raw) for mail in given)
                tally.seconds += seconds
                tally.rounds.append(len(given) / seconds)
                tally.rss_mb = rss_mb(who.pids())


def _cpu_seconds(who: Contestant) -> float:
    """Of this process, of those that it has started and that have ended, and of the contestant's, with the children
    that those have replaced."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = [psutil.Process(pid).cpu_times() for pid in who.pids()]
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(sum(each[:4]) for each in times)


def rss_mb(pids: Sequence[int]) -> float | None:
    """Resident memory of these processes in MB (10^6 bytes), shared pages counted in each; None of none."""
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6 if pids else None
