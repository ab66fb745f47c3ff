"""The messages of one dropped file: a mail, a text, or an mbox of any size, which is read line by line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from spamfilter.frontends.folder import disk
from spamfilter.frontends.folder.spool import StillWrittenError
from spamfilter.mbox import pieces
from spamfilter.message import Kind, Message, kind_of


@dataclass(frozen=True, slots=True)
class Found:
    """A message of a file; `number` counts an mbox's from 1, and is 0 for a file that is one message."""

    number: int
    message: Message | str  # or in words why it cannot be read


def messages(path: Path, name: str, channel: str, limit: int) -> Iterator[Found]:
    """Every message of a file that was dropped under `name`, each of at most `limit` bytes.

    Nothing but a regular file is ever opened. Raises UnreadableError, StillWrittenError before the first message that
    was read while the file changed, and OSError where the trouble is not the file's own.
    """
    with disk.opened(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        before = os.fstat(descriptor)
        for number, raw, _ in pieces(file, limit):
            now = os.fstat(descriptor)
            if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise StillWrittenError
            if raw is None:
                yield Found(number, f"too large: more than {limit} bytes (engine.max_message_mib)")
                continue
            certain = number or PurePath(name).suffix.lower() == ".eml"
            kind = Kind.MAIL if certain else kind_of(raw)
            if kind is Kind.TEXT and b"\0" in raw:
                yield Found(number, "neither mail nor text: no header block, and NUL bytes")
            else:
                yield Found(number, Message(raw, channel, kind=kind))
