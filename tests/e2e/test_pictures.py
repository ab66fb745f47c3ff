"""The pictures of the documents, taken of a month of made mail: each page is checked as any other, then kept.

    SPAMFILTER_PICTURES=deploy/console python -m pytest -p no:randomly tests/e2e/test_pictures.py

writes them; without the variable the pages are only looked at.
"""

from __future__ import annotations

import os
import random
import re
import smtplib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from sqlalchemy import select, update

from spamfilter.store.database import open_database, store_url
from spamfilter.store.history import Filter, History
from spamfilter.store.schema import decisions
from tests.__main__ import ROOT
from tests.bench.million import fill
from tests.conftest import absent
from tests.e2e.daemon import ServedDaemon, serving

try:
    from playwright.sync_api import Browser, FloatRect, Page, StorageState, expect

    from tests.e2e.browser import chromium, desk
except ImportError:
    absent("no playwright: pip install -c constraints.txt '.[dev]'", "SPAMFILTER_REQUIRE_SERVERS")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MONTH = 20_000
MAILS = 48
RECIPIENTS = ("helen@example.com", "daniel@example.com", "office@example.com")
MOST_BYTES = 250_000


@dataclass(frozen=True, slots=True)
class House:
    """A daemon with mail in it, and a browser that is signed in."""

    origin: str
    browser: Browser
    state: StorageState


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    root = tmp_path_factory.mktemp("pictures")
    (root / "state").mkdir()
    now = datetime.now(UTC)
    fill(root / "state", MONTH, until=now - timedelta(hours=3))
    settings = {"policy": {"actions": {"spam": "quarantine"}}, "console": {"runs": str(ROOT / "runs")}}
    with ExitStack() as stack:
        daemon = stack.enter_context(serving(root, settings))
        for number in range(MAILS):
            send(daemon, number)
        await_logged(daemon.state_dir, now)
        spread(daemon.state_dir, now)
        browser = stack.enter_context(chromium())
        page = browser.new_page()
        page.goto(daemon.pages)
        url = urlsplit(daemon.pages)
        yield House(f"{url.scheme}://{url.netloc}", browser, page.context.storage_state())


def send(daemon: ServedDaemon, number: int) -> None:
    """One of the examples, from whom it says that it is, through the daemon's own door."""
    mails = sorted((ROOT / "examples" / "messages").glob("*.eml"))
    raw = mails[number * 5 % len(mails)].read_bytes().replace(b"\r\n", b"\n") + f"\n{number}\n".encode()
    sender = parseaddr(str(message_from_bytes(raw)["from"]))[1]
    with smtplib.SMTP("127.0.0.1", daemon.port, "mx.example.org") as smtp:
        smtp.sendmail(sender, RECIPIENTS[number % len(RECIPIENTS)], raw.replace(b"\n", b"\r\n"))


def await_logged(state_dir: Path, since: datetime) -> None:
    """Until all that was sent is in the log, which the daemon writes some at a time."""
    deadline = time.monotonic() + 30
    with History(store_url("", state_dir)) as history:
        while (found := history.count(Filter(since=since))) < MAILS:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)


def spread(state_dir: Path, now: datetime) -> None:
    """Lay what was decided within a second over the last hours, as mail comes."""
    chance, moment = random.Random(1), now
    engine = open_database(store_url("", state_dir), writer=True)
    newest = select(decisions.c.id).where(decisions.c.time >= now).order_by(decisions.c.time.desc(), decisions.c.id)
    with engine.begin() as connection:
        for (id_,) in connection.execute(newest).all():
            moment -= timedelta(seconds=chance.uniform(20, 400))
            connection.execute(update(decisions).where(decisions.c.id == id_).values(time=moment, settled=moment))
    engine.dispose()


def tried(page: Page) -> None:
    page.get_by_role("link", name="Look-alikes").click()
    expect(page.get_by_role("heading", name="Disguises that were undone")).to_be_visible()


def listed(page: Page) -> None:
    rows = page.locator("#decisions tbody tr")
    assert rows.count() == 50
    expect(rows.first).to_contain_text("@example.")


def opened(page: Page) -> None:
    page.locator("#decisions tbody tr").first.get_by_role("link").click()
    expect(page.get_by_role("button", name="Release to its recipients")).to_be_visible()
    expect(page.get_by_text("look-alike").first).to_be_visible()


def counted(page: Page) -> None:
    assert page.locator(".chart").count() == 2
    expect(page.locator("#drift")).to_contain_text("messages", timeout=30_000)


def retrained(page: Page) -> None:
    training = page.url
    for label in ("spam", "ham"):
        page.goto(urljoin(training, f"/decisions?verdict={label}&channel=smtp"))
        kept = page.locator("#decisions tbody tr", has_text=re.compile(r"(helen|daniel|office)@example\.com"))
        for box in kept.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name=f"Mark {label}").click()
        expect(page.get_by_text(re.compile("^[1-9][0-9]* marked"))).to_be_visible()
    page.goto(training)
    page.get_by_label("Only judge").check()
    page.get_by_role("button", name="Retrain now").click()
    expect(page.locator("#t-job-title")).not_to_contain_text("is running", timeout=120_000)
    expect(page.locator("#said.shown")).to_have_count(0, timeout=15_000)


Act = Callable[["Page"], None]
PICTURES: tuple[tuple[str, str, int, str, Act], ...] = (
    ("try", "desktop", 1150, "/try", tried),
    ("decisions", "desktop", 900, "/decisions", listed),
    ("decision", "desktop", 1000, "/decisions?q=web12.example.net", opened),
    ("training", "desktop", 700, "/training", retrained),
    ("overview", "desktop", 900, "/?period=30d", counted),
    ("phone", "phone", 844, "/decisions", listed),
)
"""Name, screen, height in pixels at most, page, and what is done there."""


@pytest.mark.parametrize(("name", "screen", "height", "path", "act"), PICTURES, ids=[name for name, *_ in PICTURES])
def test_the_page_looks_like_its_picture(
    house: House, tmp_path: Path, name: str, screen: str, height: int, path: str, act: Act
) -> None:
    with desk(house.browser, house.origin, screen, house.state, tmp_path) as at:
        page = at.go(path)
        act(page)
        at.look(name)
        width, whole = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        part = {"x": 0.0, "y": 0.0, "width": float(width), "height": float(min(height, whole))}
        picture = page.screenshot(full_page=True, clip=FloatRect(**part))
    assert len(picture) < MOST_BYTES
    if folder := os.environ.get("SPAMFILTER_PICTURES"):
        (ROOT / folder / f"{name}.png").write_bytes(picture)
