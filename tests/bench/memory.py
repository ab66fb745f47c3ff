"""Whether the engine's memory creeps: RSS of the caller and of its worker over many real mails, as defaults have it."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Sequence
from typing import Any

import psutil
from rich.table import Table

from spamfilter import config
from spamfilter.classifier.bundle import default_bundle, open_bundle
from spamfilter.engine.pool import EnginePool
from spamfilter.message import Message
from spamfilter.operating_point import resolve_policy, serving_options
from spamfilter.verdict import Failure
from tests.bench import report
from tests.bench.mails import Drawn

MOST_GROWTH = 0.05
_WAITING = 32


def over_messages(raws: Sequence[bytes], messages: int, cascade: bool, core: int) -> dict[str, Any]:
    """So many messages, the mails over and over with a line of their own so that no text is known from before.

    RSS in MB of this process and of the worker, after 0, a tenth and all, with seconds and failures. The worker is not
    replaced meanwhile, so that what is seen is its own growth.
    """
    return asyncio.run(_over(raws, messages, cascade, core))


async def _over(raws: Sequence[bytes], messages: int, cascade: bool, core: int) -> dict[str, Any]:
    kept = messages + 1  # the worker is not replaced
    chosen = config.load(environ={}, engine__workers=1, engine__cascade=cascade, engine__recycle_after=kept)
    policy = resolve_policy(chosen.policy, open_bundle(default_bundle()))
    options = serving_options(chosen, policy)
    async with EnginePool(chosen.engine, default_bundle(), options=options) as pool:
        [worker] = [worker.pid for worker in pool.stats.workers]
        os.sched_setaffinity(worker, {core})
        points, failed, started = [_point(0, worker)], 0, time.perf_counter()
        numbers = itertools.count()
        with report.progress("messages") as bar:
            task = bar.add_task("messages", total=messages)
            for least, most in ((0, messages // 10), (messages // 10, messages)):
                left = itertools.count(least)

                async def caller(left: itertools.count[int] = left, most: int = most) -> int:
                    failures = 0
                    while next(left) < most:
                        number = next(numbers)
                        raw = raws[number % len(raws)] + f"\nmessage {number}\n".encode()
                        failures += isinstance(await pool.score(Message(raw, "bench")), Failure)
                        bar.advance(task)
                    return failures

                failed += sum(await asyncio.gather(*(caller() for _ in range(_WAITING))))
                points.append(_point(most, worker))
    return {
        "points": points,
        "failed": failed,
        "seconds": round(time.perf_counter() - started, 1),
        "growth": {who: round(points[2][who] / points[1][who] - 1, 4) for who in ("caller_mb", "worker_mb")},
        "growth_wanted": MOST_GROWTH,
        "settings": {"recycle_after": "not reached", **options},
    }


def _point(messages: int, worker: int) -> dict[str, Any]:
    own, its = (psutil.Process(pid).memory_info().rss / 1e6 for pid in (os.getpid(), worker))
    return {"messages": messages, "caller_mb": round(own, 1), "worker_mb": round(its, 1)}


def table(how: dict[str, Any], drawn: Drawn) -> Table:
    """Who, RSS at each point, growth from the second to the last, and whether that is as wanted."""
    points = how["points"]
    rows = []
    for who, key in (("caller (mails, loop, pool)", "caller_mb"), ("worker", "worker_mb")):
        growth = how["growth"][key]
        kept = "yes" if growth <= MOST_GROWTH else "NO"
        rows.append((who, *(f"{point[key]:.1f}" for point in points), f"{100 * growth:+.1f} %", kept))
    columns = [f"after {point['messages']:,}" for point in points]
    made = report.table(("RSS in MB", *columns, "growth", f"<= {100 * MOST_GROWTH:g} %"), rows)
    made.caption = (
        f"{drawn.about()}; over and over, each with a line of its own; {_WAITING} waiting, one worker, not replaced; "
        f"{how['failed']} failed; {how['seconds']:.0f} s. Growth: from the second point to the last"
    )
    return made
