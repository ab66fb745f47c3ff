"""Pools with scripted classifiers, and a quiet log for those that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from spamfilter import config
from spamfilter.engine.pool import EnginePool
from tests.engine import scripted
from tests.engine.pool_setup import Gate


@pytest.fixture
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., EnginePool]:
    """Make a pool with scripted classifiers; keyword arguments override settings."""

    def make(
        factory: str = scripted.FACTORY,
        memory_limit_mib: int = 0,
        options: dict[str, Any] | None = None,
        **over: Any,
    ) -> EnginePool:
        settings = config.load(environ={}).engine.model_copy(update={"deadline_s": 60.0, **over})
        return EnginePool(
            settings, tmp_path, factory=factory, options=options, memory_limit_mib=memory_limit_mib, start_timeout_s=30
        )

    return make


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")
