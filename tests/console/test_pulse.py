"""The figures of the overview: read once for all who look, and again when they are no longer fresh."""

from __future__ import annotations

import pytest

from spamfilter.console import pulse
from spamfilter.console.pulse import PERIODS, Pulse
from tests.console.pages.mail import HAM, decided
from tests.console.serving import Served


@pytest.mark.parametrize("period", PERIODS)
async def test_who_looks_while_they_are_fresh_sees_the_same(served: Served, period: str) -> None:
    figures = Pulse(served.config, served.services.database, served.engine)
    first = await figures.figures(period)
    assert await figures.figures(period) is first


@pytest.mark.parametrize("period", PERIODS)
async def test_later_they_are_read_anew(served: Served, period: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "FRESH_S", 0.0)
    monkeypatch.setattr(pulse, "DAYS_FRESH_S", 0.0)
    figures = Pulse(served.config, served.services.database, served.engine)
    assert (await figures.figures(period)).total.count == 0
    await decided(served, HAM % 1, kept=False)
    total = (await figures.figures(period)).total
    assert (total.count, total.labels) == (1, {"ham": 1})
