"""Keeps the engine on the model that the registry names: at the start, when another is activated, and back again.

Once a second it reads one link. A new name there means a bundle to be checked, its policy, and workers of its own
beside the old ones, which serve until those are ready. A bundle that does not come up is withdrawn; no mail notices.
At the start a damaged model gives way to the one before it, and that to the shipped one: a mail host must go on.

It also watches what people say of the current model's decisions, and goes back where they correct it clearly more often
than the one before. That takes a model away; it never brings one.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import structlog

from spamfilter.activation import checked
from spamfilter.bundles import DEFAULT, Bundles, is_whole
from spamfilter.classifier.bundle import BundleError, open_bundle
from spamfilter.config import Config, ConfigError, RollbackSettings
from spamfilter.correction import Corrected
from spamfilter.engine.pool import EngineError
from spamfilter.operating_point import DEFAULT_BUNDLE, bundle_path, serving_options
from spamfilter.policy import Policy
from spamfilter.verdict import Label

WATCH_S = 1.0
_US = "the daemon"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """A checked bundle with all that serving it takes. `name` is the registry's, or the path of a pinned one."""

    name: str
    path: Path
    model_id: str
    policy: Policy
    options: Mapping[str, Any]


class Engine(Protocol):
    """An engine that can change its bundle while it runs: `engine.pool.EnginePool`."""

    async def start(self) -> None: ...

    async def stop(self, grace_s: float) -> None: ...

    async def replace(self, bundle: Path, options: Mapping[str, Any] | None = None) -> None: ...


class Judge(Protocol):
    """Who reads scores: `scanner.Scanner`."""

    def serve(self, policy: Policy, model_id: str) -> None: ...


# ---- when to go back


class Feedback(Protocol):
    """What the store knows about decisions and corrections. Both may block: they are asked beside the event loop."""

    def corrections(self, since: datetime) -> Iterable[Corrected]:
        """Labels given since then to messages that have a decision: one a message, the last one."""
        ...

    def decisions(self, model_id: str, since: datetime) -> int:
        """How many messages the model has given a label since then."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """How a model did: so many decisions, so many of them contradicted by a person."""

    model_id: str
    decisions: int
    corrected: int

    @property
    def rate(self) -> float:
        """The share that was corrected; people correct only what they see, so it is a floor."""
        return min(1.0, self.corrected / self.decisions) if self.decisions else 0.0

    def at_least(self, sigmas: float) -> float:
        """Wilson's lower bound of the share (Wilson 1927), which holds for small shares, too."""
        n = max(self.decisions, self.corrected)
        if not n:
            return 0.0
        share, z2 = self.corrected / n, sigmas**2
        spread = sigmas * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
        return max(0.0, (share + z2 / (2 * n) - spread) / (1 + z2 / n))


def contradicts(one: Corrected) -> bool:
    """Whether the model was wrong: it said ham of spam, or spam of ham. Where it was unsure, it was not wrong."""
    return {one.said, one.label} == {Label.HAM, Label.SPAM}


def reason_to_go_back(current: Record, before: Record, settings: RollbackSettings) -> str | None:
    """Why the current model should give way to the one before it, for people; None where it should not.

    It must have been corrected `settings.corrections` times at least, and its error rate must lie above the earlier
    one's by `margin` with certainty (`sigmas`: it is asked often, so three and not two).
    """
    bound = current.at_least(settings.sigmas)
    if not settings.enabled or current.corrected < settings.corrections or bound <= before.rate + settings.margin:
        return None
    return (
        f"people corrected {current.corrected} of {current.decisions} decisions of {current.model_id}, surely more "
        f"than {bound:.2%}; of {before.model_id} it was {before.rate:.2%} of {before.decisions}"
    )


def records(feedback: Feedback, since: Mapping[str, datetime]) -> dict[str, Record]:
    """Each named model's record since its own time."""
    corrected = dict.fromkeys(since, 0)
    for one in feedback.corrections(min(since.values())):
        if one.model_id in since and one.time >= since[one.model_id] and contradicts(one):
            corrected[one.model_id] += 1
    return {
        model_id: Record(model_id, feedback.decisions(model_id, begun), corrected[model_id])
        for model_id, begun in since.items()
    }


# ---- what to serve


def prepare(config: Config, name: str, path: Path) -> Served:
    """Check a bundle's versions and hashes and resolve the policy for it. Raises BundleError, ConfigError."""
    bundle, policy = checked(config, path)
    return Served(name, path, bundle.model_id, policy, serving_options(config, policy))


def choices(config: Config, bundles: Bundles) -> list[tuple[str, Path]]:
    """What may serve, best first: the current model, those before it, the shipped one. A pinned bundle is alone."""
    if config.model.bundle != DEFAULT_BUNDLE:
        return [(config.model.bundle, bundle_path(config))]
    names = dict.fromkeys((bundles.link() or DEFAULT, *bundles.before(), DEFAULT))
    return [(name, bundles.path(name)) for name in names]


def first_choice(config: Config) -> Served:
    """The first model that is whole. Raises what is wrong with the very first where none is."""
    first: Exception | None = None
    for name, path in choices(config, Bundles(config.state_dir.absolute())):
        try:
            return prepare(config, name, path)
        except (BundleError, ConfigError) as error:
            first = first or error
    assert first is not None
    raise first


class ModelWatch:
    """A part of the daemon: the engine, and the watch over which model it serves.

    `chosen` is what `first_choice` found: it is not checked again where it is still the first. `upcoming` is awaited
    before another model takes over, `activated` after it; neither must raise. Without `feedback` no model is taken back
    by itself.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        judge: Judge,
        *,
        chosen: Served | None = None,
        feedback: Feedback | None = None,
        upcoming: Callable[[Served], Awaitable[None]] | None = None,
        activated: Callable[[Served], Awaitable[None]] | None = None,
        every_s: float = WATCH_S,
    ) -> None:
        self.served: Served | None = None
        self._config = config
        self._engine = engine
        self._judge = judge
        self._chosen = chosen
        self._feedback = feedback
        self._rollback = config.model.rollback
        self._upcoming = upcoming
        self._activated = activated
        self._every_s = every_s
        self._bundles = Bundles(config.state_dir.absolute(), check=is_whole)  # workers do the self-test
        self._seen: str | None = None
        self._since = datetime.now(UTC)
        self._ask_at = 0.0
        self._trouble = ""
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the engine with the first model that comes up, and begin to watch. Raises EngineError."""
        pinned = self._config.model.bundle != DEFAULT_BUNDLE
        if not pinned:
            with contextlib.suppress(BundleError):  # a folder that cannot be written serves all the same
                await asyncio.to_thread(self._bundles.heal)
        self._seen = self._bundles.link()
        refused: dict[str, Exception] = {}
        for name, path in choices(self._config, self._bundles):
            try:
                if self._chosen is not None and (self._chosen.name, self._chosen.path) == (name, path):
                    served = self._chosen
                else:
                    served = await asyncio.to_thread(prepare, self._config, name, path)
                await self._engine.replace(served.path, served.options)
                self._judge.serve(served.policy, served.model_id)
                await self._engine.start()
            except (BundleError, ConfigError, EngineError) as error:
                refused[name] = error
                continue
            break
        else:
            raise EngineError(str(next(iter(refused.values()))))
        for name, why in refused.items():
            log.error("model.refused", model=name, error=str(why), serving=served.name, model_id=served.model_id)
        self.served = served
        if not pinned:
            self._watching = asyncio.create_task(self._watch())

    async def stop(self, grace_s: float) -> None:
        """End the watch, then the engine."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._engine.stop(grace_s)

    async def _watch(self) -> None:
        self._begin_record()
        while True:
            await asyncio.sleep(self._every_s)
            try:
                name = self._bundles.link()
                if name != self._seen:
                    self._seen = name
                    await self._take_over(name or DEFAULT)
                elif self._feedback is not None and time.monotonic() >= self._ask_at:
                    self._ask_at = time.monotonic() + self._rollback.every_s
                    await asyncio.to_thread(self._go_back_if_worse, self._feedback)
                self._trouble = ""
            except Exception as error:  # whatever it is, the model that serves goes on, and so does the watch
                if self._trouble != repr(error):
                    self._trouble = repr(error)
                    log.error("model.watch_in_trouble", error=self._trouble)

    async def _take_over(self, name: str) -> None:
        """Serve with the model that the registry names now, or withdraw it."""
        before, path, begun = self.served, self._bundles.path(name), time.monotonic()
        assert before is not None
        if path == before.path:
            return
        try:
            served = await asyncio.to_thread(prepare, self._config, name, path)
            if self._upcoming is not None:
                await self._upcoming(served)
            self._judge.serve(served.policy, served.model_id)
            await self._engine.replace(served.path, served.options)
        except (BundleError, ConfigError, EngineError) as error:
            self._judge.serve(before.policy, before.model_id)
            log.error("model.refused", model=name, error=str(error), serving=before.name, model_id=before.model_id)
            await asyncio.to_thread(self._bundles.withdraw, name, before.name, f"refused: {error}", _US)
            return
        self.served = served
        self._begin_record()
        took_s = round(time.monotonic() - begun, 2)
        log.info("model.activated", model=name, model_id=served.model_id, before=before.model_id, took_s=took_s)
        if self._activated is not None:
            await self._activated(served)

    def _begin_record(self) -> None:
        """From when on the current model's decisions count: its activation, if that is known."""
        history = self._bundles.history()
        known = history and self.served is not None and history[-1].name == self.served.name
        self._since = history[-1].time if known else datetime.now(UTC)

    def _go_back_if_worse(self, feedback: Feedback) -> None:
        """Roll back where people say so; the watch then sees the link move, as after anybody's rollback."""
        served, below = self.served, self._bundles.before()
        if served is None or not below or not self._rollback.enabled or self._bundles.link() != served.name:
            return
        before = open_bundle(self._bundles.path(below[0])).model_id
        long_ago = self._since - timedelta(days=self._rollback.days)
        found = records(feedback, {before: long_ago, served.model_id: self._since})
        why = reason_to_go_back(found[served.model_id], found[before], self._rollback)
        if why is not None:
            log.error("model.rolled_back", model_id=served.model_id, to=before, why=why)
            self._bundles.rollback(why, _US)
