"""Folders to learn from: what is dropped into `spam/` or `ham/` is learned, and put away.

A file is taken when it has settled, and claimed by a rename into `work/`, so that of two daemons one learns it, and a
crash leaves it where the next start finds it. It is put away only when all of it was learned; learning the same again
changes nothing. What is learned goes to `done/YYYY-MM-DD/`, or is deleted; of what cannot be read, or not all of it,
the file goes to `failed/` with the reason beside it. Trouble that is not the file's own stops everything for a while.
"""

from __future__ import annotations

import asyncio
import pwd
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import structlog

from spamfilter.config import LearnFolderSettings
from spamfilter.correction import Provenance
from spamfilter.frontends.folder.agenda import Backoff
from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.folder.lookout import Lookout
from spamfilter.frontends.folder.names import Source, shown
from spamfilter.frontends.folder.spool import Claimed, Layout
from spamfilter.frontends.learn import mailbox_file
from spamfilter.frontends.learn.done import DONE, Done
from spamfilter.frontends.learn.settings import PASSING, Learn
from spamfilter.message import Message
from spamfilter.store.database import StoreError
from spamfilter.verdict import Failure, Label

CHANNEL = "learn-folder"
LAYOUT = Layout((Source.SPAM, Source.HAM), (), (DONE,))

_log = structlog.get_logger(__name__)
_DAY_S = 86_400.0
_MOST_ATTEMPTS = 5  # at a file whose learning raises what nobody foresaw
_MOST_REASONS = 20


class _PassingError(Exception):
    """Learning does not work now, whatever the file; the text says why."""


class _StoppingError(Exception):
    """Told to stop, and no time is left for this message; the file stays claimed."""


@dataclass(slots=True)
class _Tally:
    """What came of a file's messages."""

    learned: int = 0
    known: int = 0
    unread: int = 0
    reasons: list[str] = field(default_factory=list)

    def refuse(self, number: int, reason: str) -> None:
        self.unread += 1
        if len(self.reasons) < _MOST_REASONS:
            self.reasons.append(f"message {number}: {reason}" if number else reason)

    def text(self) -> str:
        """For the file beside the failed one."""
        if self.learned + self.known + self.unread == 1:
            return self.reasons[0]
        head = f"{self.learned + self.known} messages of this file are learned, {self.unread} are not"
        more = [f"and {self.unread - len(self.reasons)} more"] if self.unread > len(self.reasons) else []
        return "\n".join([head, *self.reasons, *more])


class LearnFolders:
    """Serves `root/spam` and `root/ham`. `start` returns when it is ready, `stop` when everything has ended."""

    def __init__(
        self,
        settings: LearnFolderSettings,
        root: Path,
        learn: Learn,
        max_message_bytes: int,
        *,
        done_days: int = 0,
        backoff: Backoff | None = None,
    ) -> None:
        """What was learned is kept in `done/` for `done_days` days; 0: for ever."""
        self._learn = learn
        self._limit = max_message_bytes
        self._lookout = Lookout(
            "learn.folders",
            root,
            settings,
            self._work,
            layout=LAYOUT,
            max_message_bytes=max_message_bytes,
            backoff=backoff,
            give_up_after=_MOST_ATTEMPTS,
        )
        self._brake = self._lookout.brake
        self._done = Done(self._lookout.spool.root / DONE, keep=settings.keep_done, days=done_days)
        self._tidying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Create the folders, take over what a crash left in `work/`, begin to watch.

        Raises ConfigError when the folder cannot be used.
        """
        await self._lookout.start()
        self._tidying = asyncio.create_task(self._tidy(), name="learn-folders-tidy")

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more; what is in work has `grace_s` seconds. The next start takes what is left."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
            self._tidying = None
        await self._lookout.stop(grace_s)

    async def _tidy(self) -> None:
        """At the start and once a day, what was learned long ago goes from `done/`."""
        while True:
            try:
                gone = await self._lookout.in_thread(self._done.prune, date.today())
            except OSError as error:
                _log.error("learn.folders.done_not_pruned", error=str(error))
            else:
                if gone:
                    _log.info("learn.folders.done_pruned", days=len(gone), last=gone[-1])
            await asyncio.sleep(_DAY_S)

    async def _work(self, claimed: Claimed) -> None:
        """One attempt at a file: afterwards it is put away, failed, or put off. Raises as `lookout.Work` may."""
        try:
            tally = await self._learn_file(claimed)
            if tally.reasons:
                await self._lookout.fail(claimed, tally.text())
            else:
                target = await self._lookout.in_thread(self._done.put_away, claimed)
                _log.info(
                    "learn.folders.learned",
                    file=shown(claimed.name),
                    label=claimed.source.value,
                    learned=tally.learned,
                    known=tally.known,
                    target=shown(target) if target else "",
                )
            self._brake.release()
        except _StoppingError:
            self._lookout.put_off(claimed, time.monotonic())
        except FileNotFoundError:
            raise
        except (_PassingError, StoreError, OSError) as error:
            self._brake.apply(time.monotonic(), "learning does not work", error=str(error))
            self._lookout.put_off(claimed, self._brake.until)

    async def _learn_file(self, claimed: Claimed) -> _Tally:
        """Learn every message of a file. Raises what `_work` and the lookout sort out."""
        if claimed.source not in LAYOUT.sources:
            raise UnreadableError("found in work/ without a sign whether it is spam or ham")
        label = Label(claimed.source.value)
        who = await self._lookout.in_thread(_owner, claimed.path)
        provenance = Provenance(who, f"dropped into {claimed.source.value}/", CHANNEL)
        tally = _Tally()
        found = mailbox_file.messages(claimed.path, claimed.name, CHANNEL, self._limit)
        try:
            while (one := await self._lookout.in_thread(next, found, None)) is not None:
                if self._lookout.stopping and one.number > 1:
                    raise _StoppingError
                if isinstance(one.message, str):
                    tally.refuse(one.number, one.message)
                else:
                    await self._learn_one(one.message, one.number, label, provenance, tally)
        finally:
            await self._lookout.in_thread(_close, found)
        return tally

    async def _learn_one(
        self, message: Message, number: int, label: Label, provenance: Provenance, tally: _Tally
    ) -> None:
        outcome = await self._lookout.answer(lambda: self._learn(message, label, provenance))
        if outcome is None:
            raise _StoppingError
        if not isinstance(outcome, Failure):
            tally.learned += outcome.changed
            tally.known += not outcome.changed
        elif outcome.kind in PASSING:
            raise _PassingError(f"{outcome.kind}: {outcome.detail}")
        else:
            tally.refuse(number, outcome.detail or str(outcome.kind))


def _close(found: Iterator[mailbox_file.Found]) -> None:
    close = getattr(found, "close", None)
    if close is not None:
        close()


def _owner(path: Path) -> str:
    """Who dropped a file, as the file system knows it."""
    uid = path.lstat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
