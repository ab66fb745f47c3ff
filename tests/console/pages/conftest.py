"""`taught`: a console that can teach, over real labels and a real memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.conftest import Serve
from tests.console.pages.mail import Reading, Teaching
from tests.console.serving import Served


@pytest.fixture
async def taught(serve: Serve, tmp_path: Path) -> AsyncIterator[Served]:
    """A console whose decisions can be corrected."""
    teaching = Teaching(tmp_path)
    served = await serve(engine=Reading(), learn=teaching.learn, undo=teaching.undo)
    teaching.store.open()
    yield served
    teaching.store.close()
