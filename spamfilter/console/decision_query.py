"""What a person looks for in the decisions, read from an address: every value checked, and kept for the links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from spamfilter.store.history import Filter
from spamfilter.store.tallies import UNSCANNED
from spamfilter.verdict import Disposition, Label

PERIODS: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
VERDICTS = (*(str(label) for label in Label), UNSCANNED)
DISPOSITIONS = tuple(str(disposition) for disposition in Disposition)
FIELDS = ("q", "period", "since", "until", "verdict", "disposition", "sender", "recipient", "channel", "model")
_MOST = 200
_CURSOR = re.compile(r"[0-9A-Za-z.-]{1,100}")
_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Query:
    """The fields that are set, by their names in the address, and where in the list we are.

    `before` is the cursor of this page, "" for the newest; `trail` those of the pages before it, the nearest last.
    """

    fields: Mapping[str, str]
    before: str = ""
    trail: tuple[str, ...] = ()

    @classmethod
    def read(cls, asked: Mapping[str, str]) -> Query:
        """From an address's parameters. Raises ValueError for people."""
        given = {name: asked.get(name, "").strip()[:_MOST] for name in FIELDS}
        fields = {name: value for name, value in given.items() if value}
        before, trail = asked.get("before", ""), [one for one in asked.get("trail", "").split("~") if one]
        if not all(_CURSOR.fullmatch(cursor) for cursor in (*trail, *([before] if before else []))):
            raise ValueError("this is no place in the list; begin at the newest again")
        found = cls(fields, before, tuple(trail[-_DEEPEST:]))
        found.filter()
        return found

    def filter(self, now: datetime | None = None) -> Filter:
        """The same for the store. Raises ValueError for people."""
        get = self.fields.get
        since, until = _moment(get("since")), _moment(get("until"))
        if (period := get("period")) is not None:
            if period not in PERIODS:
                raise ValueError(f"{period!r} is no period; choose from {', '.join(PERIODS)}")
            since = max(filter(None, (since, (now or datetime.now(UTC)) - PERIODS[period])))
        for name, known in (("verdict", VERDICTS), ("disposition", DISPOSITIONS)):
            if get(name) not in (None, *known):
                raise ValueError(f"{get(name)!r} is no {name}; choose from {', '.join(known)}")
        return Filter(
            since=since, until=until, label=get("verdict"), channel=get("channel"), sender=get("sender"),
            recipient=get("recipient"), text=get("q"), model_id=get("model"), disposition=get("disposition"),
        )  # fmt: skip

    @property
    def detailed(self) -> bool:
        """Whether one of the fields is set that are seldom used."""
        return any(name in self.fields for name in ("since", "until", "sender", "recipient", "channel", "model"))

    def address(self, path: str = "/decisions", **more: str) -> str:
        """The address of the list with these fields, at its newest end unless `before` is among `more`."""
        return f"{path}?{urlencode({**self.fields, **more})}" if self.fields or more else path

    def older(self, cursor: str) -> str:
        """The address of the page after this one."""
        trail = (*self.trail, self.before or "newest")[-_DEEPEST:]
        return self.address(before=cursor, trail="~".join(trail))

    @property
    def newer(self) -> str:
        """The address of the page before this one; "" on the newest."""
        if not self.before:
            return ""
        *rest, last = self.trail or ("newest",)
        more = {"trail": "~".join(rest)} if rest else {}
        return self.address(**({} if last == "newest" else {"before": last, **more}))


def _moment(text: str | None) -> datetime | None:
    """A time as the browser's field sends it, in UTC. Raises ValueError for people."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write it like 2026-01-31T12:00 (UTC)") from None
