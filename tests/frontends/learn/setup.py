"""A learner that only writes down, a Maildir to move mail in, and both ways in with short times."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spamfilter import config
from spamfilter.correction import Provenance, content_hash
from spamfilter.frontends.folder.agenda import Backoff
from spamfilter.frontends.learn import LearnFolders, MaildirWatch
from spamfilter.learning import Learned
from spamfilter.message import Message
from spamfilter.verdict import Failure, Label

LIMIT = 1024 * 1024
_count = itertools.count()


@dataclass
class Recorder:
    """`learn` for tests: the last label wins. `trouble`: what the next calls raise or answer, in order."""

    labels: dict[str, Label | None] = field(default_factory=dict)
    calls: list[tuple[Message, Label | None, Provenance]] = field(default_factory=list)
    trouble: list[Exception | Failure] = field(default_factory=list)

    async def __call__(self, message: Message, label: Label | None, provenance: Provenance) -> Learned | Failure:
        if self.trouble:
            outcome = self.trouble.pop(0)
            if isinstance(outcome, Failure):
                return outcome
            raise outcome
        content = content_hash(message.raw, message.kind)
        before = self.labels.get(content)
        self.labels[content] = label
        self.calls.append((message, label, provenance))
        return Learned(content, before, label)

    @property
    def said(self) -> list[tuple[bytes, str]]:
        """First line of the body and label of every call."""
        return [(message.raw.split(b"\n\n", 1)[-1].split(b"\n")[0], str(label)) for message, label, _ in self.calls]


def mail(text: str) -> bytes:
    """A mail whose body is one line, with what a delivery writes on top."""
    return (
        f"Received: from a.example by mx.example.org; id {next(_count)}\n"
        f"From: ann@example.org\nSubject: {text}\n\n{text}\n"
    ).encode()


class TestMaildir:
    """A Maildir as Dovecot keeps it: a copy is a hard link under a name of its own, flags follow the colon."""

    __test__ = False

    def __init__(self, path: Path, *names: str) -> None:
        self.path = path
        for name in ("", *names):
            self.make(name)

    def make(self, folder: str) -> Path:
        for sub in ("new", "cur", "tmp"):
            (self.path / folder / sub).mkdir(parents=True, exist_ok=True)
        return self.path / folder

    def deliver(self, raw: bytes, folder: str = "", sub: str = "new") -> Path:
        base = f"{1_700_000_000 + next(_count)}.M1P2.mx,S={len(raw)}"
        written = self.path / folder / "tmp" / base
        written.write_bytes(raw)
        return written.rename(self.path / folder / sub / (base if sub == "new" else f"{base}:2,"))

    def copy(self, path: Path, folder: str, *, link: bool = True) -> Path:
        """As IMAP's COPY does it."""
        flags = path.name.partition(":2,")[2] or "S"
        target = self.path / folder / "cur" / f"{1_700_000_000 + next(_count)}.M3P4.mx:2,{flags}"
        if link:
            os.link(path, target)
        else:
            target.write_bytes(path.read_bytes())
        return target

    def move(self, path: Path, folder: str, *, link: bool = True) -> Path:
        """As IMAP's MOVE does it."""
        target = self.copy(path, folder, link=link)
        path.unlink()
        return target

    def flag(self, path: Path, flags: str) -> Path:
        """As IMAP's STORE does it; out of `new/`, too."""
        base = path.name.partition(":")[0]
        return path.rename(path.parent.parent / "cur" / f"{base}:2,{flags}")


@asynccontextmanager
async def folders(
    root: Path, learn: Recorder, limit: int = LIMIT, *, done_days: int = 0, **changes: Any
) -> AsyncIterator[LearnFolders]:
    """Started, and stopped at the end. Rescans are far away, so that events have to do the work."""
    changes = {"rescan_s": 600.0, "settle_s": 0.0, "min_free_mib": 0, **changes}
    settings = config.load(environ={}).learn.folders.model_copy(update=changes)
    part = LearnFolders(settings, root, learn, limit, done_days=done_days, backoff=Backoff(0.02, 0.1))
    await part.start()
    try:
        yield part
    finally:
        await part.stop(10.0)


@asynccontextmanager
async def watch(state: Path, learn: Recorder, *maildirs: Path, **changes: Any) -> AsyncIterator[MaildirWatch]:
    """Started, and stopped at the end."""
    changes = {"maildirs": tuple(map(str, maildirs)), "rescan_s": 600.0, **changes}
    settings = config.load(environ={}).learn.maildir.model_copy(update=changes)
    part = MaildirWatch(settings, state, learn, LIMIT, backoff=Backoff(0.02, 0.1))
    await part.start()
    try:
        yield part
    finally:
        await part.stop(10.0)


def open_files() -> set[str]:
    """What this process holds open, but for what comes and goes by itself."""
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{fd.name}:{fd.readlink()}")
        except OSError:
            continue
    return found


@contextmanager
def nothing_left() -> Iterator[None]:
    """Within it threads and files may be opened; at the end they are closed."""
    files, threads = open_files(), set(threading.enumerate())
    yield
    assert open_files() <= files
    left = {thread.name for thread in set(threading.enumerate()) - threads if thread.is_alive()}
    assert not {name for name in left if not name.startswith("asyncio_")}  # the loop's own, of asyncio.to_thread
