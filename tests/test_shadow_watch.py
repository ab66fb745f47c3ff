"""A model in the shadow comes and goes as it is told, and never changes an answer."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import default_bundle
from spamfilter.config import load
from spamfilter.message import Message
from spamfilter.shadow import choose, shadow_file
from spamfilter.shadow_watch import ShadowWatch
from spamfilter.verdict import Failure, Score

MAIL = b"From: A <a@example.org>\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: lunch\n\nlunch on monday?\n"


class Current:
    """The model in service."""

    async def score(self, message: Message) -> Score | Failure:
        return Score(0.25, {}, "current-1")


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - another process and a file are waited for
            await asyncio.sleep(0.01)


@pytest.fixture
def installed(tmp_path: Path) -> str:
    shutil.copytree(default_bundle(), tmp_path / "given")
    return Bundles(tmp_path / "state").install(tmp_path / "given")


async def test_a_candidate_comes_scores_and_goes(tmp_path: Path, installed: str) -> None:
    config = load(environ={}, state_dir=str(tmp_path / "state"), model__shadow_share=1.0)
    watch = ShadowWatch(config, Current(), every_s=0.01)
    await watch.start()
    try:
        assert await watch.score(Message(MAIL, "test")) == Score(0.25, {}, "current-1")
        choose(tmp_path / "state", installed)
        await until(lambda: watch.name == installed)
        assert await watch.score(Message(MAIL, "test")) == Score(0.25, {}, "current-1")
        file = shadow_file(tmp_path / "state", installed)
        await until(lambda: [*file.pairs()])
        [pair] = file.pairs()
        assert pair.current == 0.25
        assert pair.candidate is not None and pair.candidate != 0.25
        choose(tmp_path / "state", None)
        await until(lambda: watch.name is None)
    finally:
        await watch.stop(1.0)


async def test_a_model_that_is_not_there_disturbs_nobody(tmp_path: Path) -> None:
    config = load(environ={}, state_dir=str(tmp_path / "state"))
    watch = ShadowWatch(config, Current(), every_s=0.01)
    choose(tmp_path / "state", "gone")
    await watch.start()
    try:
        await asyncio.sleep(0.1)
        assert watch.name is None
        assert await watch.score(Message(MAIL, "test")) == Score(0.25, {}, "current-1")
    finally:
        await watch.stop(0.0)
