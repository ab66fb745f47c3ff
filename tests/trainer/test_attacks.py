"""Attacks: valid mail, headers as they were, the same for the same seed, and a text that is still there to read."""

from __future__ import annotations

import email
import re

import pytest

from spamfilter.document import extract
from spamfilter.message import Kind
from tests.hostile.mails import HEAD, mail, multipart, text_part
from trainer.augment import GoodWords
from trainer.evaluation.attacks import ATTACKS, has_text, take_apart

GOOD = GoodWords(["the committee meets on thursday in the library and reads the minutes of the last session"])
WORDS = "Claim your exclusive prize money today. Click here now to receive cheap watches and software online"
PAGE = f'<html><head><style>p{{margin:0}}</style></head><body><p>{WORDS}. <a href="http://a.example/x">Here</a></p></body></html>'
PICTURE = b"Content-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lGODlhAQABAAAAACw=\r\n"
MAILS = {
    "plain": HEAD + b"\r\n" + WORDS.encode() + b"\r\n",
    "plain-lf": (HEAD + b"X-Odd:  kept \r\n\tas it is\r\n\r\n" + WORDS.encode()).replace(b"\r\n", b"\n"),
    "html": mail("text/html; charset=utf-8", PAGE.encode(), "MIME-Version: 1.0"),
    "alternative": multipart(text_part(WORDS), text_part(PAGE, "html"), kind="alternative"),
    "picture": multipart(text_part(WORDS), PICTURE),
    "western": mail("text/plain; charset=iso-8859-1", f"{WORDS}, très bien".encode("latin-1")),
}
FOR_MAIL = [name for name, attack in ATTACKS.items() if Kind.MAIL in attack.kinds]
FOR_TEXT = [name for name, attack in ATTACKS.items() if Kind.TEXT in attack.kinds]
UNDONE = {
    "rebuilt", "zero-width", "look-alikes", "foreign-words", "fancy-letters", "accents", "leet-light", "blanks-before",
    "blanks-after", "hidden-split", "hidden-words", "decoy-alternative", "split-alternative", "wrong-charset",
    "undeclared-charset", "utf-7", "utf-16", "quoted-every-byte", "base64", "broken-base64", "nested",
    "odd-header-spelling", "good-words-before", "good-words-after", "padding-after",
}  # fmt: skip
"""Attacks behind which the extraction reads nearly every word again."""


def words_read(raw: bytes, kind: Kind = Kind.MAIL) -> float:
    """The share of the message's words that the extraction reads."""
    document = extract(raw, kind)
    text = " ".join((document.subject + " " + document.text + " " + document.tail).lower().split())
    wanted = set(re.findall("[a-z]{3,}", WORDS.lower()))
    return sum(bool(re.search(rf"\b{word}\b", text)) for word in wanted) / len(wanted)


def kept(raw: bytes) -> list[tuple[str, str]]:
    """The fields that no attack may touch."""
    return [
        (name, str(value))
        for name, value in email.message_from_bytes(raw).items()
        if not name.lower().startswith("content-") and name.lower() not in ("mime-version", "subject")
    ]


@pytest.mark.parametrize("name", FOR_MAIL)
@pytest.mark.parametrize("form", MAILS)
def test_a_mail_stays_a_mail(name: str, form: str) -> None:
    raw = MAILS[form]
    attacked = ATTACKS[name](raw, Kind.MAIL, 7, GOOD)
    assert attacked == ATTACKS[name](raw, Kind.MAIL, 7, GOOD)
    parsed = email.message_from_bytes(attacked)
    assert not [part for part in parsed.walk() if part.defects and name != "broken-base64"]
    before, after = kept(raw), kept(attacked)
    assert [(key, re.sub(r"\r?\n", "\n", value)) for key, value in before] == [
        (key, re.sub(r"\r?\n", "\n", value)) for key, value in after
    ]
    if name != "subject-only":
        assert parsed["Subject"] == "Hello"
    if form == "picture":
        assert "image/gif" in [part.get_content_type() for part in parsed.walk()]


@pytest.mark.parametrize("name", sorted(UNDONE))
@pytest.mark.parametrize("form", MAILS)
def test_what_the_extraction_undoes(name: str, form: str) -> None:
    for seed in range(4):
        attacked = ATTACKS[name](MAILS[form], Kind.MAIL, seed, GOOD)
        assert words_read(attacked) >= 0.8, extract(attacked).text[:400]


def test_hidden_words_are_flagged_and_not_read() -> None:
    for seed in range(30):
        document = extract(ATTACKS["hidden-words"](MAILS["html"], Kind.MAIL, seed, GOOD))
        assert "committee" not in document.text
        assert document.facts["html_hidden_some"] or "<!--" in str(
            ATTACKS["hidden-words"](MAILS["html"], Kind.MAIL, seed, GOOD)
        )


def test_padding_leaves_the_text_within_the_windows() -> None:
    document = extract(ATTACKS["padding-before"](MAILS["plain"], Kind.MAIL, 1, GOOD))
    assert "exclusive prize" in document.tail


def test_seeds_and_messages_differ() -> None:
    attack = ATTACKS["leet"]
    assert attack(MAILS["plain"], Kind.MAIL, 1, GOOD) != attack(MAILS["plain"], Kind.MAIL, 2, GOOD)


@pytest.mark.parametrize("name", FOR_TEXT)
def test_bare_texts(name: str) -> None:
    attacked = ATTACKS[name](WORDS.encode(), Kind.TEXT, 3, GOOD)
    assert attacked != WORDS.encode() and attacked.decode("utf-8")
    assert attacked == ATTACKS[name](WORDS.encode(), Kind.TEXT, 3, GOOD)
    if name in UNDONE:
        assert words_read(attacked, Kind.TEXT) >= 0.8


@pytest.mark.parametrize("name", ATTACKS)
def test_what_has_no_text_stays_as_it_is(name: str) -> None:
    for raw in (b"", HEAD, multipart(PICTURE), mail("text/html", b"<img src='cid:1'>")):
        assert not has_text(raw, Kind.MAIL)
        assert ATTACKS[name](raw, Kind.MAIL, 1, GOOD) == raw


def test_mails_only_leave_texts_alone() -> None:
    assert ATTACKS["base64"](WORDS.encode(), Kind.TEXT, 1, GOOD) == WORDS.encode()


def test_taking_apart() -> None:
    apart = take_apart(MAILS["alternative"])
    assert (apart.plain, apart.html.strip()) == (WORDS, PAGE)
    assert b"".join(apart.fields) == HEAD
    assert len(take_apart(MAILS["picture"]).others) == 1


def test_every_attack_says_what_it_does() -> None:
    for name, attack in ATTACKS.items():
        assert attack.description.endswith(".") and attack.kinds, name
