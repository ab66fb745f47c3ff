"""The gate: what a candidate must show, and that too little to say is no silent pass."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spamfilter.classifier.bundle import Bundle, BundleError, default_bundle, open_bundle, write_manifest
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.document import Document, extract
from spamfilter.message import Kind, Message, kind_of
from spamfilter.verdict import Failure, Thresholds
from tests.trainer import site
from trainer import gate, replay
from trainer.checks import interval
from trainer.evaluation.gate_report import FAILED, TOO_FEW, GateReport
from trainer.gate import GateSettings, Material, Messages, groups_of, judge, operating_point
from trainer.reading import Reader

THRESHOLDS = [
    {"false_positive_rate": 0.005, "probability": 0.9, "recall": 0.5},
    {"false_positive_rate": 0.1, "probability": 0.5, "recall": 0.9},
]
WORDS = "amber birch cedar dune ember fjord grove heath islet jetty knoll lagoon marsh oasis pines quarry reef".split()


def messages(ham: int, spam: int, *, copies: int = 1, prefix: str = "") -> Messages:
    """Different texts, each as often as told; named ham0, ham1, ... spam0, ..."""
    rng = np.random.default_rng(ham * 100 + spam)
    found = []
    for label, count in (("ham", ham), ("spam", spam)):
        for number in range(count):
            text = " ".join(rng.choice(WORDS, 30)) + f" {label}"
            found += [(f"{prefix}{label}{number}", Document(Kind.MAIL, text), int(label == "spam"))] * copies
    return Messages.of(found)


class Scripted:
    """Ham is 0.01 and spam 0.99, but for the documents whose text is in `said`."""

    def __init__(self, said: Mapping[str, float]) -> None:
        self._said = said

    def probabilities(self, documents: Sequence[Document]) -> np.ndarray:
        return np.array([self._said.get(d.text, 0.99 if d.text.endswith("spam") else 0.01) for d in documents])


@pytest.fixture
def bundles(tmp_path: Path) -> tuple[Bundle, Bundle]:
    """Two bundles as far as their manifests go, the current and the candidate."""
    made = []
    for name in ("current", "candidate"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.bin").write_bytes(name.encode())
        made.append(write_manifest(tmp_path / name, name, {"ensemble": {}, "thresholds": THRESHOLDS}))
    return made[0], made[1]


def whole(recent: Messages | None = None, **sets: Messages) -> Material:
    """Enough of everything for a pass, but for what is given."""
    usual = {"golden": messages(250, 50), "must_stay": messages(4, 0), "canaries": messages(3, 3)}
    return Material(recent if recent is not None else messages(20, 20), **{**usual, **sets})


def judged(
    bundles: tuple[Bundle, Bundle], material: Material, *, now: Mapping[str, float] | None = None,
    then: Mapping[str, float] | None = None, force: bool = False, settings: GateSettings | None = None,
) -> GateReport:  # fmt: skip
    """The gate's report where `now` and `then` say what the models say of some texts."""
    said = {bundles[0].model_id: now or {}, bundles[1].model_id: then or {}}
    return judge(
        *bundles, material, settings, force=force, reader=lambda b: Scripted(said[b.model_id]), check=Bundle.verify
    )


def said_of(some: Messages, label: int, count: int, probability: float) -> dict[str, float]:
    """That probability for the first texts of a class."""
    rows = np.flatnonzero(some.spam == label)[:count]
    return {some.documents[row].text: probability for row in rows.tolist()}


def test_a_candidate_that_judges_alike_passes(bundles: tuple[Bundle, Bundle]) -> None:
    report = judged(bundles, whole())
    assert report.passed and not report.reasons
    assert report.sentence == f"Passed: {bundles[1].model_id} may replace {bundles[0].model_id}."


def test_each_model_is_read_by_its_own_thresholds(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole()
    said = said_of(material.must_stay, 0, 4, 0.93)
    assert not judged(bundles, material, then=said).passed
    (bundles[1].path / "manifest.json").unlink()
    later = [{**THRESHOLDS[0], "probability": 0.95}, THRESHOLDS[1]]
    higher = write_manifest(bundles[1].path, "candidate", {"ensemble": {}, "thresholds": later})
    loss = said_of(material.golden, 0, 5, 0.93)
    assert judged((bundles[0], higher), material, then={**said, **loss}).passed
    report = judged((bundles[0], higher), material, now=loss, then=loss)
    row = next(row for row in report.rows if (row.set, row.figure) == (gate.GOLDEN, "ham called spam"))
    assert (row.current, row.candidate) == (0.02, 0.0)


def test_ham_loss_over_the_budget_fails_on_the_golden_set(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole()
    assert judged(bundles, material, then=said_of(material.golden, 0, 1, 0.95)).passed  # 1 of 250 is 0.4 %
    both = said_of(material.golden, 0, 2, 0.95)
    report = judged(bundles, material, now=both, then=both)  # 0.8 %, and no better than the current
    assert [(reason.check, reason.kind) for reason in report.reasons] == [(gate.GOLDEN, FAILED)]
    assert "0.80 % of 250 different ham spam" in report.sentence


def test_a_candidate_may_lose_recent_ham_only_where_the_current_model_does(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole()
    lost = said_of(material.recent, 0, 2, 0.95)
    assert judged(bundles, material, now=lost, then=lost).passed
    assert judged(bundles, material, now=lost).passed
    report = judged(bundles, material, then=lost)
    assert {reason.check for reason in report.reasons} == {gate.RECENT}


def test_it_is_judged_at_the_thresholds_that_are_set(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole()
    said = said_of(material.must_stay, 0, 4, 0.93)
    assert judged(bundles, material, then=said, settings=GateSettings(spam_at=0.94)).passed
    assert not judged(
        bundles, material, then=said_of(material.must_stay, 0, 4, 0.7), settings=GateSettings(spam_at=0.7)
    ).passed
    assert operating_point(bundles[0], GateSettings(spam_at=0.3)) == Thresholds(0.3, 0.3)
    assert operating_point(bundles[0], GateSettings(unsure_at=0.6)) == Thresholds(0.6, 0.9)
    report = judged(bundles, material, settings=GateSettings(unsure_at=0.95))
    assert [reason.check for reason in report.reasons] == [gate.OPERATING_POINT]
    assert "policy.unsure_at (0.95) lies above its spam threshold (0.9000)" in report.sentence


def test_where_the_admin_set_the_threshold_golden_ham_may_be_lost_as_it_is_now_and_no_more(
    bundles: tuple[Bundle, Bundle],
) -> None:
    material, low = whole(), GateSettings(spam_at=0.6)
    lost = said_of(material.golden, 0, 4, 0.95)  # 1.6 %
    assert judged(bundles, material, now=lost, then=lost, settings=low).passed
    more = judged(bundles, material, now=lost, then=said_of(material.golden, 0, 5, 0.95), settings=low)
    assert [reason.check for reason in more.reasons] == [gate.GOLDEN]


def test_labels_that_do_not_count_are_told(bundles: tuple[Bundle, Bundle]) -> None:
    report = judged(bundles, replace(whole(), unheard=7))
    assert report.passed and any("7 labels do not count" in note for note in report.notes)
    few = judged(bundles, replace(whole(messages(2, 5)), unheard=7))
    assert "2 different ham of recent mail could be held out, 3 are wanted (7 more are of people" in few.sentence


def test_copies_of_a_campaign_count_once(bundles: tuple[Bundle, Bundle]) -> None:
    golden = messages(250, 10, copies=3)
    assert len(np.unique(golden.group)) == 260
    report = judged(bundles, whole(golden=golden), then=said_of(golden, 0, 3, 0.95))  # one text, three copies
    assert report.passed
    assert {row.messages for row in report.rows if row.set == gate.GOLDEN} == {250, 10}


def test_less_recall_than_the_current_model_fails_beyond_the_interval(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole()
    assert judged(bundles, material, then=said_of(material.recent, 1, 1, 0.7)).passed  # one of 20: chance
    report = judged(bundles, material, then=said_of(material.recent, 1, 8, 0.7))
    [reason] = report.reasons
    assert (reason.kind, reason.check) == (FAILED, f"{gate.RECENT}, side by side")
    assert "spam called spam: 60.00 %, with the current model 100.00 %" in report.sentence
    assert judged(bundles, material, now=said_of(material.recent, 1, 8, 0.7)).passed  # better is no reason


def test_spam_let_through_is_the_price_of_a_repair(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole()
    less = said_of(material.recent, 1, 8, 0.7)
    assert judged(bundles, material, now=said_of(material.recent, 0, 2, 0.95), then=less).passed
    report = judged(
        bundles,
        material,
        now=said_of(material.recent, 0, 2, 0.95),
        then={**less, **said_of(material.recent, 0, 2, 0.95)},
    )
    assert any("side by side" in reason.check for reason in report.reasons)  # nothing was repaired


def test_a_difference_that_many_messages_show_is_tolerated_while_it_is_small(bundles: tuple[Bundle, Bundle]) -> None:
    recent = messages(10, 1500)
    then = said_of(recent, 1, 12, 0.7)  # 0.8 points, and the interval lies below 0
    assert interval(np.r_[np.full(12, -1.0), np.zeros(1488)])[1] < 0
    assert judged(bundles, whole(recent), then=then).passed
    assert not judged(bundles, whole(recent), then=then, settings=GateSettings(spam_tolerance=0.005)).passed


def test_one_that_must_stay_ham_fails_and_unsure_is_told(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole(must_stay=messages(4, 0, prefix="keep-"))
    unsure = judged(bundles, material, then=said_of(material.must_stay, 0, 1, 0.6))
    assert unsure.passed and any("unsure of 1 of 4 that must stay ham: keep-ham0" in note for note in unsure.notes)
    lost = judged(bundles, material, then=said_of(material.must_stay, 0, 1, 0.9))
    assert [reason.text for reason in lost.reasons] == ["it calls spam what must stay ham (1 of 4: keep-ham0)"]


@pytest.mark.parametrize(
    ("label", "probability", "passes"), [(0, 0.89, True), (0, 0.9, False), (1, 0.5, True), (1, 0.49, False)]
)
def test_canaries(bundles: tuple[Bundle, Bundle], label: int, probability: float, passes: bool) -> None:
    material = whole(canaries=messages(3, 3))
    report = judged(bundles, material, then=said_of(material.canaries, label, 1, probability))
    assert report.passed is passes
    assert passes or [reason.check for reason in report.reasons] == [gate.CANARIES]


def test_too_few_messages_are_a_reason_that_can_be_overruled(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole(messages(2, 1), golden=Messages(), canaries=messages(3, 0))
    report = judged(bundles, material)
    assert not report.passed
    assert [(reason.check, reason.kind) for reason in report.reasons] == [
        (gate.GOLDEN, TOO_FEW), (gate.RECENT, TOO_FEW), (gate.RECENT, TOO_FEW), (gate.CANARIES, TOO_FEW)
    ]  # fmt: skip
    assert "2 different ham of recent mail could be held out, 3 are wanted" in report.sentence
    forced = judged(bundles, material, force=True)
    assert forced.passed and "forced, although" in forced.sentence


def test_force_overrules_no_failure(bundles: tuple[Bundle, Bundle]) -> None:
    material = whole(golden=Messages())
    report = judged(bundles, material, then=said_of(material.must_stay, 0, 1, 0.95), force=True)
    assert not report.passed
    assert "must stay ham" in report.sentence and "golden" not in report.sentence


def test_a_damaged_candidate_is_refused_unseen(bundles: tuple[Bundle, Bundle]) -> None:
    (bundles[1].path / "weights.bin").write_bytes(b"other")
    report = judged(bundles, whole(), force=True)
    assert (report.passed, report.rows) == (False, ())
    assert "does not match the manifest's sha256" in report.sentence


def test_a_failed_self_test_is_refused(bundles: tuple[Bundle, Bundle]) -> None:
    def check(bundle: Bundle) -> None:
        raise BundleError("self-test 'ham' gave 0.9")

    report = judge(*bundles, whole(), reader=lambda b: Scripted({}), check=check)
    assert [reason.check for reason in report.reasons] == ["hashes and self-test"]


def test_the_bundles_rehearsal_shows_the_budget_where_there_is_no_golden_set(tmp_path: Path) -> None:
    made = []
    for name, raised in (("current", 0.0), ("good", 0.0), ("bad", 30.0)):
        kept = site.replay()
        (tmp_path / name).mkdir()
        kept.calibrating.standing[np.flatnonzero(kept.calibrating.spam == 0)[:9]] += raised  # 9 of 250 ham
        kept.calibrating.standing[kept.calibrating.spam == 0] -= 9
        replay.save(tmp_path / name / replay.FILE, kept)
        content: dict[str, Any] = {"ensemble": site.current().ensemble, "thresholds": THRESHOLDS}
        made.append(write_manifest(tmp_path / name, name, content))
    material = whole(golden=messages(20, 5))
    for candidate, passes in ((made[1], True), (made[2], False)):
        report = judged((made[0], candidate), material)
        assert report.passed is passes, report.sentence
        assert {row.set for row in report.rows} == {gate.GOLDEN, gate.REPLAY, gate.RECENT}
    assert "3.60 % of 250 different ham spam (the bundle's rehearsal)" in report.sentence


def test_the_report_is_written_for_people_and_programs(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    material = whole(must_stay=Messages.of([("evil|\x1b[2J.eml", Document(Kind.MAIL, "amber birch ham"), 0)]))
    report = judged(bundles, material)
    report.write(tmp_path)
    page = (tmp_path / "gate.md").read_text()
    assert page.rstrip().endswith(report.sentence)
    assert "| golden set | ham called spam | 250 | 0.00 | 0.00 |" in page
    assert "\x1b" not in page and "evil??[2J.eml" in page
    plain = json.loads((tmp_path / "gate.json").read_text())
    assert (plain["passed"], plain["sentence"]) == (True, report.sentence)
    assert plain["rows"][0]["messages"] == 250


def test_the_admins_folders_are_read(tmp_path: Path) -> None:
    folder = gate.folder_of(tmp_path)
    assert len(gate.golden(folder)) == len(gate.must_stay_ham(folder)) == 0
    for where in ("ham", "spam", "must-stay-ham"):
        (folder / where).mkdir(parents=True)
    (folder / "ham" / "a.eml").write_bytes(b"Subject: hi\n\nhello\n")
    (folder / "ham" / "notes.md").write_bytes(b"no message")
    (folder / "ham" / "empty.eml").write_bytes(b"\n")
    (folder / "spam" / "b.txt").write_bytes(b"win a prize\n")
    (folder / "must-stay-ham" / "c.eml").write_bytes(b"Subject: invoice\n\nplease pay\n")
    found = gate.golden(folder)
    assert (found.names, found.spam.tolist()) == (["a.eml", "b.txt"], [0, 1])
    assert [document.kind for document in found.documents] == [Kind.MAIL, Kind.TEXT]
    assert gate.must_stay_ham(folder).names == ["c.eml"]


def test_groups_of_nothing_and_of_empty_texts() -> None:
    assert len(groups_of([])) == 0
    assert len(np.unique(groups_of([Document(Kind.MAIL, "", subject="a"), Document(Kind.MAIL, "", subject="b")]))) == 2


def test_the_shipped_model_knows_the_canaries_and_reads_documents_as_it_serves() -> None:
    bundle = open_bundle(default_bundle())
    reader, served = Reader(bundle), Ensemble(bundle)
    found = gate.canaries(bundle)
    assert len(found) >= 14 and 0 < found.spam.sum() < len(found)
    point = bundle.thresholds(max_false_positive_rate=0.005, max_unsure_rate=0.1)
    for name, spam, p in zip(found.names, found.spam, reader.probabilities(found.documents), strict=True):
        assert p >= point.unsure_at if spam else p < point.spam_at, name
    long = b"Subject: long\nFrom: a@example.org\n\n" + b"the quick brown fox buys cheap pills online now. " * 800
    for raw in (long, b"just a text\n", b"From: x\n\n\xff\xfe\x00"):
        [outcome] = served.score([Message(raw, "test", kind=kind_of(raw))])
        assert not isinstance(outcome, Failure)
        assert reader.read(extract(raw, kind_of(raw)))[0] == pytest.approx(outcome.probability, abs=1e-6)
