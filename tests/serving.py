"""A daemon over a scripted engine, in this process or as one of its own: `python -m tests.serving KEY=VALUE...`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import yaml

from spamfilter import config, log
from spamfilter.daemon import Daemon
from spamfilter.policy import Policy
from tests.fakes import THRESHOLDS, FakeEngine


class StartableEngine(FakeEngine):
    """A fake engine with a life, that notes it."""

    def __init__(self, notes: list[str] | None = None) -> None:
        super().__init__()
        self.notes = [] if notes is None else notes

    async def start(self) -> None:
        self.notes.append("start engine")

    async def stop(self, grace_s: float) -> None:
        self.notes.append("stop engine")


def settings(state_dir: Path, **overrides: Any) -> config.Config:
    """Defaults in a folder of the test's own, on a free port."""
    free = {"smtp__listen": "127.0.0.1:0", "console__listen": "127.0.0.1:0"}
    return config.load(environ={}, state_dir=str(state_dir), **{**free, **overrides})


def daemon(loaded: config.Config, engine: StartableEngine | None = None) -> Daemon:
    """A real daemon; only the engine is scripted. Messages with b"VIAGRA" are spam."""
    return Daemon(
        loaded, Policy(THRESHOLDS, loaded.policy.actions, loaded.policy.failures), engine or StartableEngine()
    )


def main(arguments: list[str]) -> None:
    """Serve until a signal comes; print `ready PORT` when mail may come."""
    overrides = {key: yaml.safe_load(value) for key, _, value in (argument.partition("=") for argument in arguments)}
    loaded = settings(Path(overrides.pop("state_dir")), **overrides)
    log.configure("info", "json")

    def ready(served: Daemon) -> None:
        smtp = served.frontends.get("smtp")
        print("ready", getattr(smtp, "address", "-"), flush=True)

    asyncio.run(daemon(loaded).run(ready))


if __name__ == "__main__":
    main(sys.argv[1:])
