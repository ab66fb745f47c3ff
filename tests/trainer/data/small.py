"""A data folder of a few messages in the known corpora's own formats, for tests that extract a whole table."""

from __future__ import annotations

from pathlib import Path

from tests.trainer.data.made import tar

SOURCES = ("sms", "spamassassin")
LETTER = "Subject: {subject}\nFrom: a@example.org\n\n{body}\n"
CAMPAIGN = (
    "dear {name}, we have {number} cheap watches of the finest make for you and for your friends, order before sunday "
    "and get the second one for half of the price, our kind staff is looking forward to your call"
)
TESTED = "spamassassin/spam-1/1"


def mail(subject: str, body: str) -> bytes:
    """A short mail."""
    return LETTER.format(subject=subject, body=body).encode()


def small_data(where: Path) -> Path:
    """SMS, and SpamAssassin with one mail in the fixed test part and a varied copy of it outside."""
    data = where / "data"
    (data / "splits").mkdir(parents=True)
    lines = [f"ham\tmessage of the day is {word}" for word in ("apple", "pear", "plum", "cherry")] * 3
    (data / "sms-spam-collection.tsv").write_text("\n".join([*lines, "spam\tWIN 500 now", "spam\twin 900 NOW!!"]))
    mails = {
        TESTED: mail("watches", CAMPAIGN.format(name="john", number=100)),
        "spamassassin/spam-1/2": mail("more watches", CAMPAIGN.format(name="mary", number=2500)),
        "spamassassin/easy-ham-1/1": mail("lunch", "shall we have lunch on monday at the usual place"),
    }
    tar(data, mails, ".tar.xz").rename(data / "spamassassin.tar.xz")
    (data / "splits" / "spamassassin-test.tsv").write_text(f"spam\t{TESTED}\n")
    return data
