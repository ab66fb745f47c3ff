"""The pages of the menu, in order, each with the role that may see it."""

from __future__ import annotations

from typing import NamedTuple

from spamfilter.console.security.roles import Role


class Entry(NamedTuple):
    """One line of the menu. `key` is what is pressed after `g` to go there."""

    title: str
    path: str
    role: Role
    key: str


MENU: tuple[Entry, ...] = (
    Entry("Overview", "/", Role.VIEWER, "o"),
    Entry("Try", "/try", Role.VIEWER, "t"),
    Entry("Decisions", "/decisions", Role.VIEWER, "d"),
    Entry("Thresholds", "/thresholds", Role.ADMIN, "h"),
    Entry("Models", "/models", Role.ADMIN, "m"),
    Entry("Training", "/training", Role.ADMIN, "r"),
)


def is_active(entry: Entry, path: str) -> bool:
    """True where `path` lies in the part of the console that the entry opens."""
    return path == entry.path or (entry.path != "/" and path.startswith(entry.path + "/"))
