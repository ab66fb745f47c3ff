"""Keeps a candidate in the shadow while somebody wants one there: polls which, starts it beside the engine, ends it.

To the scanner this is the engine. The candidate gets one worker of its own at the lowest share of the processor that a
queue of two messages gives it; whatever becomes of it, mail is answered by the model in service alone.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from spamfilter.bundles import Bundles, is_whole
from spamfilter.classifier.bundle import BundleError, open_bundle
from spamfilter.config import Config, ConfigError
from spamfilter.engine.pool import EnginePool
from spamfilter.message import Message
from spamfilter.operating_point import resolve_policy, serving_options
from spamfilter.scanner import Engine
from spamfilter.shadow import ShadowEngine, chosen, shadow_file
from spamfilter.verdict import Failure, Score

WATCH_S = 1.0
_END_S = 3.0
log = structlog.get_logger(__name__)


class ShadowWatch:
    """Implements `scanner.Engine` with another one's answers, and is a daemon's part. A registry's model is named."""

    def __init__(self, config: Config, engine: Engine, *, every_s: float = WATCH_S) -> None:
        self._config, self._engine, self._every_s = config, engine, every_s
        self._state_dir = config.state_dir.absolute()
        self._bundles = Bundles(self._state_dir, check=is_whole)
        self._shadow: ShadowEngine | None = None
        self._name: str | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    @property
    def name(self) -> str | None:
        """Which model runs in the shadow."""
        return self._name if self._shadow is not None else None

    async def score(self, message: Message) -> Score | Failure:
        """The answer of the model in service."""
        return await (self._shadow or self._engine).score(message)

    async def start(self) -> None:
        """Begin to watch; a candidate is not waited for."""
        self._ended.clear()
        self._watching = asyncio.create_task(self._watch(), name="shadow")

    async def stop(self, grace_s: float) -> None:
        """End the watch and the candidate."""
        self._ended.set()
        if self._watching is not None:
            # not cancelled at once: it may be ending a candidate, whose processes would be left
            await asyncio.wait({self._watching}, timeout=max(grace_s, _END_S))
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._leave(grace_s)

    async def _watch(self) -> None:
        while not self._ended.is_set():
            name = chosen(self._state_dir)
            if name != self._name:
                await self._leave(0.0)
                self._name = name
                if name is not None:
                    await self._enter(name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self._every_s)

    async def _enter(self, name: str) -> None:
        path = self._bundles.path(name)
        try:
            bundle = open_bundle(path)
            await asyncio.to_thread(bundle.verify)
            policy = resolve_policy(self._config.policy, bundle)
        except (BundleError, ConfigError) as error:
            log.error("shadow.refused", model=name, error=str(error))
            return
        settings = self._config.engine.model_copy(update={"workers": 1})
        pool = EnginePool(settings, path, options=serving_options(self._config, policy))
        shadow = ShadowEngine(self._engine, pool, self._config.model.shadow_share, shadow_file(self._state_dir, name))
        await shadow.start()
        self._shadow = shadow
        log.info("shadow.started", model=name, share=self._config.model.shadow_share)

    async def _leave(self, grace_s: float) -> None:
        shadow, self._shadow = self._shadow, None
        if shadow is not None:
            await shadow.stop(grace_s)
            log.info("shadow.ended", model=self._name, compared=shadow.compared, skipped=shadow.skipped)
