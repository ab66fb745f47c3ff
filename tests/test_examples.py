"""Everything in examples/ is what it says: valid mail of our own writing, configurations that load, verdicts kept."""

from __future__ import annotations

import email
import email.policy
import ipaddress
import re
from email.message import EmailMessage
from pathlib import Path

import pytest
import yaml

from spamfilter import classifier, config
from spamfilter.classifier.bundle import default_bundle, open_bundle
from spamfilter.message import Kind, Message, kind_of
from spamfilter.operating_point import resolve_policy
from spamfilter.policy import judge
from spamfilter.verdict import Label, Score
from tests.__main__ import ROOT

EXAMPLES = ROOT / "examples"
MESSAGES = sorted(p for p in (EXAMPLES / "messages").iterdir() if p.suffix in (".eml", ".txt"))
MAILS = [path for path in MESSAGES if path.suffix == ".eml"]
EXPECTED: dict[str, list[str]] = yaml.safe_load((EXAMPLES / "messages" / "expected.yaml").read_text("utf-8"))
CONFIGS = sorted(EXAMPLES.glob("*.yaml"))

_DOCUMENTATION_NETS = [
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "127.0.0.0/8")
]
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_HOST = re.compile(r"(?:@|://|\bby |\bfrom )([a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.I)


def _parsed(path: Path) -> EmailMessage:
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def _text(path: Path) -> str:
    """Header block and every text part, decoded."""
    if path.suffix == ".txt":
        return path.read_text("utf-8")
    message = _parsed(path)
    parts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*(f"{name}: {value}" for name, value in message.items()), *parts])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_configuration_loads(path: Path) -> None:
    loaded = config.load(path, environ={})
    assert loaded.smtp.enabled


def test_quickstart_says_what_the_defaults_say() -> None:
    assert config.load(EXAMPLES / "quickstart.yaml", environ={}) == config.load(environ={})


def test_after_queue_never_bounces_to_forged_senders() -> None:
    loaded = config.load(EXAMPLES / "postfix-after-queue.yaml", environ={})
    assert loaded.smtp.next_hop is not None
    assert "reject" not in loaded.policy.actions.values()


def test_every_file_has_its_line() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    files = [str(p.relative_to(EXAMPLES)) for p in EXAMPLES.rglob("*") if p.is_file() and p.name != "README.md"]
    assert [name for name in files if f"`{name}`" not in readme] == []
    assert sorted(EXPECTED) == [path.name for path in MESSAGES]


@pytest.mark.parametrize("path", MAILS, ids=lambda p: p.name)
def test_mail_is_well_formed(path: Path) -> None:
    message = _parsed(path)
    assert [part.defects for part in message.walk() if part.defects] == []
    assert [value.defects for _, value in message.items() if value.defects] == []
    for name in ("From", "To", "Date", "Subject", "Message-ID", "Received", "MIME-Version"):
        assert message[name], f"no {name}"
    assert message["Date"].datetime.tzinfo is not None
    assert all(len(line) <= 998 for line in path.read_bytes().splitlines())  # RFC 5322 2.1.1
    assert kind_of(path.read_bytes()) is Kind.MAIL


@pytest.mark.parametrize("path", MESSAGES, ids=lambda p: p.name)
def test_names_nobody_real(path: Path) -> None:
    text = re.sub(r"(?m)^X-Mailer:.*$", "", _text(path))  # a version number looks like an address
    hosts = {host.lower() for host in _HOST.findall(text)} - set(_ADDRESS.findall(text))
    assert [h for h in hosts if not re.search(r"(?:^|\.)example\.(?:com|net|org)$", h)] == []
    addresses = [ipaddress.ip_address(a) for a in _ADDRESS.findall(text)]
    assert [a for a in addresses if not any(a in net for net in _DOCUMENTATION_NETS)] == []


def test_short_messages_are_plain_text() -> None:
    assert [kind_of(p.read_bytes()) for p in MESSAGES if p.suffix == ".txt"] == [Kind.TEXT, Kind.TEXT]


def test_phishing_shows_one_host_and_links_to_another() -> None:
    text = _text(EXAMPLES / "messages" / "spam-phishing.eml")
    assert re.search(r"[A-Za-z][\u0430-\u044f]|[\u0430-\u044f][A-Za-z]", text), "no word of mixed scripts"
    target, shown = re.findall(r'href="https?://([^/]+)[^>]*>https?://([^/]+)', text)[0]
    assert target != shown


@pytest.fixture(scope="module")
def model() -> classifier.Classifier:
    return classifier.load(default_bundle())


@pytest.mark.parametrize("path", MESSAGES, ids=lambda p: p.name)
def test_verdict_is_the_expected_one(path: Path, model: classifier.Classifier) -> None:
    thresholds = resolve_policy(config.load(environ={}).policy, open_bundle(default_bundle())).thresholds
    raw = path.read_bytes()
    [outcome] = model.score([Message(raw, channel="cli", kind=kind_of(raw))])
    assert isinstance(outcome, Score)
    label = judge(outcome, thresholds).label
    assert label in {Label(name) for name in EXPECTED[path.name]}, f"{outcome.probability:.4f} {dict(outcome.stages)}"
