"""What has just been done, said on the page that follows. The address names a sentence and numbers, never any text."""

from __future__ import annotations

from collections.abc import Mapping

_SENTENCES: Mapping[str, str] = {
    "spam": "Marked as spam. Messages like it are known at once, in whatever folder or frontend they come next.",
    "ham": "Marked as ham. Messages like it are known at once, in whatever folder or frontend they come next.",
    "known": "It was marked like that already; nothing has changed.",
    "undone": "The last mark is taken back; what was said before it stands again.",
    "nothing": "There was no mark to take back.",
    "released": "Released: it is on its way to its recipients.",
    "deleted": "Deleted from the quarantine.",
    "bulk": "{done} marked. Messages like them are known at once.",
    "partly": "{done} marked; {left} are not kept here and were left as they are: mark those in their mailboxes.",
}
_MOST = 10_000


def notice(asked: Mapping[str, str]) -> str:
    """The sentence for an address's `did`, with its numbers `done` and `left`; "" where it names none."""
    sentence = _SENTENCES.get(asked.get("did", ""), "")
    numbers = {name: asked.get(name, "") for name in ("done", "left")}
    return sentence.format(**{name: int(text) if _is_number(text) else 0 for name, text in numbers.items()})


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= _MOST
