"""`serve` starts a console in the test's own loop, `served` is one with the defaults of the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from spamfilter.console.services import Engine, Learn, Undo
from tests.console.fakes import ExplainingEngine
from tests.console.serving import Served, Settings

Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """A function that starts a console and returns it; everything ends with the test."""
    started: list[Served] = []

    async def start(
        settings: Settings | None = None,
        *,
        engine: Engine | None = None,
        learn: Learn | None = None,
        undo: Undo | None = None,
        **options: Any,
    ) -> Served:
        served = Served(tmp_path, settings or Settings(), engine or ExplainingEngine(), learn, undo, **options)
        started.append(served)
        await served.start()
        return served

    yield start
    for served in started:
        await served.stop()


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A console with the defaults of the tests."""
    return await serve()
