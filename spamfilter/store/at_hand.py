"""Finds the bytes of a message that was decided: kept, quarantined, in the local Maildir, or among a folder's results.

Of what strangers chose only a file's name enters into a path, below a folder that the configuration names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from spamfilter.config import MIB, Config
from spamfilter.correction import content_hash, unmarked
from spamfilter.message import Envelope, Kind, Message
from spamfilter.store.database import StoreError
from spamfilter.store.history import LoggedDecision
from spamfilter.store.kept import FOLDER, kept_message
from spamfilter.store.maildir import find_in_maildir
from spamfilter.store.seal import Sealer, sealer

_RESULTS = ("ham", "unsure", "spam")
_ADDED = MIB
"""More than we ever write on top of a message."""


class NotAtHandError(StoreError):
    """That there are no bytes any more to show or to learn from; made to be shown as it is."""


@dataclass(frozen=True, slots=True)
class AtHand:
    """The message, without verdict headers, and in which `place` it was found: kept, quarantine, maildir, folder."""

    raw: bytes
    kind: Kind
    place: str

    def message(self, decision: LoggedDecision) -> Message:
        """As it came in, to be scored or learned again."""
        envelope = Envelope(decision.mail_from, tuple(decision.rcpt_tos))
        return Message(self.raw, decision.channel, envelope, self.kind, decision.id)


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look. Folders need not exist."""

    kept: Path
    quarantine: Path
    maildir: Path
    folder: Path
    most_bytes: int
    seal: Sealer | None = None

    @classmethod
    def of(cls, config: Config) -> Places:
        """The configured ones. Raises SealError where there is a key that cannot be used."""
        return cls(
            config.path(FOLDER),
            config.path(config.smtp.quarantine),
            config.path(config.smtp.maildir),
            config.path(config.folder.path),
            config.engine.max_message_mib * MIB + _ADDED,
            sealer(config.path(config.learn.key)),
        )

    def find(self, decision: LoggedDecision) -> AtHand | None:
        """The message, or None where it is nowhere, or no longer what was decided. Raises SealError."""
        for raw, place in self._candidates(decision):
            for kind in (Kind.MAIL, Kind.TEXT):
                if decision.content in (None, content_hash(raw, kind)):
                    return AtHand(*unmarked(raw, kind), place)
        return None

    def get(self, decision: LoggedDecision) -> AtHand:
        """The same, but raises NotAtHandError where it is nowhere."""
        found = self.find(decision)
        if found is None:
            raise NotAtHandError(
                f"the message of decision {decision.id} is no longer at hand (looked in what is kept, the quarantine, "
                "the local Maildir and the folder's results); store.keep_days keeps mail for this"
            )
        return found

    def _candidates(self, decision: LoggedDecision) -> Iterator[tuple[bytes, str]]:
        raw = kept_message(self.kept, decision.id, decision.time, seal=self.seal)
        if raw is not None:
            yield raw, "kept"
        for maildir, place in ((self.quarantine, "quarantine"), (self.maildir, "maildir")):
            path = find_in_maildir(maildir, decision.id)
            if path is not None and (raw := read_regular(path, self.most_bytes)) is not None:
                yield raw, place
        if decision.channel == "folder" and decision.disposition_detail:
            result = self._result(decision.disposition_detail)
            if result is not None and (raw := read_regular(result, self.most_bytes)) is not None:
                yield raw, "folder"

    def _result(self, detail: str) -> Path | None:
        """A folder's result by the path that was logged, of which only the last two names are believed."""
        path = PurePath(detail)
        if path.parent.name not in _RESULTS or path.name in ("", ".", ".."):
            return None
        return self.folder / path.parent.name / path.name


def read_regular(path: Path, most_bytes: int) -> bytes | None:
    """A file's bytes; None where it is gone, too large, a link, or no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
            return None
        return file.read(most_bytes)
