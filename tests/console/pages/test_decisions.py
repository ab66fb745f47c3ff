"""The list of decisions: what it shows of strangers' text, how it is searched and paged, and as CSV."""

from __future__ import annotations

import csv
import io
import re

import pytest

from spamfilter.verdict import Disposition
from tests.console.pages.mail import HAM, SPAM, decided
from tests.console.serving import Served

_ROW = re.compile(r'<tr data-id="(\w+)">')
_LINK = re.compile(r'<a class="button" rel="(prev|next)" href="([^"]+)"')


def rows(html: str) -> list[str]:
    return _ROW.findall(html)


def links(html: str) -> dict[str, str]:
    return {rel: href.replace("&amp;", "&") for rel, href in _LINK.findall(html)}


async def test_an_empty_list_says_what_to_do(served: Served) -> None:
    page = (await (await served.client("viewer")).get("/decisions")).text
    assert "No decisions yet" in page
    assert 'href="/try"' in page


async def test_a_filter_that_finds_nothing_says_so(served: Served) -> None:
    await decided(served, HAM % 1)
    page = (await (await served.client("viewer")).get("/decisions?verdict=spam")).text
    assert "Nothing found" in page
    assert rows(page) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("verdict=spam", {"spam"}),
        ("q=BOB", {"ham"}),
        ("sender=bob", {"ham"}),
        ("recipient=you@", {"spam"}),
        ("period=1h", {"ham", "spam"}),
        ("since=2001-01-01T00:00&until=2002-01-01T00:00", set()),
        ("channel=folder", {"ham"}),
        ("disposition=quarantined", {"spam"}),
        ("model=fake-1", {"ham", "spam"}),
        ("model=other", set()),
    ],
)
async def test_each_field_filters(served: Served, query: str, found: set[str]) -> None:
    ham = await decided(served, HAM % 1, sender="bob@example.net", channel="folder")
    spam = await decided(served, SPAM % 1, to=["you@here.example"], disposition=Disposition.QUARANTINED)
    names = {ham.message_id: "ham", spam.message_id: "spam"}
    page = (await (await served.client("viewer")).get(f"/decisions?{query}")).text
    assert {names[id_] for id_ in rows(page)} == found


@pytest.mark.parametrize("query", ["period=9y", "verdict=bad", "since=yesterday", "before=<x>", "disposition=eaten"])
async def test_what_cannot_be_meant_is_refused_calmly(served: Served, query: str) -> None:
    answer = await (await served.client("viewer")).get(f"/decisions?{query}")
    assert answer.status_code == 400
    assert "<h1>" in answer.text


async def test_pages_lead_to_the_oldest_and_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spamfilter.console.pages.decisions.ROWS", 3)
    made = [(await decided(served, HAM % number, kept=False)).message_id for number in range(8)]
    client = await served.client("viewer")
    seen, path = [], "/decisions?verdict=ham"
    pages = []
    while path:
        html = (await client.get(path)).text
        pages.append(html)
        seen += rows(html)
        path = links(html).get("next", "")
    assert seen == made[::-1]
    assert "prev" not in links(pages[0])
    back = (await client.get(links(pages[2])["prev"])).text
    assert rows(back) == rows(pages[1])
    assert rows((await client.get(links(back)["prev"])).text) == rows(pages[0])


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ("<script>alert(1)</script>@x", "&lt;script&gt;alert(1)&lt;/script&gt;@x"),
        ('" onmouseover=x y="@x', "&#34; onmouseover=x y=&#34;@x"),
        ("\u202egpj.exe@x", "U+202E</span>gpj.exe@x"),
        ("a\u200bb@x", 'title="zero width space">U+200B</span>b@x'),
        ("", "&lt;&gt;"),
    ],
    ids=["script", "attribute", "bidi", "zero width", "null sender"],
)
async def test_what_strangers_wrote_is_text(served: Served, sender: str, shown: str) -> None:
    one = await decided(served, HAM % 1, sender=sender)
    client = await served.client("operator")
    for path in ("/decisions", f"/decisions/{one.message_id}"):
        page = (await client.get(path)).text
        assert shown in page
        assert "<script>alert" not in page
        assert " onmouseover=x" not in page.replace("&#34; onmouseover", "")
        assert "\u202e" not in page.replace(f'aria-label="Tick the message from {sender}', "")


async def test_one_decision_shows_all_that_is_known(served: Served) -> None:
    one = await decided(served, SPAM % 1, disposition=Disposition.REFUSED)
    page = (await (await served.client("viewer")).get(f"/decisions/{one.message_id}")).text
    assert one.message_id in page
    assert "refused by next hop" in page
    assert "Mark spam" not in page, "a viewer only looks"


async def test_the_reasons_come_apart_or_with_the_page_where_there_are_no_scripts(served: Served) -> None:
    one = await decided(served, SPAM % 1)
    client = await served.client("viewer")
    path = f"/decisions/{one.message_id}"
    bare = (await client.get(path)).text
    assert f'data-url="{path}/why"' in bare
    assert f'href="{path}?why"' in bare
    assert "<mark" not in bare
    for told in (await client.get(f"{path}/why"), await client.get(f"{path}?why")):
        assert told.status_code == 200
        assert '<mark class="spam-' in told.text
        assert "viagra" in told.text


async def test_what_is_not_kept_any_more_cannot_be_explained(served: Served) -> None:
    one = await decided(served, SPAM % 1, kept=False)
    answer = await (await served.client("viewer")).get(f"/decisions/{one.message_id}/why")
    assert answer.status_code == 404
    assert "not kept here any more" in answer.text


async def test_a_message_that_is_not_kept_is_said_to_be_so(served: Served) -> None:
    one = await decided(served, SPAM % 1, kept=False)
    page = (await (await served.client("viewer")).get(f"/decisions/{one.message_id}")).text
    assert "is not kept here" in page
    assert "<mark" not in page


async def test_a_decision_that_is_not_there_is_no_fault(served: Served) -> None:
    answer = await (await served.client("viewer")).get("/decisions/0123456789abcdef")
    assert answer.status_code == 404
    assert "no decision" in answer.text


@pytest.mark.parametrize(
    "sender", ["=1+1@x", "+1@x", "-1@x", "@x", "\t=1@x", "\uff1d1@x", "  =1@x"], ids=lambda sender: ascii(sender)
)
async def test_csv_runs_no_formula(served: Served, sender: str) -> None:
    await decided(served, SPAM % 1, sender=sender, to=["=cmd|' /C calc'!A0"])
    answer = await (await served.client("viewer")).get("/decisions/export.csv?verdict=spam")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    (line,) = csv.DictReader(io.StringIO(answer.text))
    assert line["from"].startswith("'")
    assert line["to"].startswith("'=cmd")
    assert line["verdict"] == "spam"


async def test_csv_holds_all_that_the_filter_lets_through(served: Served) -> None:
    for number in range(7):
        await decided(served, (SPAM if number % 2 else HAM) % number, kept=False)
    answer = await (await served.client("viewer")).get("/decisions/export.csv?verdict=ham")
    assert [line["verdict"] for line in csv.DictReader(io.StringIO(answer.text))] == ["ham"] * 4
