"""The bytes of decided mail, kept for some days where that is configured, so that a decision can be corrected later.

Written beside mail's road by a thread of its own, compressed, and sealed where there is a key. It is never the only
copy of a message that somebody still waits for: what the disk does not take in time is left out, and counted.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
import zlib
from collections import deque
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog

from spamfilter.message import Message
from spamfilter.store.maildir import make_folder
from spamfilter.store.seal import Sealer, SealError

FOLDER = "kept"
"""Below state_dir: `YYYY-MM-DD/ID`, the day in UTC."""
MOST_BYTES = 8 * 1024 * 1024
"""Of one message; larger ones are not kept."""
WAITING_BYTES = 64 * 1024 * 1024
"""Of all messages that wait for the disk."""
SWEEP_EVERY_S = 600.0
_OPEN, _SEALED = b"z", b"s"
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")

log = structlog.get_logger(__name__)


class KeptMail:
    """Keeps messages for `days`, as a `decisions.Keeper`, under `folder`; with 0 it only removes what is there."""

    def __init__(self, folder: Path, days: int, *, seal: Sealer | None = None) -> None:
        self.folder = folder
        self._days = days
        self._seal = seal
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._give_up_at = float("inf")
        self._thread: threading.Thread | None = None
        self._troubled = False
        self.left_out = 0
        """Messages that were not kept: too large, too many at once, or not taken by the disk."""

    def open(self) -> None:
        """Begin to keep, and to remove what is too old."""
        self._thread = threading.Thread(target=self._work, name="kept-mail", daemon=True)
        self._thread.start()

    def keep(self, message: Message) -> None:
        """Have a message written soon."""
        if not self._days:
            return
        with self._changed:
            fits = len(message.raw) <= MOST_BYTES and self._bytes + len(message.raw) <= WAITING_BYTES
            if not fits or self._closing or not _ID.fullmatch(message.id):
                self._leave_out()
                return
            self._waiting.append((message.id, message.raw))
            self._bytes += len(message.raw)
            self._changed.notify_all()

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, for so long at most, and end."""
        with self._changed:
            self._closing = True
            self._give_up_at = time.monotonic() + timeout_s
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s + 1.0)
            self._thread = None

    def _leave_out(self) -> None:
        self.left_out += 1
        if self.left_out & (self.left_out - 1) == 0:  # at 1, 2, 4, 8...
            log.warning("mail_not_kept", so_far=self.left_out, folder=str(self.folder))

    def _work(self) -> None:
        sweep_at = time.monotonic()
        while True:
            with self._changed:
                patience = max(0.0, sweep_at - time.monotonic())
                self._changed.wait_for(lambda: self._closing or len(self._waiting) > 0, patience)
                one = self._waiting.popleft() if self._waiting and time.monotonic() < self._give_up_at else None
                if one is not None:
                    self._bytes -= len(one[1])
                elif self._closing:
                    return
            if one is not None:
                self._write(*one)
            if time.monotonic() >= sweep_at:
                self._sweep()
                sweep_at = time.monotonic() + SWEEP_EVERY_S

    def _write(self, id_: str, raw: bytes) -> None:
        day = self.folder / datetime.now(UTC).date().isoformat()
        temporary = day / f".{id_}.part"
        try:
            make_folder(day)
            temporary.touch(mode=0o600)
            temporary.write_bytes(_packed(id_, raw, self._seal))
            temporary.rename(day / id_)
        except OSError as error:
            if not self._troubled:
                log.error("mail_cannot_be_kept", folder=str(self.folder), error=str(error), mail="goes on")
            self._troubled = True
            self._leave_out()
            with suppress(OSError):
                temporary.unlink()
        else:
            self._troubled = False

    def _sweep(self) -> None:
        """Remove the folders of days that are over."""
        oldest = datetime.now(UTC).date() + timedelta(days=-self._days or 1)
        with suppress(OSError):  # there is none yet
            for folder in self.folder.iterdir():
                with suppress(ValueError):  # somebody else's
                    if date.fromisoformat(folder.name) < oldest:
                        shutil.rmtree(folder, ignore_errors=True)


def kept_message(folder: Path, id_: str, time: datetime, *, seal: Sealer | None = None) -> bytes | None:
    """The bytes of a message decided at `time`, or None where they are not kept. Raises SealError without the key."""
    if not _ID.fullmatch(id_):
        return None
    day = time.astimezone(UTC).date()
    for near in (day, day + timedelta(days=1), day - timedelta(days=1)):  # it may have been written after midnight
        try:
            return _unpacked(id_, (folder / near.isoformat() / id_).read_bytes(), seal)
        except (OSError, zlib.error):
            continue
    return None


def forget_kept(folder: Path, id_: str) -> bool:
    """Remove what is kept of a message, of whatever day; False where nothing was. Raises OSError."""
    found = list(folder.glob(f"*/{id_}")) if _ID.fullmatch(id_) else []
    for path in found:
        path.unlink(missing_ok=True)
    return bool(found)


def _packed(id_: str, raw: bytes, seal: Sealer | None) -> bytes:
    small = zlib.compress(raw, 1)
    return _OPEN + small if seal is None else _SEALED + seal.seal(small, _place(id_))


def _unpacked(id_: str, packed: bytes, seal: Sealer | None) -> bytes:
    if packed[:1] == _OPEN:
        return zlib.decompress(packed[1:])
    if seal is None:
        raise SealError(f"{_place(id_)} is sealed, and there is no key file; put back the one it was sealed with")
    return zlib.decompress(seal.open(packed[1:], _place(id_)))


def _place(id_: str) -> str:
    return f"kept {id_}"
