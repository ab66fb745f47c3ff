"""One message of a Maildir: its bytes, found again under whatever flags it has now, and its identity.

The identity of two copies of a message is one, and that of two deliveries is not, although both have one text: what
the first relays wrote differs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

from spamfilter.correction import content_hash
from spamfilter.frontends.folder import disk
from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.learn.maildir_folders import listing
from spamfilter.message import body_offset

_DELIVERY = re.compile(rb"^(?:received|delivered-to):[^\n]*(?:\n[ \t][^\n]*)*", re.I | re.M)
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


def read(path: Path, limit: int) -> bytes:
    """A message of at most `limit` bytes. Raises UnreadableError with words for people, and OSError."""
    with disk.opened(path) as descriptor:
        raw = disk.read(descriptor, limit + 1)
    if len(raw) > limit:
        raise UnreadableError(f"too large: more than {limit} bytes (engine.max_message_mib)")
    if raw.startswith(_COMPRESSED):
        raise UnreadableError("stored compressed (Dovecot's zlib plugin)")
    return raw


def read_again(path: Path, base: bytes, limit: int) -> bytes:
    """`read`, also when the flags in the message's name, or `new` and `cur`, have changed."""
    with contextlib.suppress(FileNotFoundError):
        return read(path, limit)
    folder = path.parent.parent
    listed = listing(folder).get(base)
    if listed is None:
        raise FileNotFoundError(path)
    return read(folder / os.fsdecode(listed.place), limit)


def identify(path: Path, limit: int) -> bytes | None:
    """The identity of a message by its content, or None where it cannot be read."""
    try:
        return identity(read(path, limit))
    except (UnreadableError, OSError):
        return None


def identity(raw: bytes) -> bytes:
    """32 bytes: of the content that corrections know, and of the way that this delivery came."""
    text = raw.replace(b"\r\n", b"\n")
    delivery = b"\n".join(_DELIVERY.findall(text[: body_offset(text)]))
    return hashlib.sha256(content_hash(raw).encode() + delivery).digest()
