"""Messages to try for whoever has none at hand, one for each thing that the page can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Example(NamedTuple):
    """A message and its name on the button."""

    title: str
    text: str


EXAMPLES: Mapping[str, Example] = {
    "prize": Example(
        "A prize",
        """\
From: "Claims Department" <winner@lucky-draw.example>
To: you@example.org
Subject: Congratulations, you have WON $1,500,000

Dear friend,

Your email address was drawn in the international online lottery. To claim your prize
send your full name, bank account and a processing fee of $120 within 48 hours.

Click here now: http://192.0.2.17/claim?id=9917
Act fast, this offer expires today!!!
""",
    ),
    "invoice": Example(
        "A receipt",
        """\
From: Anna Berger <anna@bookshop.example>
To: you@example.org
Date: Tue, 04 Mar 2025 09:14:22 +0100
Message-ID: <20250304081422.4711@mail.bookshop.example>
Subject: Your order 20817 has been sent

Hello,

your two books left our shop this morning and should be with you on Thursday.
The invoice is attached. If anything is damaged, just answer this mail.

Kind regards
Anna
""",
    ),
    "disguise": Example(
        "Look-alikes",
        """\
From: PаyРаl Sеcurity <service@раypal-secure.example>
Subject: Yоur ассоunt is limitеd

We noticed unusual асtivity. V\u200be\u200br\u200bi\u200bf\u200by your раsswоrd n o w or your
аccount will be closed: http://paypal.example.login-check.example/verify
""",
    ),
    "chinese": Example("Chinese", "您好，本公司可代开各类正规发票，税率低，先验证后付款。联系电话：138-0000-0000\n"),
    "sms": Example("An SMS", "Running ten minutes late, start without me. Shall I bring bread?\n"),
}
