"""Three roles, each of which may do what the one before it may; and the mark by which every route names its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RANKS = ("viewer", "operator", "admin")


class Role(StrEnum):
    """VIEWER looks and tries, OPERATOR corrects and releases mail, ADMIN changes models, thresholds and accounts."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """True where whoever has this role may do what `other` may."""
        return RANKS.index(self) >= RANKS.index(other)


@dataclass(frozen=True, slots=True)
class User:
    """Who is signed in. `name` is "local" for whoever came by the sign-in link of this machine."""

    name: str
    role: Role
