"""A real browser before the console: two sizes of screen, and eyes for what must never happen on any page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, Page, Request, StorageState, sync_playwright

from tests.conftest import absent

CHROMIUM = Path("/usr/bin/chromium")
SCREENS = {"desktop": (1280, 900, "light"), "phone": (390, 844, "dark")}
_GRAVE = ("serious", "critical")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's browser, without a window. Skips where there is none."""
    if not CHROMIUM.exists():
        absent("no chromium: apt-get install chromium", "SPAMFILTER_REQUIRE_SERVERS")
    rootless = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=rootless)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Desk:
    """A page on a screen. `faults` fills with errors of its scripts and requests to other hosts than `origin`'s."""

    page: Page
    origin: str
    screen: str
    artefacts: Path
    faults: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    """What the page asked before something was done; each is answered with yes."""

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("request", self._requested)
        self.page.on("dialog", self._asked)

    def go(self, path: str) -> Page:
        """Open a path of the console."""
        answer = self.page.goto(f"{self.origin}{path}")
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        return self.page

    def look(self, name: str) -> None:
        """Keep a picture, and check what can be seen: names for everything, contrast, nothing wider than the screen."""
        page = self.page
        page.screenshot(path=self.artefacts / f"{name}-{self.screen}.png", full_page=True)
        found = Axe().run(page).response["violations"]
        grave = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found if one["impact"] in _GRAVE]
        assert grave == [], f"{name} on the {self.screen}"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name}: wider than the {self.screen} by {wide} px"
        assert page.locator("h1").count() == 1
        assert page.title().endswith(" · spamfilter")
        assert self.faults == []

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(f"console: {text}")

    def _requested(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme != "data" and f"{url.scheme}://{url.netloc}" != self.origin:
            self.faults.append(f"asks elsewhere: {request.url}")

    def _asked(self, dialog: Dialog) -> None:
        self.questions.append(dialog.message)
        dialog.accept()


@contextmanager
def desk(browser: Browser, origin: str, screen: str, state: StorageState, artefacts: Path) -> Iterator[Desk]:
    """A page with the cookies of `state`, on one of SCREENS; whatever went wrong on it fails at the end."""
    width, height, scheme = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        storage_state=state,
        has_touch=screen == "phone",
    )
    try:
        made = Desk(context.new_page(), origin, screen, artefacts)
        yield made
        assert made.faults == []
    finally:
        context.close()


def figure(text: str) -> int:
    """The number in a text such as "1,234 messages"."""
    found = re.search(r"[\d,]+", text)
    assert found is not None, text
    return int(found.group().replace(",", ""))
