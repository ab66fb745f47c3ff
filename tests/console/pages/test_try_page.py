"""The page that tries a message: with and without scripts, whatever is pasted into it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spamfilter.classifier.explanation import Explanation, FactPart, Span, SpanKind
from spamfilter.console.pages.examples import EXAMPLES
from spamfilter.message import Kind
from spamfilter.verdict import Failure, FailureKind
from tests.console.conftest import Serve
from tests.console.fakes import ExplainingEngine
from tests.console.serving import Browser, Served
from tests.fakes import score

SPAM = "Subject: VIAGRA now\n\nBuy VIAGRA\n"


@pytest.fixture
async def client(served: Served) -> Browser:
    return await served.client("viewer")


async def test_an_empty_page_says_what_to_do(client: Browser) -> None:
    page = (await client.get("/try")).text
    assert "No message yet" in page and "Paste one on this page" in page
    for name, example in EXAMPLES.items():
        assert f"/try?example={name}" in page and example.title in page


@pytest.mark.parametrize("name", list(EXAMPLES))
async def test_every_example_can_be_tried(client: Browser, name: str) -> None:
    page = await client.get(f"/try?example={name}")
    assert page.status_code == 200
    assert "As the model reads it" in page.text


async def test_without_scripts_a_form_brings_the_whole_answer(client: Browser) -> None:
    page = (await client.post_form("/try", text=SPAM, kind="auto")).text
    assert re.search(r'badge large spam">spam<', page)
    assert "99.00 %" in page and "Unsure from 50.00 %, spam from 90.00 %" in page
    assert "speaks strongly for spam" in page
    assert "Without the word &#34;viagra&#34;" in page
    assert "The mail has no Message-ID." in page and "Replies go to another domain." not in page
    assert "X-Spam-Flag: YES" in page
    assert "Subject: VIAGRA now" in page  # the text stays in its field


async def test_a_file_goes_with_the_form(client: Browser, served: Served) -> None:
    files = {"file": ("x.eml", SPAM.encode(), "message/rfc822")}
    page = await client.post("/try", data={"csrf": client.csrf, "text": "", "kind": "auto"}, files=files)
    assert 'badge large spam">' in page.text
    assert served.engine.seen[0].raw == SPAM.encode()  # type: ignore[attr-defined]


async def test_nothing_was_given(client: Browser, served: Served) -> None:
    page = await client.post_form("/try", text=" \n ", kind="text")
    assert page.status_code == 422
    assert "Paste a message, or choose a file." in page.text
    assert served.engine.seen == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "kind", "read"),
    [
        ("Subject: a\n\nb", "auto", Kind.MAIL),
        ("hello", "auto", Kind.TEXT),
        ("hello", "mail", Kind.MAIL),
        ("Subject: a\n\nb", "text", Kind.TEXT),
        ("hello", "fax", Kind.TEXT),
    ],
)
async def test_the_kind_is_seen_or_switched(client: Browser, served: Served, text: str, kind: str, read: Kind) -> None:
    await client.post_form("/try", text=text, kind=kind)
    assert served.engine.seen[0].kind is read  # type: ignore[attr-defined]


async def bare(client: Browser, part: str, raw: bytes, kind: str = "auto") -> str:
    """As the script asks for a part of the page."""
    answer = await client.post(f"/try/{part}?kind={kind}", content=raw, headers={"X-CSRF-Token": client.csrf})
    assert answer.status_code == 200
    return answer.text


async def test_the_script_gets_parts_of_the_page(client: Browser) -> None:
    verdict = await bare(client, "verdict", SPAM.encode())
    reasons = await bare(client, "reasons", SPAM.encode())
    assert 'badge large spam">' in verdict and "<html" not in verdict
    assert "As the model reads it" in reasons and "<html" not in reasons


async def test_trying_leaves_no_line_in_the_log(client: Browser, served: Served) -> None:
    await client.post_form("/try", text=SPAM)
    await bare(client, "verdict", b"hello")
    served.store.close()
    assert await served.services.read(lambda history: history.page()) == []


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"


async def test_hostile_text_is_text_wherever_it_is_shown(serve: Serve) -> None:
    engine = ExplainingEngine()
    span = Span(0, len(HOSTILE), "head", HOSTILE, 1.0, 1.0, SpanKind.LOOK_ALIKE, HOSTILE)
    fact = FactPart(HOSTILE, HOSTILE, True, 1.0)
    engine.explanation = Explanation(score(0.99), 4.6, 1.6, (span,), (fact,), {}, 0.0, (), HOSTILE, HOSTILE)
    client = await (await serve(engine=engine)).client("viewer")
    page = (await client.post_form("/try", text=f"Subject: {HOSTILE}\n\n{HOSTILE}</textarea>{HOSTILE}")).text
    assert "<script>" not in page and "<img src=x" not in page
    assert page.count("</textarea>") == 1
    assert page.count("&lt;script&gt;") >= 5


async def test_many_facts_are_folded_behind_the_strongest(serve: Serve) -> None:
    engine = ExplainingEngine()
    facts = tuple(FactPart(f"f{n}", f"Fact {n}.", True, 1.0 / (n + 1)) for n in range(11))
    engine.explanation = Explanation(score(0.99), 4.6, 1.6, (), facts, {}, 0.0, (), "x", "")
    client = await (await serve(engine=engine)).client("viewer")
    reasons = (await bare(client, "reasons", b"x")).partition("<h2>Facts</h2>")[2]
    shown, _, folded = reasons.partition("<details>")
    assert "Fact 7." in shown and "Fact 8." not in shown
    assert "3 more that moved it less" in folded and "Fact 10." in folded


async def test_signs_that_hide_are_seen(client: Browser) -> None:
    reasons = await bare(client, "reasons", b"Subject: hi\n\ninvoice\xe2\x80\xaegpj.exe")
    assert "\u202e" not in reasons


async def test_look_alikes_are_named(serve: Serve) -> None:
    engine = ExplainingEngine()
    span = Span(0, 6, "head", "paypal", 1.0, 1.0, SpanKind.LOOK_ALIKE, "Ра\u200byраl")
    engine.explanation = Explanation(score(0.99), 4.6, 2.6, (span,), (), {}, 0.0, (), "paypal", "")
    client = await (await serve(engine=engine)).client("viewer")
    reasons = await bare(client, "reasons", b"x")
    for told in ("cyrillic capital letter er", "cyrillic small letter a", "zero width space", "U+0430", "U+200B"):
        assert told in reasons, told


@pytest.mark.parametrize(
    "raw", [b"", b"\0" * 100, b"\xff\xfe\x00", b"Subject: \n" * 5000, "您好".encode(), b"\r\n" * 99]
)
async def test_any_bytes_get_an_answer(client: Browser, raw: bytes) -> None:
    assert "badge large" in await bare(client, "verdict", raw)
    assert "As the model reads it" in await bare(client, "reasons", raw)


async def test_twenty_megabytes_get_an_answer(client: Browser, served: Served) -> None:
    raw = b"Subject: large\n\n" + b"All work and no play. " * 1_000_000
    assert "22.0 MB" in await bare(client, "verdict", raw)
    files = {"file": ("large.eml", raw, "message/rfc822")}
    page = await client.post("/try", data={"csrf": client.csrf}, files=files)
    assert page.status_code == 200 and "22.0 MB" in page.text
    assert served.engine.seen[-1].raw == raw  # type: ignore[attr-defined]


async def test_what_is_too_large_says_so(serve: Serve) -> None:
    served = await serve(engine__max_message_mib=1)
    client = await served.client("viewer")
    verdict = await bare(client, "verdict", b"x" * (1024 * 1024 + 1))
    assert "unscanned" in verdict and "limit 1048576" in verdict
    answer = await client.post("/try/verdict", content=b"x" * 2_000_000, headers={"X-CSRF-Token": client.csrf})
    assert answer.status_code == 413
    assert "Larger than 1 MiB" in answer.text


async def test_a_failure_is_told_and_not_shown_as_ham(serve: Serve) -> None:
    client = await (await serve(engine=ExplainingEngine(Failure(FailureKind.OVERLOAD, "9 wait")))).client("viewer")
    page = (await client.post_form("/try", text="hello")).text
    assert "unscanned" in page and "overload" in page and "9 wait" in page
    assert "badge large ham" not in page and "to be sent again later" in page


async def test_the_templates_and_scripts_are_all_there() -> None:
    import spamfilter.console as package

    folder = Path(package.__file__).parent
    used = set(re.findall(r"/static/([\w.-]+)", "".join(path.read_text() for path in folder.rglob("*.html"))))
    assert used <= {path.name for path in (folder / "static").iterdir()}
