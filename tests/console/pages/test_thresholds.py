"""The thresholds page: what a place in the table promises, what past mail would have got, and lines to copy."""

from __future__ import annotations

import re

import pytest

from spamfilter.message import Message
from spamfilter.verdict import Score
from tests.console.conftest import Serve
from tests.console.fakes import ExplainingEngine
from tests.console.pages.mail import HAM, decided
from tests.console.serving import Served

MODEL = "default-"


async def test_the_page_begins_where_the_policy_stands(served: Served) -> None:
    page = (await (await served.client("admin")).get("/thresholds")).text
    assert "max_false_positive_rate: 0.005" in page
    assert "As it is set now" in page
    assert "has scored nothing yet" in page


async def test_a_place_of_the_slider_is_a_row(served: Served) -> None:
    page = (await (await served.client("admin")).get("/thresholds?spam=0&unsure=5")).text
    assert "max_false_positive_rate: 0.0005" in page
    assert "max_unsure_rate: 0.01" in page
    assert "To apply it" in page


async def test_a_number_wins_and_unsure_is_never_above_spam(served: Served) -> None:
    answer = await (await served.client("admin")).get("/thresholds/answer?spam=0&spam_at=0.3&unsure_at=0.9")
    assert re.search(r"spam_at: 0\.3\s+unsure_at: 0\.3", answer.text)
    assert "<html" not in answer.text


@pytest.mark.parametrize("query", ["spam=99", "spam=-1", "spam=x", "spam_at=2", "spam_at=nan", "unsure_at=<x>"])
async def test_what_is_no_threshold_is_refused_calmly(served: Served, query: str) -> None:
    answer = await (await served.client("admin")).get(f"/thresholds?{query}")
    assert answer.status_code == 400
    assert "<x>" not in answer.text


async def test_past_mail_is_counted_under_both(serve: Serve) -> None:
    from spamfilter.classifier.bundle import default_bundle, open_bundle

    model_id = open_bundle(default_bundle()).model_id
    told = iter([0.001, 0.8, 0.8, 0.9999])

    def answered(_: Message) -> Score:
        return Score(next(told), {}, model_id, {"total": 1.0})

    served = await serve(engine=ExplainingEngine(answered))
    for number in range(4):
        await decided(served, HAM % number, kept=False)
    page = (await (await served.client("admin")).get("/thresholds/answer?spam_at=0.75&unsure_at=0.75")).text
    cells = re.findall(r'<td class="number">(?:<span class="muted">)?([^<]+)', page)
    assert [*zip(cells[::3], cells[1::3], cells[2::3], strict=True)] == [
        ("1", "1", "none"),
        ("2", "0", "-2"),
        ("1", "3", "+2"),
    ]


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_it_is_for_admins(served: Served, role: str) -> None:
    for path in ("/thresholds", "/thresholds/answer"):
        assert (await (await served.client(role)).get(path)).status_code == 403
