"""The daemon without scanning: all of it, composed around an engine that answers at once in the same process.

    python -m tests.bench.instant_daemon CONFIG

What it costs beside the daemon with its real engine is what scanning costs. The port stands on the first line of
standard output.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from spamfilter import config, log
from spamfilter.daemon import Daemon
from spamfilter.frontends.smtp import SmtpFrontend
from spamfilter.message import Message
from spamfilter.policy import Policy
from spamfilter.verdict import Failure, Score, Thresholds
from tests.bench.roads import announce

_SCORE = Score(0.01, {"ngram": 0.01, "facts": 0.01, "gpt": 0.01}, "instant-00000000", {"document": 1.0, "ngram": 1.0})


class InstantEngine:
    """As a real engine seems from outside, with one answer for all."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self, grace_s: float) -> None:
        """Nothing to stop."""

    async def score(self, message: Message) -> Score | Failure:
        """Ham."""
        return _SCORE


def ready(daemon: Daemon) -> None:
    """Say where mail goes in."""
    smtp = daemon.frontends["smtp"]
    assert isinstance(smtp, SmtpFrontend)
    announce(smtp.address.port)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    settings = config.load(parser.parse_args().config)
    log.configure(settings.log.level, settings.log.format)
    policy = Policy(Thresholds(unsure_at=0.5, spam_at=0.9), settings.policy.actions, settings.policy.failures)

    async def life() -> None:
        await Daemon(settings, policy, InstantEngine()).run(ready)

    asyncio.run(life())


if __name__ == "__main__":
    main()
