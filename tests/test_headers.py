"""Headers: forged verdicts go, ours come, the body stays, and nobody can write into our fields."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter import __version__
from spamfilter.headers import (
    Dialect,
    Markup,
    Reported,
    ReportLine,
    display_score,
    fields,
    fold,
    is_forged,
    mark,
    strip,
)
from spamfilter.message import Kind, Message, body_offset
from spamfilter.policy import Policy, decide
from spamfilter.verdict import Action, Decision, Failure, FailureKind, Label, Recall, Score, Thresholds

THRESHOLDS = Thresholds(unsure_at=0.5, spam_at=0.9)
SA = Markup("mx.example.org")
RSPAMD = Markup("mx.example.org", (Dialect.RSPAMD,))
BOTH = Markup("mx.example.org", (Dialect.SPAMASSASSIN, Dialect.RSPAMD))


def decision(probability: float, *, model: str = "m-1", action: Action = Action.TAG) -> Decision:
    policy = Policy(THRESHOLDS, dict.fromkeys(Label, action))
    return decide("id", Score(probability, {"ngram": 0.75, "gpt": probability}, model), policy)


def marked(raw: bytes, *, kind: Kind = Kind.MAIL, channel: str = "smtp", markup: Markup = SA) -> bytes:
    return mark(Message(raw, channel, kind=kind), decision(0.99), markup)


@pytest.mark.parametrize(
    "name",
    [
        "X-Spam",
        "X-Spam-Flag",
        "x-spam-status",
        "X-SPAM-LEVEL",
        "X-Spam_score",
        "X-Spam-Flag ",
        "X-Spam-Report",
        "X-Spamd-Result",
        "X-Spamd-Bar",
        "X-Rspamd-Server",
        "X-Rspamd-Queue-Id",
        "X-Spamfilter-Anything",
    ],
)
def test_forged(name: str) -> None:
    assert is_forged(name.encode())


@pytest.mark.parametrize("name", ["Subject", "X-Spammer-Nemesis", "X-Mailer", "Not-X-Spam-Flag", "X-Span", "X", ""])
def test_not_forged(name: str) -> None:
    assert not is_forged(name.encode())


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        pytest.param(b"A: b\r\nX-Spam-Flag: NO\r\nC: d\r\n\r\n", b"A: b\r\nC: d\r\n\r\n", id="between"),
        pytest.param(b"X-Spam-Flag: NO\r\nC: d\r\n\r\n", b"C: d\r\n\r\n", id="first"),
        pytest.param(b"A: b\r\nX-Spam-Flag: NO\r\n\r\n", b"A: b\r\n\r\n", id="last"),
        pytest.param(b"A: b\r\nX-Spam-Flag: NO", b"A: b\r\n", id="last-without-newline"),
        pytest.param(b"X-Spam-Status: No\r\n tests=a\r\n\tb\r\nC: d\r\n\r\n", b"C: d\r\n\r\n", id="folded"),
        pytest.param(b"X-Spam-Status: No\r\n \r\n\tb\r\nC: d\r\n\r\n", b"C: d\r\n\r\n", id="folded-at-blanks-only"),
        pytest.param(b"A: b\n X-Spam-Flag: NO\n\n", b"A: b\n X-Spam-Flag: NO\n\n", id="inside-a-folded-field"),
        pytest.param(b"X-SPAM-flag : NO\nC: d\n\n", b"C: d\n\n", id="space-before-colon"),
        pytest.param(b"x-spam: yes\nX-SpamAssassin-X: y\n", b"X-SpamAssassin-X: y\n", id="without-dash"),
        pytest.param(b"From x Mon\nX-Spam-Flag: NO\nC: d\n\n", b"From x Mon\nC: d\n\n", id="mbox"),
        pytest.param(b"A: b\nX-Spam-Flag: NO\r\nC: d\n\n", b"A: b\nC: d\n\n", id="mixed-line-ends"),
        pytest.param(b"A: b\rX-Spam-Flag: NO\r\nC: d\r\n\r\n", b"A: b\r\nC: d\r\n\r\n", id="behind-a-lone-cr"),
        pytest.param(b"A: b\rX-Spam-Flag: NO\r fold\rD: e\nC: d\n", b"A: b\rD: e\nC: d\n", id="folded-behind-lone-crs"),
        pytest.param(b"\rX-Spam-Flag: NO\r\nC: d\r\n", b"C: d\r\n", id="lone-cr-first"),
        pytest.param(b"A: b\rc\r\n\r\n", b"A: b\rc\r\n\r\n", id="honest-lone-cr"),
        pytest.param(b"X-Spam-Flag NO\r\n", b"X-Spam-Flag NO\r\n", id="no-field"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_strip(head: bytes, kept: bytes) -> None:
    assert strip(head) == kept


LINES = st.lists(
    st.sampled_from([b"A: b", b"Subject: x", b"X-Spam-Flag: NO", b"x-spamd-bar: /", b" fold", b"\tfold", b" ", b"c"])
    .flatmap(lambda line: st.sampled_from([line + b"\r\n", line + b"\n", line + b"\r"])),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(LINES)
def test_strip_leaves_no_forgery_and_invents_nothing(head: bytes) -> None:
    kept = strip(head)
    assert strip(kept) == kept
    for line in kept.split(b"\n"):
        assert not any(is_forged(piece.partition(b":")[0]) for piece in line.split(b"\r") if piece[:1] not in b" \t")
    assert not set(kept.splitlines()) - set(head.splitlines())
    if not any(is_forged(line.partition(b":")[0]) for line in head.splitlines()):
        assert kept == head


@given(LINES, st.binary(max_size=60), st.sampled_from([b"\r\n", b"\n"]), st.floats(0, 1))
def test_the_body_is_untouched(head: bytes, body: bytes, blank: bytes, probability: float) -> None:
    raw = head + blank + body
    result = mark(Message(raw, "smtp"), decision(probability), BOTH)
    assert result.endswith(raw[body_offset(raw) :])
    ours = b"".join(fold(*f) for f in fields(decision(probability), BOTH)).replace(b"\r\n", b"\n")
    assert result.replace(b"\r\n", b"\n").startswith(ours)


@pytest.mark.parametrize(
    ("raw", "newline"),
    [(b"A: b\r\n\r\nx", b"\r\n"), (b"A: b\n\nx", b"\n"), (b"A: b", b"\r\n"), (b"", b"\r\n")],
)
def test_line_ends_follow_the_mail(raw: bytes, newline: bytes) -> None:
    result = marked(raw)
    ours = result[: len(result) - len(raw)]
    assert result == ours + raw
    assert ours.count(newline) == ours.count(b"\n") > 3


def test_forgeries_are_replaced_by_ours() -> None:
    result = marked(b"X-Spam-Flag: NO\r\nSubject: x\r\nX-Spam-Status: No, score=-99\r\n\r\nX-Spam-Flag: in the body")
    head, _, body = result.partition(b"\r\n\r\n")
    assert head.count(b"X-Spam-Flag: ") == head.count(b"X-Spam-Status: ") == 1
    assert head.startswith(b"X-Spam-Flag: YES\r\n") and head.endswith(b"\r\nSubject: x")
    assert body == b"X-Spam-Flag: in the body"


def test_an_mbox_line_stays_first() -> None:
    result = marked(b"From a@b Mon\nSubject: x\n\nbody", channel="folder")
    assert result.startswith(b"From a@b Mon\nX-Spam-Flag: YES\n") and result.endswith(b"\nSubject: x\n\nbody")


def test_plain_text_gets_a_header_block_and_stays_whole() -> None:
    result = marked(b"X-Spam-Flag: what a funny SMS\n\nbye", kind=Kind.TEXT, channel="folder")
    head, _, rest = result.partition(b"\n\n")
    assert head.startswith(b"X-Spam-Flag: YES\n")
    assert rest == b"X-Spam-Flag: what a funny SMS\n\nbye"


def test_a_body_without_header_stays_a_body() -> None:
    result = marked(b"\r\nbody")
    assert result.endswith(b"\r\n\r\nbody") and b"X-Spam-Flag: YES\r\n" in result


@pytest.mark.parametrize("start", [b" ", b"\t", b"From x\r\n ", b"X-Spam-Flag: NO\r\n \r\n\t"])
def test_a_folded_line_cannot_continue_our_last_field(start: bytes) -> None:
    raw = start + b"score=-99 injected\r\nSubject: x\r\n\r\nbody"
    result = marked(raw)
    unfolded = result.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    for line in unfolded.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        assert not (line.startswith(b"X-Spam") and b"injected" in line)
    assert result.endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize("kind", Kind)
def test_accept_writes_nothing(kind: Kind) -> None:
    raw = b"X-Spam-Flag: NO\r\nSubject: x\r\n\r\nbody"
    result = mark(Message(raw, "smtp", kind=kind), decision(0.99, action=Action.ACCEPT), BOTH)
    assert result == (raw if kind is Kind.TEXT else b"Subject: x\r\n\r\nbody")


def test_spamassassin_byte_for_byte() -> None:
    assert marked(b"\r\n") == (
        b"X-Spam-Flag: YES\r\n"
        b"X-Spam-Checker-Version: spamfilter %(v)s (model m-1) on mx.example.org\r\n"
        b"X-Spam-Level: *********\r\n"
        b"X-Spam-Status: Yes, score=9.8 required=5.0 tests=NGRAM=0.750,GPT=0.990\r\n"
        b"\tprobability=0.9900 label=spam autolearn=no version=spamfilter-%(v)s\r\n"
        b"X-Spam-Score: 9.8\r\n\r\n"
    ) % {b"v": __version__.encode()}


@pytest.mark.parametrize(("label", "memory"), [(Label.SPAM, 1.0), (Label.HAM, 0.0)])
def test_a_recall_is_named_in_both_dialects(label: Label, memory: float) -> None:
    score = Score(0.5, {"ngram": 0.25, "memory": memory}, "m-1", recalled=Recall("c", label, 1.0, 0.952))
    written = dict(fields(decide("id", score, Policy(THRESHOLDS)), BOTH))
    assert f"tests=NGRAM=0.250,RECALLED_{label.upper()}=0.952 " in written["X-Spam-Status"]
    assert written["X-Spamd-Result"].endswith(f"; NGRAM(0.250)[]; RECALLED_{label.upper()}(0.952)[]")
    assert "MEMORY" not in "".join(written.values())


def test_rspamd_byte_for_byte() -> None:
    assert marked(b"\n", markup=RSPAMD, channel="cli") == (
        b"X-Spam: Yes\n"
        b"X-Spamd-Bar: +++++++++\n"
        b"X-Spamd-Result: default: True [9.80 / 5.00]; NGRAM(0.750)[]; GPT(0.990)[]\n"
        b"X-Rspamd-Action: add header\n"
        b"X-Rspamd-Server: mx.example.org\n\n"
    )


@pytest.mark.parametrize("markup", [SA, RSPAMD, BOTH], ids=["spamassassin", "rspamd", "both"])
@pytest.mark.parametrize("probability", [0.0, 0.01, 0.5, 0.89999, 0.9, 1.0])
def test_dialects_agree_with_the_label(probability: float, markup: Markup) -> None:
    made = decision(probability)
    written = dict(fields(made, markup))
    assert len(written) == len(fields(made, markup))
    spam = made.label is Label.SPAM
    if Dialect.SPAMASSASSIN in markup.dialects:
        assert ("X-Spam-Flag" in written) == spam == written["X-Spam-Status"].startswith("Yes, ")
        assert f"label={made.label} " in written["X-Spam-Status"]
        assert (float(written["X-Spam-Score"]) >= 5.0) == spam == (len(written["X-Spam-Level"]) >= 5)
    if Dialect.RSPAMD in markup.dialects:
        assert ("X-Spam" in written) == spam == (written["X-Rspamd-Action"] == "add header")
        assert written["X-Spamd-Result"].startswith(f"default: {spam} [")
        assert set(written["X-Spamd-Bar"]) in ({"+"}, {"-"}, {"/"})


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("markup", [SA, RSPAMD, BOTH], ids=["spamassassin", "rspamd", "both"])
def test_an_unscanned_mail_shows_no_score(kind: FailureKind, markup: Markup) -> None:
    failed = decide("id", Failure(kind, "it took too long\r\nX-Spam-Flag: NO"), Policy(THRESHOLDS))
    written = dict(fields(failed, markup))
    assert written["X-Spam-Status"].startswith(f"unscanned, reason={kind}")
    assert not {"X-Spam-Flag", "X-Spam-Score", "X-Spam-Level", "X-Spam", "X-Spamd-Result", "X-Spamd-Bar"} & set(written)
    result = mark(Message(b"X-Spam-Score: -9\r\nA: b\r\n\r\nx", "smtp"), failed, markup)
    assert b"score=" not in result.lower() and b"\nX-Spam-Flag" not in result and b"X-Spam-Score" not in result
    assert result.endswith(b"\r\nA: b\r\n\r\nx")


@given(st.text(max_size=200), st.sampled_from([b"\r\n", b"\n"]))
def test_fold_is_printable_and_one_field(value: str, newline: bytes) -> None:
    folded = fold("X-Test", value, newline)
    assert folded.endswith(newline) and folded.startswith(b"X-Test:")
    lines = folded[: -len(newline)].split(newline)
    assert all(line[:1] == b"\t" for line in lines[1:])
    assert all(0x20 <= byte <= 0x7E for line in lines for byte in line.removeprefix(b"\t"))
    unfolded = folded[: -len(newline)].replace(newline + b"\t", b" ").decode("ascii")
    assert unfolded.removeprefix("X-Test: ").isprintable()
    assert sum(c not in "?" for c in unfolded) >= len("X-Test: ")


@given(st.lists(st.text(alphabet="abc-=.", min_size=1, max_size=60), min_size=1, max_size=30))
def test_folded_lines_are_short(words: list[str]) -> None:
    folded = fold("X-Test", " ".join(words))
    assert all(len(line) <= 78 for line in folded.split(b"\r\n"))
    assert folded.replace(b"\r\n\t", b" ") == f"X-Test: {' '.join(words)}\r\n".encode()


def test_names_from_outside_cannot_inject() -> None:
    evil = "m\r\nX-Spam-Flag: NO\r\n\r\n\0é"
    made = decision(0.1, model=evil)
    result = mark(Message(b"Subject: x\r\n\r\nbody", "smtp"), made, Markup(evil, tuple(Dialect)))
    assert b"\nX-Spam-Flag" not in result
    assert result.count(b"\r\n\r\n") == 1 and result.endswith(b"Subject: x\r\n\r\nbody")
    assert result.isascii() and b"\0" not in result


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_display_score_is_monotone_and_agrees(p: float, q: float, spam_at: float) -> None:
    thresholds = Thresholds(spam_at, spam_at)
    low, high = (display_score(x, thresholds) for x in sorted((p, q)))
    assert low <= high
    for probability, points in zip(sorted((p, q)), (low, high), strict=True):
        assert (points >= 5.0) == (probability >= spam_at)
        assert -20 <= points <= 40 and math.isclose(points * 10, round(points * 10), abs_tol=1e-6)
        assert f"{points:.1f}" != "-0.0"


def reported(*lines: ReportLine, probability: float = 0.99) -> Reported:
    made = decision(probability)
    return Reported(made.message_id, made.outcome, made.action, lines)


def test_a_report_adds_up_to_the_score_beside_it() -> None:
    made = reported(
        ReportLine(4.04, "SUBJECT_UPPER", "Its subject is all in capitals."), ReportLine(-1.5, "SIGNED", "x")
    )
    written = dict(fields(made, SA))
    lines = written["X-Spam-Report"].split("\n")
    assert lines[:3] == [
        "pts rule name, description",
        "*   4.0 SUBJECT_UPPER Its subject is all in capitals.",
        "*  -1.5 SIGNED x",
    ]
    points = [float(line.split()[1]) for line in lines[1:] if line.split()[1:2] != [] and line[2:7].strip()]
    assert sum(points) == pytest.approx(float(written["X-Spam-Score"]))


def test_a_report_of_nothing_is_none() -> None:
    assert "X-Spam-Report" not in dict(fields(reported(), BOTH))
    assert "X-Spam-Report" in dict(fields(reported(ReportLine(1.0, "A", "b")), RSPAMD))


@given(st.lists(st.builds(ReportLine, st.floats(-99, 99), st.sampled_from(["TEXT_LINK", "A"]), st.text(max_size=300))))
def test_nobody_writes_into_a_report(lines: list[ReportLine]) -> None:
    raw = b"Subject: x\r\n\r\nbody"
    out = mark(Message(raw, "smtp"), reported(*lines), SA)
    assert out.endswith(raw)
    ours = out[: -len(raw)].split(b"\r\n")[:-1]
    start = next((at for at, line in enumerate(ours) if line.startswith(b"X-Spam-Report: ")), len(ours))
    assert all(line.startswith(b"X-Spam") or line.startswith(b"\t") for line in ours)
    assert all(line.startswith(b"\t* ") for line in ours[start + 1 :])
    assert all(len(line) < 998 and line.isascii() and line.decode().replace("\t", "").isprintable() for line in ours)


def test_blank_lines_end_no_header() -> None:
    assert fold("X-Test", "a\n\n \nb\n") == b"X-Test: a\r\n\tb\r\n"
