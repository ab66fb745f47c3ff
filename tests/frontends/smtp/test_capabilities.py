"""We offer what the next hop offers and we can carry, and nothing else."""

from __future__ import annotations

import pytest

from spamfilter.frontends.smtp.capabilities import Capabilities, offer, unsupported
from spamfilter.frontends.smtp.parameters import parse_path
from spamfilter.frontends.smtp.reply import Reply


def of(*lines: str) -> Capabilities:
    return Capabilities.of_reply(Reply.of(250, "hop.test", *lines))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ([], []),
        (["STARTTLS", "AUTH PLAIN LOGIN", "CHUNKING", "BINARYMIME", "VRFY", "ETRN"], []),
        (["8bitmime", "pipelining"], ["PIPELINING", "8BITMIME"]),
        (["DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES"], ["SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]),
        (["SIZE 500"], ["SIZE 500"]),
        (["SIZE 5000"], ["SIZE 1000"]),
        (["SIZE 0"], ["SIZE 1000"]),
        (["SIZE"], ["SIZE 1000"]),
        (["SIZE many"], ["SIZE 1000"]),
        (["XFORWARD NAME ADDR"], []),
    ],
)
def test_offer(theirs: list[str], ours: list[str]) -> None:
    assert offer(of(*theirs), max_size=1000, trusted=False) == ours


def test_xforward_is_offered_to_the_trusted_with_the_attributes_of_the_next_hop() -> None:
    assert offer(of("XFORWARD NAME ADDR"), max_size=1000, trusted=True) == ["XFORWARD NAME ADDR"]
    assert offer(of(), max_size=1000, trusted=True) == []


@pytest.mark.parametrize(
    ("parameters", "theirs", "first"),
    [
        ("SIZE=1", ["SIZE"], None),
        ("SIZE=1", [], "SIZE"),
        ("BODY=8BITMIME", [], "BODY"),
        ("body=8bitmime", ["8BITMIME"], None),
        ("BODY=BINARYMIME", ["8BITMIME", "BINARYMIME", "CHUNKING"], "BODY"),
        ("SMTPUTF8", [], "SMTPUTF8"),
        ("RET=FULL ENVID=x", ["DSN"], None),
        ("RET=FULL", [], "RET"),
        ("AUTH=<>", [], None),
        ("MT-PRIORITY=3", [], None),
    ],
)
def test_unsupported(parameters: str, theirs: list[str], first: str | None) -> None:
    assert unsupported(parse_path(f"FROM:<a@b.c> {parameters}", "FROM"), of(*theirs)) == first
