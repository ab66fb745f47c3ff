"""A served folder for tests: settings with short times, and waiting for what shows on disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from spamfilter.config import FolderSettings
from spamfilter.frontends.folder import FolderFrontend
from spamfilter.frontends.folder.agenda import Backoff
from spamfilter.headers import Markup
from spamfilter.policy import Policy
from tests.fakes import FakeEngine, FakeLog, fake_scanner

MARKUP = Markup("mx.example.org")
HAM = b"From: ann@example.org\nSubject: lunch\n\nAt noon?\n"
SPAM = b"From: x@example.net\nSubject: offer\n\nVIAGRA cheap\n"
LIMIT = 1024 * 1024


@pytest.fixture(autouse=True)
def quick_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """watchdog holds events back for half a second after each rename out of a folder. Here, briefly."""
    monkeypatch.setattr(InotifyMoveEventGrouper, "delay", 0.02)


def settings(**changes: Any) -> FolderSettings:
    """Settings for tests: files settle at once, rescans are far away, so that events have to do the work."""
    values: dict[str, Any] = {
        "enabled": True,
        "path": "folder",
        "rescan_s": 600.0,
        "settle_s": 0.0,
        "min_free_mib": 0,
        "concurrency": 4,
    }
    return FolderSettings(**{**values, **changes})


def frontend(
    root: Path,
    *,
    engine: FakeEngine | None = None,
    log: FakeLog | None = None,
    policy: Policy | None = None,
    limit: int = LIMIT,
    **changes: Any,
) -> FolderFrontend:
    """A frontend over fakes, not yet started."""
    scanner = fake_scanner(engine, log, policy)
    return FolderFrontend(settings(**changes), root, scanner, MARKUP, limit, backoff=Backoff(0.02, 0.1))


@asynccontextmanager
async def served(root: Path, grace_s: float = 10.0, **options: Any) -> AsyncIterator[FolderFrontend]:
    """A started frontend that is stopped at the end."""
    front = frontend(root, **options)
    await front.start()
    try:
        yield front
    finally:
        await front.stop(grace_s)


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for what another thread or process does on disk, which sends no event."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the awaited state did not come"
        await asyncio.sleep(0.01)


def files(root: Path, *folders: str) -> list[Path]:
    """Every file below these folders, hidden ones too, locks left out."""
    found = (p for folder in folders for p in (root / folder).rglob("*"))
    return sorted(p for p in found if not p.is_dir() and p.suffix != ".lock")


def drop(path: Path, content: bytes) -> Path:
    """Write a file as a careful writer does: in another folder, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.parent.with_name(f".{path.name[:100]}.writing")
    hidden.write_bytes(content)
    return hidden.rename(path)
