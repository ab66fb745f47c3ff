"""The console in a real browser: live, accessible, within its policy, at the width of a phone, by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from spamfilter.console.security.identity import COOKIE
from tests.console.conftest import Serve
from tests.console.serving import Served

pytestmark = pytest.mark.e2e
SPAM = "Subject: VIAGRA now\n\nBuy VIAGRA\n"
PAGES = ("/try", "/try?example=disguise", "/account", "/keys", "/nothing")
SIZES = {"desktop": (1280, 900), "phone": (360, 740)}


@pytest.fixture
async def chromium(require_program: Callable[[str, str], str]) -> AsyncIterator[Browser]:
    """A browser of the system's."""
    program = require_program("chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def context(chromium: Browser, served: Served) -> BrowserContext:
    """Signed in as an admin."""
    made = await chromium.new_context()
    await made.add_cookies([{"name": COOKIE, "value": served.session("admin"), "url": served.origin}])
    return made


@pytest.fixture
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page; whatever the browser complains of fails the test."""
    made = await context.new_page()
    complaints: list[str] = []
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield made
    await made.close()
    assert [text for text in complaints if "404" not in text] == []


async def test_the_link_leads_to_a_page_that_is_signed_in(chromium: Browser, served: Served) -> None:
    page = await chromium.new_page()
    await page.goto(served.console.link)
    await expect(page.locator(".me")).to_contain_text("local")
    assert "key=" not in page.url


async def test_the_verdict_comes_while_one_types(page: Page, served: Served) -> None:
    await page.goto(f"{served.origin}/try")
    await expect(page.locator("#verdict")).to_contain_text("No message yet")
    await page.get_by_label("Message", exact=True).press_sequentially("hello there")
    await expect(page.locator("#verdict .badge.large")).to_have_text("ham")
    await page.get_by_label("Message", exact=True).fill(SPAM)
    await expect(page.locator("#verdict .badge.large")).to_have_text("spam")
    await expect(page.locator("#reasons .read mark[class^=spam]").first).to_have_text("viagra")
    await page.get_by_label("Message", exact=True).fill("")
    await expect(page.locator("#verdict")).to_contain_text("No message yet")
    await expect(page.locator("#reasons")).to_be_empty()


async def test_the_switch_changes_how_it_is_read(page: Page, served: Served) -> None:
    await page.goto(f"{served.origin}/try")
    await page.get_by_label("Message", exact=True).fill(SPAM)
    await expect(page.locator(".facts-line")).to_contain_text("mail")
    await page.get_by_text("Text, SMS").click()
    await expect(page.locator(".facts-line")).to_contain_text("text")


async def test_a_file_is_chosen_dropped_and_put_away(page: Page, served: Served, tmp_path: Path) -> None:
    (tmp_path / "bad.eml").write_text(SPAM)
    await page.goto(f"{served.origin}/try")
    await page.get_by_label("File").set_input_files(tmp_path / "bad.eml")
    await expect(page.locator("#chip")).to_contain_text("bad.eml, 32 bytes")
    await expect(page.locator("#verdict .badge.large")).to_have_text("spam")
    await page.get_by_role("button", name="Remove").click()
    await expect(page.locator("#verdict")).to_contain_text("No message yet")
    await page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["Buy VIAGRA"], "dropped.txt"));
            document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }"""
    )
    await expect(page.locator("#chip")).to_contain_text("dropped.txt")
    await expect(page.locator("#verdict .badge.large")).to_have_text("spam")


async def test_a_file_beyond_the_limit_is_refused_before_it_is_sent(
    serve: Serve, chromium: Browser, tmp_path: Path
) -> None:
    served = await serve(engine__max_message_mib=1)
    context = await chromium.new_context()
    await context.add_cookies([{"name": COOKIE, "value": served.session("viewer"), "url": served.origin}])
    page = await context.new_page()
    (tmp_path / "large.eml").write_bytes(b"x" * 2_000_000)
    await page.goto(f"{served.origin}/try")
    await page.get_by_label("File").set_input_files(tmp_path / "large.eml")
    await expect(page.locator("#verdict")).to_contain_text("2.0 MB. Up to 1.0 MB are scanned")
    assert served.engine.seen == []  # type: ignore[attr-defined]


async def test_an_example_is_put_into_the_field(page: Page, served: Served) -> None:
    await page.goto(f"{served.origin}/try")
    await page.get_by_role("link", name="Chinese").click()
    await expect(page.get_by_label("Message", exact=True)).to_have_value(re.compile("发票"))
    await expect(page.locator("#verdict .badge.large")).to_be_visible()


async def test_hostile_text_does_not_run(page: Page, served: Served) -> None:
    await page.goto(f"{served.origin}/try")
    hostile = """<img src=x onerror="document.title='run'"> <script>document.title='run'</script>"""
    await page.get_by_label("Message", exact=True).fill(hostile)
    await expect(page.locator("#reasons .read")).to_contain_text("img")
    assert await page.title() != "run"
    assert await page.locator("#reasons img, #reasons script").count() == 0


async def test_a_daemon_that_is_gone_is_told(context: BrowserContext, served: Served) -> None:
    page = await context.new_page()
    await page.goto(f"{served.origin}/try")
    await served.console.stop(0.0)
    await page.get_by_label("Message", exact=True).fill("hello")
    await expect(page.locator("#verdict")).to_contain_text("The daemon does not answer")


async def test_the_keyboard_leads_everywhere(page: Page, served: Served) -> None:
    await page.goto(f"{served.origin}/keys")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("?")
    await expect(page.locator("#keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#keys")).to_be_hidden()
    await page.keyboard.press("g")
    await page.keyboard.press("t")
    await page.wait_for_url("**/try")
    await page.keyboard.press("/")
    await page.keyboard.type("g?")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("g?")


async def test_without_scripts_the_form_works(chromium: Browser, served: Served) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    await context.add_cookies([{"name": COOKIE, "value": served.session("viewer"), "url": served.origin}])
    page = await context.new_page()
    await page.goto(f"{served.origin}/try")
    await page.get_by_label("Message", exact=True).fill(SPAM)
    await page.get_by_role("button", name="Judge it").click()
    await expect(page.locator("#verdict .badge.large")).to_have_text("spam")
    await expect(page.get_by_label("Message", exact=True)).to_have_value(re.compile("VIAGRA"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
async def test_every_page_is_accessible_and_fits(chromium: Browser, served: Served, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    context = await chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True  # axe is a script of its own
    )  # fmt: skip
    page = await context.new_page()
    await page.goto(f"{served.origin}/login")
    found = {"/login": await Axe().run(page)}
    await context.add_cookies([{"name": COOKIE, "value": served.session("admin"), "url": served.origin}])
    for path in PAGES:
        await page.goto(served.origin + path)
        found[path] = await Axe().run(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert {path: result.generate_report() for path, result in found.items() if result.violations_count} == {}
