"""Learning as a part of the daemon: people's corrections go in from any frontend, the model that serves is asked.

The labels' database and the memory's file may block, so they are worked on by one thread of their own; the model is
asked through the engine, whose workers read messages for everybody.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar

import structlog

from spamfilter.classifier.examined import Examined
from spamfilter.config import Config
from spamfilter.correction import Provenance
from spamfilter.document import Document
from spamfilter.learning import Learned, Learning, label_store
from spamfilter.message import Message
from spamfilter.operating_point import memory_path
from spamfilter.store.database import StoreError
from spamfilter.store.memories import Rebuilt, not_read, prepare
from spamfilter.verdict import Failure, Label

PREPARE_S = 60.0
"""So long another model is given to read what people marked, before it serves; the rest it reads then."""
_DAY_S = 86_400.0
T = TypeVar("T")
log = structlog.get_logger(__name__)


class Engine(Protocol):
    """Reads messages and kept documents with the model in service."""

    async def examine(self, message: Message) -> Examined | Failure: ...

    async def examine_document(self, document: Document) -> Examined | Failure: ...


class Reader(Protocol):
    """An engine of the model that is to serve next, which reads nothing but kept documents; within the block."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def examine_document(self, document: Document) -> Examined | Failure: ...


class Teacher:
    """A daemon's part. `learn` is what frontends call; `prepare` and `switch` follow the model in service."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._store = label_store(config)
        self._learning: Learning | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "teacher")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._daily: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the labels. Raises StoreError."""
        self._loop = asyncio.get_running_loop()
        await self._apart(self._store.open)
        self._daily = asyncio.create_task(self._keep_retention())

    async def stop(self, grace_s: float) -> None:
        """Bring what is in work to its end, close the labels."""
        if self._daily is not None:
            self._daily.cancel()
            await asyncio.gather(self._daily, return_exceptions=True)
            self._daily = None
        await asyncio.to_thread(self._thread.shutdown, wait=True)
        self._store.close()

    async def learn(self, message: Message, label: Label | None, provenance: Provenance) -> Learned | Failure:
        """Record what a person says of a message; None forgets it. Raises StoreError."""
        if self._learning is None:
            raise StoreError("no model serves yet; try again in a moment")
        return await self._apart(lambda: self._ready().learn(message, label, provenance))

    async def undo(self, content: str, provenance: Provenance) -> Learned:
        """Take back what was last said of a content; what was said before stands again. Raises StoreError."""
        if self._learning is None:
            raise StoreError("no model serves yet; try again in a moment")
        return await self._apart(lambda: self._ready().undo(content, provenance))

    async def prepare(self, model_id: str, reader: Reader) -> None:
        """Another model is to serve next: its memory is made, so that it knows look-alikes from its first message.

        Never raises: what it could not read, it reads when it serves.
        """
        path, remember, enough = memory_path(self._config), self._config.learn.remember, threading.Event()
        timer = asyncio.get_running_loop().call_later(PREPARE_S, enough.set)

        def examine(document: Document) -> Examined | Failure:
            return self._asked(reader.examine_document(document))

        def prepared() -> Rebuilt:
            return prepare(self._store, path, model_id, examine, remember=remember, enough=enough.is_set)

        try:
            if await asyncio.to_thread(not_read, self._store, path, model_id, remember=remember):
                async with reader:
                    built = await asyncio.to_thread(prepared)
            else:
                built = await asyncio.to_thread(prepared)
            log.info("memory.prepared", model=model_id, ham=built.ham, spam=built.spam, unread=built.unread)
        except Exception as error:
            log.error("memory.not_prepared", model=model_id, error=f"{type(error).__name__}: {error}"[:200])
        finally:
            enough.set()
            timer.cancel()

    async def switch(self, model_id: str) -> None:
        """Another model serves: its memory is made anew. Never raises; the labels are kept whatever happens."""
        try:
            built = await self._apart(lambda: self._switched(model_id))
            log.info("memory.ready", model=model_id, ham=built.ham, spam=built.spam, unread=built.unread)
        except Exception as error:
            log.error("memory.not_ready", model=model_id, error=f"{type(error).__name__}: {error}"[:200])

    def _switched(self, model_id: str) -> Rebuilt:
        if self._learning is None:
            self._learning = Learning(
                self._store,
                memory_path(self._config),
                lambda message: self._asked(self._engine.examine(message)),
                model_id,
                examine_document=lambda document: self._asked(self._engine.examine_document(document)),
                remember=self._config.learn.remember,
            )
        return self._learning.switch(model_id)

    def _ready(self) -> Learning:
        assert self._learning is not None
        return self._learning

    def _asked(self, question: Awaitable[T]) -> T:
        """Ask on the event loop, wait in the thread."""
        assert self._loop is not None

        async def ask() -> T:
            return await question

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()

    async def _apart(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _keep_retention(self) -> None:
        """Once a day, examples past their days go, from the memory, too."""
        while True:
            await asyncio.sleep(_DAY_S)
            if self._learning is not None:
                try:
                    await self._apart(self._learning.rebuild)
                except StoreError as error:
                    log.error("labels.not_pruned", error=str(error))
