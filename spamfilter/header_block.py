"""Fields cut out of a header block, the bytes around them as they were, however many lines a stranger has written."""

from __future__ import annotations

import re


def fields_named(names: bytes) -> re.Pattern[bytes]:
    """What `without` cuts: fields whose line begins as the regular expression `names` says, whatever its case.

    Each is found with the LF before it and its folded lines (RFC 5322 2.2.3). White space before a name counts for
    nothing, but for a space or tab, which would fold the line.
    """
    # possessive: a million folded lines leave nothing behind to go back to
    return re.compile(rb"\n(?:[\r\v\f][ \t\r\v\f]*+)?(?:" + names + rb")[^\n]*+(?:\n[ \t][^\n]*+)*+", re.I)


def without(fields: re.Pattern[bytes], head: bytes) -> bytes:
    """A header block without such fields. Only LF ends a line."""
    text = b"\n" + head  # a search for this byte is many times faster than one for the beginning of a line
    kept, at = [], 1
    for found in fields.finditer(text):
        kept.append(text[at : found.start() + 1])
        at = found.end() + 1
    return b"".join([*kept, text[at:]])
