"""The daemon's teacher lets the next model read before it serves, and no trouble there keeps it from serving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from spamfilter import config, teacher
from spamfilter.classifier.examined import Examined
from spamfilter.correction import Provenance
from spamfilter.document import Document
from spamfilter.engine.pool import EngineError
from spamfilter.message import Message
from spamfilter.teacher import Teacher
from spamfilter.verdict import Failure, FailureKind, Label
from tests.learners import Model, content, mail, remembered

ALICE = Provenance("alice", "folder")
OLD, NEW = "m-1", "m-2"


class Reader:
    """A model as engines give it; it notes when it is started and ended."""

    def __init__(self, model_id: str, trouble: Exception | None = None) -> None:
        self.model, self.trouble = Model(model_id), trouble
        self.life: list[str] = []
        self.asked = asyncio.Event()
        self.hangs = False

    async def __aenter__(self) -> Reader:
        self.life.append("start")
        if self.trouble is not None:
            raise self.trouble
        return self

    async def __aexit__(self, *_: object) -> None:
        self.life.append("stop")

    async def examine(self, message: Message) -> Examined | Failure:
        return self.model.examine(message)

    async def examine_document(self, document: Document) -> Examined | Failure:
        self.asked.set()
        if self.hangs:
            await asyncio.Event().wait()
        return self.model.examine_document(document)


@pytest.fixture
async def taught(tmp_path: Path) -> AsyncIterator[Teacher]:
    """Serves `OLD`, and has learned two spams."""
    part = Teacher(config.load(environ={}, state_dir=str(tmp_path)), Reader(OLD))
    await part.start()
    await part.switch(OLD)
    for number in range(2):
        await part.learn(mail(number), Label.SPAM, ALICE)
    yield part
    await part.stop(1.0)


def told(logs: list[Any], event: str) -> list[Any]:
    return [line for line in logs if line["event"] == event]


async def test_the_next_model_reads_before_it_serves(taught: Teacher, tmp_path: Path) -> None:
    reader = Reader(NEW)
    with capture_logs() as logs:
        await taught.prepare(NEW, reader)
    assert remembered(tmp_path, NEW) == {content(mail(number)): Label.SPAM for number in range(2)}
    assert reader.life == ["start", "stop"]
    (line,) = told(logs, "memory.prepared")
    assert (line["model"], line["spam"], line["unread"]) == (NEW, 2, 0)


async def test_one_that_has_read_all_is_not_started_for_it(taught: Teacher) -> None:
    await taught.prepare(NEW, Reader(NEW))
    again = Reader(NEW)
    await taught.prepare(NEW, again)
    assert again.life == []


async def test_people_teach_while_the_next_model_reads(taught: Teacher, tmp_path: Path) -> None:
    reader = Reader(NEW)
    reader.hangs = True
    preparing = asyncio.create_task(taught.prepare(NEW, reader))
    await reader.asked.wait()
    await taught.learn(mail(2), Label.HAM, ALICE)
    assert remembered(tmp_path, OLD)[content(mail(2))] is Label.HAM
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
    assert reader.life == ["start", "stop"]


async def test_after_its_time_the_rest_is_left(
    taught: Teacher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(teacher, "PREPARE_S", 0.0)

    class Slow(Reader):
        async def examine_document(self, document: Document) -> Examined | Failure:
            await asyncio.sleep(0.02)  # the time is over in this
            return await super().examine_document(document)

    await taught.prepare(NEW, Slow(NEW))
    assert len(remembered(tmp_path, NEW)) < 2


@pytest.mark.parametrize("trouble", [EngineError("the engine cannot start"), OSError(24, "Too many open files")])
async def test_a_model_that_does_not_come_up_is_left_to_the_swap(taught: Teacher, trouble: Exception) -> None:
    with capture_logs() as logs:
        await taught.prepare(NEW, Reader(NEW, trouble))
    (line,) = told(logs, "memory.not_prepared")
    assert str(trouble) in line["error"]


async def test_what_a_model_cannot_read_costs_only_itself(taught: Teacher, tmp_path: Path) -> None:
    class Fails(Reader):
        async def examine_document(self, document: Document) -> Examined | Failure:
            if "number 0" in document.subject:
                return Failure(FailureKind.TIMEOUT, "hung two workers")
            return await super().examine_document(document)

    await taught.prepare(NEW, Fails(NEW))
    assert remembered(tmp_path, NEW) == {content(mail(1)): Label.SPAM}
