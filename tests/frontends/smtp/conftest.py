"""A scripted next hop, ready, for tests that need no special one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.frontends.smtp.scripted_hop import ScriptedHop


@pytest.fixture
async def hop() -> AsyncIterator[ScriptedHop]:
    async with ScriptedHop() as hop:
        yield hop
