"""A candidate scores a share of the mail beside the model in service, so that people see what it would change.

The answer is the current model's, as if there were no other: the candidate is asked after the answer is given, never
when it is busy, and nothing that becomes of it reaches the caller. What both said goes to a sink, without anything of
the message but its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import structlog

from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import BundleError, open_bundle
from spamfilter.config import Config
from spamfilter.message import Message
from spamfilter.operating_point import bundle_path, resolve_policy
from spamfilter.verdict import Failure, Label, Score, Thresholds

FOLDER = "shadow"
"""Below `state_dir`: a file of JSON lines a candidate."""
CHOSEN = "candidate"
"""A file in it that names the model which is to run in the shadow."""
MOST_BYTES = 8 * 1024 * 1024
"""Of one candidate's file; a full one is kept beside the one that follows it."""
MOST_IN_WORK = 2
"""Messages that the candidate may have at a time."""
_EVERY = 1 << 32

log = structlog.get_logger(__name__)


class Engine(Protocol):
    """What scores messages: `scanner.Engine`, which stands on the same floor."""

    async def score(self, message: Message) -> Score | Failure:
        """A score or a failure within the deadline."""


class Candidate(Engine, Protocol):
    """An engine with a life, as `engine.pool.EnginePool`."""

    async def start(self) -> None:
        """Begin; raises where it cannot."""

    async def stop(self, grace_s: float) -> None:
        """End."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What both models said of one message. A probability is None where that model gave none."""

    time: datetime
    id: str
    current_model: str | None
    current: float | None
    candidate_model: str | None
    candidate: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "time": self.time.isoformat(timespec="seconds"),
            "id": self.id,
            "current_model": self.current_model,
            "current": self.current,
            "candidate_model": self.candidate_model,
            "candidate": self.candidate,
        }


class Sink(Protocol):
    """Where pairs go. May block: it is called in a thread."""

    def write(self, pair: Pair) -> None:
        """Keep it. An OSError is noted once."""


class ShadowEngine:
    """Implements `scanner.Engine` with another one's answers, and asks `candidate` about a `share` (0-1) of them.

    `start` and `stop` are for the candidate; whoever made `engine` starts and stops that.
    """

    def __init__(
        self, engine: Engine, candidate: Candidate, share: float, sink: Sink, *, most_in_work: int = MOST_IN_WORK
    ) -> None:
        self._engine, self._candidate, self._sink = engine, candidate, sink
        self._below = int(min(max(share, 0.0), 1.0) * _EVERY)
        self._most = most_in_work
        self._work: set[asyncio.Task[None]] = set()
        self._serving = False
        self._trouble = ""
        self.compared = 0
        """Messages that both models scored."""
        self.skipped = 0
        """Messages of the share that the candidate was too busy for."""

    async def start(self) -> None:
        """Start the candidate. One that does not come up is logged, and not asked: mail does not depend on it."""
        try:
            await self._candidate.start()
        except Exception as error:
            log.error("shadow.candidate_not_started", error=f"{type(error).__name__}: {error}"[:300])
        else:
            self._serving = True

    async def stop(self, grace_s: float) -> None:
        """Drop what the candidate has not answered, and end it."""
        was_serving, self._serving = self._serving, False
        for task in [*self._work]:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        if was_serving:
            await self._candidate.stop(grace_s)

    async def score(self, message: Message) -> Score | Failure:
        """The current model's answer."""
        outcome = await self._engine.score(message)
        if self._serving and picked(message.id, self._below):
            if len(self._work) >= self._most:
                self.skipped += 1
            else:
                task = asyncio.create_task(self._beside(message, outcome))
                self._work.add(task)
                task.add_done_callback(self._work.discard)
        return outcome

    async def _beside(self, message: Message, outcome: Score | Failure) -> None:
        try:
            other = await self._candidate.score(message)
            now = datetime.now(UTC)
            pair = Pair(now, message.id, *_said(outcome), *_said(other))
            await asyncio.to_thread(self._sink.write, pair)
            self.compared += 1
        except Exception as error:  # whatever it is, it is the shadow's alone
            what = f"{type(error).__name__}: {error}"[:300]
            if what != self._trouble:
                self._trouble = what
                log.error("shadow.not_compared", error=what)


def picked(message_id: str, below: int) -> bool:
    """Whether a message belongs to the share; the same for every process, and for the same message again."""
    return int.from_bytes(hashlib.blake2b(message_id.encode(), digest_size=4).digest()) < below


class ShadowFile:
    """A sink: JSON lines in a file that never grows beyond `most_bytes`; the one before it is kept as `.1`."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self._most = most_bytes

    def write(self, pair: Pair) -> None:
        """Append one line, in one call of the system."""
        line = json.dumps(pair.as_json()).encode() + b"\n"
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size + len(line) > self._most:
                self.path.replace(_before(self.path))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def pairs(self) -> Iterator[Pair]:
        """What is kept, oldest first. A torn line is left out."""
        for path in (_before(self.path), self.path):
            try:
                lines = path.read_text("utf-8", "replace").splitlines()
            except OSError:
                continue
            for line in lines:
                try:
                    fields = json.loads(line)
                    yield Pair(**{**fields, "time": datetime.fromisoformat(fields["time"])})
                except (ValueError, TypeError, KeyError):
                    continue


def shadow_file(state_dir: Path, name: str) -> ShadowFile:
    """Where a candidate's pairs are kept, by its name in the registry."""
    return ShadowFile(state_dir / FOLDER / f"{name}.jsonl")


def chosen(state_dir: Path) -> str | None:
    """The name of the model that is to run in the shadow, or None. One small file: cheap to ask every second."""
    try:
        return (state_dir / FOLDER / CHOSEN).read_text("utf-8").strip() or None
    except (OSError, ValueError):
        return None


def choose(state_dir: Path, name: str | None) -> None:
    """Say which model is to run in the shadow, by one rename; None: no one. Raises OSError."""
    path = state_dir / FOLDER / CHOSEN
    if name is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{CHOSEN}.{os.getpid()}.new")
    temporary.write_text(f"{name}\n", "utf-8")
    temporary.replace(path)


def put(state_dir: Path, name: str | None) -> None:
    """The same, where that model is installed and whole. Raises BundleError, OSError."""
    if name is not None:
        bundles = Bundles(state_dir)
        if name not in bundles.names():
            known = ", ".join(bundles.names()) or "none"
            raise BundleError(
                f"no model {name!r} is installed (there are: {known}); `spamfilter model install FOLDER` brings one"
            )
        open_bundle(bundles.path(name)).verify()
    choose(state_dir, name)


@dataclass(frozen=True, slots=True)
class Differences:
    """What the candidate would change: messages by the current label and the candidate's. `failed`: it gave none."""

    pairs: int
    failed: int
    changed: dict[tuple[Label, Label], int]
    largest: tuple[Pair, ...]

    @property
    def sentence(self) -> str:
        """The same for people."""
        if not self.pairs:
            return "No message was compared yet."
        moves = sum(self.changed.values())
        said = ", ".join(f"{count} {before} to {after}" for (before, after), count in sorted(self.changed.items()))
        return f"{moves} of {self.pairs} messages would be labelled otherwise{f' ({said})' if said else ''}."


def differences(file: ShadowFile, current: Thresholds, candidate: Thresholds, *, shown: int = 10) -> Differences:
    """Count what changed, each model read by its own thresholds; `largest`: the ids that moved furthest."""
    compared = failed = 0
    changed: dict[tuple[Label, Label], int] = {}
    moved: list[tuple[float, Pair]] = []
    for pair in file.pairs():
        if pair.current is None:
            continue
        if pair.candidate is None:
            failed += 1
            continue
        compared += 1
        before, after = _label(pair.current, current), _label(pair.candidate, candidate)
        if before is not after:
            changed[before, after] = changed.get((before, after), 0) + 1
            moved.append((abs(pair.candidate - pair.current), pair))
    moved.sort(key=lambda one: -one[0])
    return Differences(compared, failed, changed, tuple(pair for _, pair in moved[:shown]))


def found_until_now(config: Config, name: str) -> Differences:
    """What the model in the shadow would have decided otherwise than the one that serves. Raises BundleError,
    ConfigError."""
    state_dir = config.state_dir.absolute()
    current, candidate = (
        resolve_policy(config.policy, open_bundle(path)).thresholds
        for path in (bundle_path(config), Bundles(state_dir).path(name))
    )
    return differences(shadow_file(state_dir, name), current, candidate)


def _said(outcome: Score | Failure) -> tuple[str | None, float | None]:
    return (outcome.model_id, outcome.probability) if isinstance(outcome, Score) else (None, None)


def _label(probability: float, at: Thresholds) -> Label:
    return Label.SPAM if probability >= at.spam_at else Label.UNSURE if probability >= at.unsure_at else Label.HAM


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")
