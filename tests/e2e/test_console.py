"""The console in a real browser before the real daemon: each page's task to its end, on a desk and on a phone."""

from __future__ import annotations

import os
import re
import smtplib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import default_bundle
from tests.__main__ import ROOT
from tests.conftest import absent
from tests.e2e.daemon import ServedDaemon, serving

try:
    from playwright.sync_api import Browser, StorageState, expect

    from tests.e2e.browser import SCREENS, Desk, chromium, desk, figure
except ImportError:
    absent("no playwright: pip install -c constraints.txt '.[dev]'", "SPAMFILTER_REQUIRE_SERVERS")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SENDERS = ("ann@example.org", "bob@example.net", '"<script>alert(1)</script>"@example.com')
ROUNDS = 3


def send(daemon: ServedDaemon, number: int, sender: str = SENDERS[0]) -> None:
    """Mail of the examples through the daemon's own door, each a little different."""
    mails = sorted((ROOT / "examples" / "messages").glob("*.eml"))
    raw = mails[number % len(mails)].read_bytes().replace(b"\r\n", b"\n") + f"\nnumber {number}\n".encode()
    with smtplib.SMTP("127.0.0.1", daemon.port) as smtp:
        smtp.docmd("EHLO", "mx.example")
        smtp.docmd("MAIL", f"FROM:<{sender}>")
        smtp.docmd("RCPT", "TO:<me@here.example>")
        assert smtp.data(raw.replace(b"\n", b"\r\n"))[0] == 250


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDaemon]:
    """A daemon with some dozen decided mails, and a run of the trainer to look at."""
    with serving(tmp_path_factory.mktemp("console"), {"policy": {"actions": {"spam": "quarantine"}}}) as served:
        for number in range(12 * ROUNDS):
            send(served, number, SENDERS[number % len(SENDERS)])
        run = served.state_dir / "runs" / "default" / "pretrain"
        run.mkdir(parents=True)
        steps = (f'{{"step": {n}, "tokens": {n}000, "loss": {9 / n**0.3:.3f}, "rate": 900}}\n' for n in range(1, 60))
        (run / "metrics.jsonl").write_text("".join(steps))
        yield served


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures are kept: $SPAMFILTER_ARTEFACTS, or a folder that goes."""
    named = os.environ.get("SPAMFILTER_ARTEFACTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def signed_in(browser: Browser, daemon: ServedDaemon) -> StorageState:
    """What the sign-in link leaves in a browser."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(daemon.pages)
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(params=SCREENS)
def at(
    request: pytest.FixtureRequest, browser: Browser, daemon: ServedDaemon, signed_in: StorageState, artefacts: Path
) -> Iterator[Desk]:
    """Somebody at a desk, or with a phone, who is signed in."""
    url = urlsplit(daemon.pages)
    with desk(browser, f"{url.scheme}://{url.netloc}", request.param, signed_in, artefacts) as found:
        yield found


def test_the_overview_follows_the_mail(at: Desk, daemon: ServedDaemon) -> None:
    page = at.go("/")
    messages = page.locator(".stat", has_text="messages").locator(".value")
    before = figure(messages.inner_text())
    assert before >= 12 * ROUNDS
    send(daemon, before)
    expect(messages).to_have_text(f"{before + 1:,}", timeout=15_000)
    expect(page.locator("#drift")).to_contain_text("Too few messages to say", timeout=30_000)
    page.get_by_text("Figures").first.click()
    expect(page.get_by_role("columnheader", name="spam").first).to_be_visible()
    at.look("overview")
    page.get_by_role("link", name="30d").click()
    expect(page.get_by_text("Messages by day (UTC)")).to_be_visible()


MESSAGES = ROOT / "examples" / "messages"


def test_a_pasted_sms_is_read_as_text(at: Desk) -> None:
    page = at.go("/try")
    page.get_by_label("Message", exact=True).fill((MESSAGES / "spam-sms.txt").read_text("utf-8"))
    expect(page.locator("#verdict .badge.large")).to_have_text("spam")
    expect(page.locator(".facts-line")).to_contain_text("read astext")
    expect(page.locator("#reasons .moved.spam").first).to_be_visible()
    at.look("try-sms")


def test_a_pasted_chinese_mail_is_read(at: Desk) -> None:
    page = at.go("/try")
    page.get_by_label("Message", exact=True).fill((MESSAGES / "ham-chinese.eml").read_text("utf-8"))
    expect(page.locator("#verdict .badge.large")).to_have_text("ham")
    expect(page.locator(".facts-line")).to_contain_text("read asmail")
    expect(page.locator("#reasons .read").first).to_contain_text("论文初稿的修改意见")
    at.look("try-chinese")


def test_look_alikes_in_a_file_are_told(at: Desk) -> None:
    page = at.go("/try")
    page.get_by_label("File").set_input_files(MESSAGES / "spam-phishing.eml")
    expect(page.locator("#verdict .badge.large")).to_have_text("spam")
    undone = page.locator(".panel", has=page.get_by_role("heading", name="Disguises that were undone"))
    expect(undone).to_contain_text("look-alike characters")
    expect(undone).to_contain_text("cyrillic small letter o")
    at.look("try-look-alikes")


def test_a_mail_of_twenty_megabytes_is_judged(at: Desk, tmp_path: Path) -> None:
    large = tmp_path / "large.eml"
    head = b"From: ann@example.org\nSubject: the pictures\nContent-Type: application/zip\n"
    large.write_bytes(head + b"Content-Transfer-Encoding: base64\n\n" + (b"QUJD" * 19 + b"\n") * 260_000)
    page = at.go("/try")
    page.get_by_label("File").set_input_files(large)
    expect(page.locator("#chip")).to_contain_text("large.eml, 20.0 MB")
    expect(page.locator("#verdict .badge.large")).to_have_text(re.compile("ham|unsure|spam"), timeout=30_000)
    expect(page.locator(".facts-line")).to_contain_text("20.0 MB")
    expect(page.locator("#reasons .read").first).to_contain_text("the pictures", timeout=30_000)


def test_an_empty_field_asks_for_a_message(at: Desk) -> None:
    page = at.go("/try")
    field = page.get_by_label("Message", exact=True)
    field.fill("hello")
    expect(page.locator("#verdict .badge.large")).to_be_visible()
    field.fill(" \n")
    expect(page.locator("#verdict")).to_contain_text("No message yet")
    expect(page.locator("#reasons")).to_be_empty()


def test_without_scripts_each_page_does_its_task(
    browser: Browser, daemon: ServedDaemon, signed_in: StorageState
) -> None:
    url = urlsplit(daemon.pages)
    context = browser.new_context(java_script_enabled=False, storage_state=signed_in)
    context.set_default_timeout(30_000)
    page, origin = context.new_page(), f"{url.scheme}://{url.netloc}"
    page.goto(origin)
    expect(page.locator("#drift")).to_contain_text("spamfilter drift")
    page.goto(f"{origin}/try")
    page.get_by_role("button", name="Judge it").click()
    expect(page.get_by_role("alert")).to_have_text("Paste a message, or choose a file.")
    page.goto(f"{origin}/decisions")
    page.get_by_label("Sender, recipient, host or id").fill("bob@example.net")
    page.get_by_role("button", name="Search").click()
    page.locator("#decisions tbody tr").last.get_by_role("link").click()
    for name, said in (("Mark ham", "Messages like it are known at once"), ("Undo", "Nobody has marked it")):
        page.get_by_role("button", name=name).click()
        expect(page.locator("main")).to_contain_text(said)
    page.goto(f"{origin}/thresholds")
    page.get_by_label("or the probability itself").first.fill("0.5")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#lines")).to_contain_text("spam_at: 0.5")
    page.goto(f"{origin}/training")
    expect(page.get_by_role("button", name="Retrain now")).to_be_enabled()
    context.close()


def test_a_decision_is_found_opened_marked_and_taken_back(at: Desk) -> None:
    page = at.go("/decisions")
    at.look("decisions")
    page.get_by_label("Sender, recipient, host or id").fill("alert(1)")
    page.get_by_label("Verdict").select_option("ham")
    page.get_by_role("button", name="Search").click()
    rows = page.locator("#decisions tbody tr")
    expect(rows.first).to_contain_text("<script>alert(1)</script>")
    page.get_by_role("checkbox").first.check()
    expect(page.locator("#ticked")).to_have_text("1 ticked")
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Why")).to_be_visible()
    expect(page.get_by_role("heading", name="As the model reads it")).to_be_visible()
    page.get_by_role("button", name="Mark spam").click()
    expect(page.locator("#said")).to_contain_text("Messages like it are known at once")
    expect(page.locator("#stands")).to_contain_text("Marked spam by local")
    at.look("decision")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#stands")).to_have_text("Nobody has marked it.")
    page.get_by_role("link", name="← Decisions").click()
    assert "verdict=ham" in page.url


def test_the_keyboard_is_enough(at: Desk) -> None:
    page = at.go("/decisions?q=bob@example.net")
    for key in ("j", "j", "k", "s"):
        page.keyboard.press(key)
    first = page.locator("#decisions tbody tr").first
    expect(first).to_have_class("here")
    expect(first).to_contain_text("marked spam")
    page.keyboard.press("u")
    expect(first).not_to_contain_text("marked spam")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What is known")).to_be_visible()
    page.wait_for_load_state()  # the scripts hear no key before they are there
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Try")


def test_quarantined_mail_is_released(at: Desk, daemon: ServedDaemon) -> None:
    page = at.go("/decisions?disposition=quarantined")
    page.locator("#decisions tbody tr").first.get_by_role("link").click()
    page.get_by_role("button", name="Release to its recipients").click()
    expect(page.get_by_text("Released: it is on its way")).to_be_visible()
    assert at.questions == ["Send this message on to its recipients?"]


def test_decisions_become_a_table_for_a_spreadsheet(at: Desk) -> None:
    page = at.go("/decisions?q=ann@example.org")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Export as CSV").click()
    text = Path(waiting.value.path()).read_text("utf-8")
    assert text.startswith("id,time,channel,from,")
    assert text.count("ann@example.org") >= ROUNDS


def test_a_threshold_is_weighed_before_it_is_set(at: Desk) -> None:
    page = at.go("/thresholds")
    lines = page.locator("#lines")
    expect(lines).to_contain_text("max_false_positive_rate: 0.005")
    slider = page.get_by_label("Ham that may be lost: strict … generous").first
    slider.focus()
    slider.press("Home")
    expect(lines).to_contain_text("max_false_positive_rate: 0.0005")
    expect(page.get_by_text("of ham called spam").locator("..")).to_contain_text("0.05 %")
    page.get_by_label("or the probability itself").first.fill("0.5")
    expect(lines).to_contain_text("spam_at: 0.5")
    at.look("thresholds")


def test_a_model_takes_over_and_gives_way(at: Desk, daemon: ServedDaemon) -> None:
    bundles = Bundles(daemon.state_dir)
    bundles.install(default_bundle(), keep_name="second")
    page = at.go("/models")
    at.look("models")
    second = page.locator(".model", has=page.get_by_role("link", name="second", exact=True))
    second.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("second is activated")).to_be_visible(timeout=30_000)
    assert bundles.link() == "second"
    page.get_by_role("button", name="Roll back to default").click()
    expect(page.get_by_text("Back to default")).to_be_visible(timeout=30_000)
    second.get_by_role("link", name="Compare").click()
    expect(page.get_by_text("Figure by figure")).to_be_visible()
    at.look("compare")
    at.go("/models/of/default")
    at.look("model")


@pytest.mark.parametrize("at", ["desktop"], indirect=True)
def test_a_retraining_is_begun_and_followed_to_its_end(at: Desk) -> None:
    for label in ("spam", "ham"):
        page = at.go(f"/decisions?verdict={label}&q=ann@example.org")
        for box in page.locator("#decisions").get_by_role("checkbox").all()[:3]:
            box.check()
        page.get_by_role("button", name=f"Mark {label}").click()
        expect(page.get_by_text("3 marked")).to_be_visible()
    page = at.go("/training")
    page.get_by_label("Only judge").check()
    page.get_by_role("button", name="Retrain now").click()
    expect(page.locator("#t-job-title")).to_contain_text("is running")
    expect(page.get_by_role("button", name="Retrain now")).to_be_disabled()
    expect(page.locator("#t-job-title")).not_to_contain_text("is running", timeout=120_000)
    expect(page.locator("#t-job")).to_contain_text(re.compile("Passed|Refused"))
    at.look("retrained")


def test_a_run_of_the_trainer_is_looked_at(at: Desk) -> None:
    page = at.go("/training")
    at.look("training")
    page.get_by_role("link", name="pretrain").click()
    expect(page.get_by_text("pretrain: loss in nats")).to_be_visible()
    at.look("run")
