"""The watched folder's daemon side: scans what the lookout claims, with a fixed number of workers, and publishes it.

What becomes of a file:

- tagged or accepted: into `ham/`, `unsure/` or `spam/` by its label;
- quarantined or rejected: into `spam/`, since a folder has no sender who could be answered;
- accepted without a scan (policy.failures): into `unsure/`, with the `unscanned` header. What is larger than the limit
  goes this way without being read into memory: a marked head, then the rest copied in pieces;
- tempfailed: it stays claimed in `work/` and is scanned again later, for as long as it takes. While the engine is down
  or overloaded, or the disk full, nothing new is claimed;
- what cannot be read, or is no regular file: into `failed/`, with the reason beside it.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import structlog

from spamfilter import headers
from spamfilter.config import FolderSettings
from spamfilter.frontends.folder.agenda import Backoff
from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.folder.lookout import Lookout
from spamfilter.frontends.folder.names import shown
from spamfilter.frontends.folder.results import folder_for, kind, marked
from spamfilter.frontends.folder.spool import Claimed, Content, StillWrittenError
from spamfilter.message import Message, new_message_id
from spamfilter.scanner import Scanner
from spamfilter.verdict import Decision, Disposition, Failure, FailureKind

_log = structlog.get_logger(__name__)
_SYSTEMIC = (FailureKind.ENGINE_DOWN, FailureKind.OVERLOAD)


class FolderFrontend:
    """Serves one folder. `start` returns when it is ready, `stop` when everything has ended."""

    def __init__(
        self,
        settings: FolderSettings,
        root: Path,
        scanner: Scanner,
        markup: headers.Markup,
        max_message_bytes: int,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._scanner = scanner
        self._markup = markup
        self._limit = max_message_bytes
        self._lookout = Lookout(
            "folder",
            root,
            settings,
            self._process,
            max_message_bytes=max_message_bytes,
            workers=settings.concurrency,
            backoff=backoff,
        )
        self._spool, self._brake = self._lookout.spool, self._lookout.brake

    async def start(self) -> None:
        """Create the folders, take over what a crash left in `work/`, begin to watch.

        Raises ConfigError when the folder cannot be used.
        """
        await self._lookout.start()

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more, let files in work finish for `grace_s` seconds. The next start takes what is left."""
        await self._lookout.stop(grace_s)

    async def _process(self, claimed: Claimed) -> None:
        """One attempt at a claimed file: afterwards it is published, failed, or put off. Raises as `Work` may."""
        await self._lookout.in_thread(self._spool.require_room)
        try:
            content = await self._lookout.in_thread(self._spool.read, claimed)
        except FileNotFoundError:
            raise
        except OSError as error:
            _log.warning("folder.not_read", file=shown(claimed.name), error=str(error), effect="tried again")
            self._lookout.try_later(claimed)
            return
        message = Message(
            content.raw,
            "folder",
            kind=kind(claimed.name, claimed.source, content.raw),
            # a further attempt is a further decision; the first one keeps the id that the file carries in work/
            id=new_message_id() if claimed.attempts or claimed.recovered else claimed.id,
        )
        decision = await self._decide(message, content)
        if decision is not None:
            await self._carry_out(decision, claimed, content, message)

    async def _decide(self, message: Message, content: Content) -> Decision | None:
        """The scanner's decision, or None when `stop` would not wait for it."""
        if not content.whole:
            detail = f"{content.size} bytes, limit {self._limit}"
            return self._scanner.without_scan(message, Failure(FailureKind.TOO_LARGE, detail))
        return await self._lookout.answer(lambda: self._scanner.scan(message))

    async def _carry_out(self, decision: Decision, claimed: Claimed, content: Content, message: Message) -> None:
        disposition, detail = Disposition.FAILED, "unexpected error; tried again"
        try:
            result = folder_for(decision)
            if result is None:
                disposition, detail = Disposition.TEMPFAILED, "stays in work/, tried again"
                self._tempfail(decision, claimed)
                return
            rest = None if content.whole else partial(self._spool.rest, claimed)
            pieces = marked(message, decision, self._markup, rest)
            try:
                target = await self._lookout.in_thread(self._spool.publish, claimed, content, result, pieces)
            except StillWrittenError:
                detail = "written to meanwhile; tried again"
                self._lookout.let_settle(claimed.once_more())
            except UnreadableError as error:
                detail = str(error)
                await self._lookout.fail(claimed, detail)
            except OSError as error:
                detail = f"not published: {error.strerror or error}; tried again"
                self._brake.apply(time.monotonic(), "results cannot be written", error=str(error))
                self._lookout.try_later(claimed)
            else:
                disposition, detail = Disposition.DELIVERED, shown(target)
                self._brake.release()
                _log.info("folder.published", file=shown(claimed.name), target=shown(target), message=message.id)
        finally:
            self._scanner.settle(decision, disposition, detail)

    def _tempfail(self, decision: Decision, claimed: Claimed) -> None:
        failure = decision.outcome if isinstance(decision.outcome, Failure) else None
        if failure is not None and failure.kind in _SYSTEMIC:
            self._brake.apply(time.monotonic(), f"scanning fails: {failure.kind}", error=failure.detail)
        self._lookout.try_later(claimed)
