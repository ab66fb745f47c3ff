"""What files are called on their road through the folder, so that a name alone says what to do after a crash.

A claimed file is `<claim id>.<source>.<original name>`. The claim id is also the suffix that a result gets when its
name is taken, and the name of the temporary file of its publication, so a second attempt finds traces of the first.
"""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import PurePath

from spamfilter.message import new_message_id

_MAX_BYTES = 255  # NAME_MAX of every Linux file system
_MAX_EXTENSION = 16
_CLAIM = re.compile(r"([0-9a-f]{16,32})\.([insh])\.(.+)", re.S)
_TEMPORARY = re.compile(r"\.([0-9a-f]{16,32})\.part")
REASON_SUFFIX = ".reason.txt"


class Source(Enum):
    """Where a file was dropped: to be scanned (`in/`, and a Maildir's `new/`), or to be learned (`spam/`, `ham/`).

    In `new/` a file is complete by definition.
    """

    IN = "in"
    NEW = "new"
    SPAM = "spam"
    HAM = "ham"

    @property
    def code(self) -> str:
        """One letter, for the name of a claimed file."""
        return self.value[0]


def left_alone(name: str) -> bool:
    """True for names that say "not yet": hidden files, `*.tmp`, `*.part`, `*~`."""
    return name.startswith(".") or name.lower().endswith((".tmp", ".part", "~"))


def claim_name(claim_id: str, source: Source, name: str) -> str:
    """The name below `work/`. A name that grows too long for the file system loses the end of its stem."""
    return _fitted(f"{claim_id}.{source.code}.", name, "")


def parse_claim(filename: str) -> tuple[str, Source, str]:
    """Claim id, source and original name. A foreign name is taken as a file from `in/` and gets a new id."""
    match = _CLAIM.fullmatch(filename)
    if match is None:
        return new_message_id(), Source.IN, filename
    return match[1], next(source for source in Source if source.code == match[2]), match[3]


def with_id(name: str, claim_id: str) -> str:
    """`offer.eml` as `offer-<claim id>.eml`: the name of a result whose own name is taken."""
    return _fitted("", name, f"-{claim_id}")


def reason_name(name: str) -> str:
    """`offer.eml` as `offer.eml.reason.txt`."""
    return name + REASON_SUFFIX


def failed_name(name: str) -> str:
    """`name`, shortened where its reason file would not fit beside it."""
    if len(os.fsencode(name)) + len(REASON_SUFFIX) <= _MAX_BYTES:
        return name
    return _fitted("", name, "", room=_MAX_BYTES - len(REASON_SUFFIX))


def temporary_name(claim_id: str) -> str:
    """The hidden name under which a result is written before it is published."""
    return f".{claim_id}.part"


def parse_temporary(filename: str) -> str | None:
    """The claim id of a temporary file, or None for any other name."""
    match = _TEMPORARY.fullmatch(filename)
    return match[1] if match else None


def shown(name: str | PurePath) -> str:
    """A name for logs and headers: bytes that are no text, and control characters, as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(name))


def _fitted(prefix: str, name: str, suffix: str, room: int = _MAX_BYTES) -> str:
    stem, extension = PurePath(name).stem, PurePath(name).suffix
    if len(os.fsencode(extension)) > _MAX_EXTENSION:
        stem, extension = name, ""
    room -= len(os.fsencode(prefix + suffix + extension))
    encoded = os.fsencode(stem)
    if len(encoded) > room:
        stem = encoded[:room].decode("utf-8", "ignore")  # no half of a letter at the cut
    return f"{prefix}{stem}{suffix}{extension}"
