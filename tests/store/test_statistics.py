"""What a period was like: as counting the rows one by one would say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.engine import URL

from spamfilter.store.database import StoreError, migrate, open_database
from spamfilter.store.decision_rows import decision_row
from spamfilter.store.statistics import Statistics
from spamfilter.store.tallies import Tallies
from spamfilter.verdict import Failure, FailureKind, Label, Thresholds
from tests.store.conftest import Make
from tests.store.labelling import ALICE, BOB, HAM, SPAM, Open, example, mail

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def statistics(url: URL, make: Make) -> Iterator[Statistics]:
    """Two days: ham at noon, spam and a failure an hour and a half later, unsure on the next day by another model."""
    engine = open_database(url, writer=True)
    migrate(engine)
    tallies = Tallies()
    for time, outcome, changed in (
        (NOON, 0.01, {"timings": {"total": 2.0}}),
        (NOON, 0.02, {"timings": {"total": 4.0, "gpt": 3.0}, "stages": {"ngram": 0.1}}),
        (NOON + 1.5 * HOUR, 0.999, {"stages": {"gpt": 0.5, "memory": 1.0}}),
        (NOON + 1.5 * HOUR, Failure(FailureKind.TIMEOUT), {"channel": "folder"}),
        (NOON + 24 * HOUR, 0.7, {"model_id": "fake-2", "timings": {"total": 900.0}}),
    ):
        tallies.add(decision_row(*make(outcome)) | {"time": time} | changed)
    with engine.begin() as connection:
        tallies.write(connection)
    engine.dispose()
    with Statistics(url) as opened:
        yield opened


def test_hours_have_no_gaps(statistics: Statistics) -> None:
    hours = statistics.hours(NOON - HOUR, NOON + 3 * HOUR)
    assert [(span.begins, span.count) for span in hours] == [
        (NOON - HOUR, 0), (NOON, 2), (NOON + HOUR, 2), (NOON + 2 * HOUR, 0)
    ]  # fmt: skip
    assert hours[2].labels == {"spam": 1, "unscanned": 1}
    assert hours[2].failures == {"timeout": 1}
    assert hours[2].channels == {"smtp": 1, "folder": 1}


def test_without_an_end_it_goes_to_the_last_mail(statistics: Statistics) -> None:
    assert len(statistics.hours(NOON)) == 25
    assert statistics.hours(NOON + 48 * HOUR) == []


def test_days_begin_at_midnight_of_utc(statistics: Statistics) -> None:
    days = statistics.days(NOON)
    assert [(day.begins, day.count) for day in days] == [
        (datetime(2026, 3, 1, tzinfo=UTC), 4),
        (datetime(2026, 3, 2, tzinfo=UTC), 1),
    ]


def test_all_in_all(statistics: Statistics) -> None:
    total = statistics.total(NOON)
    assert (total.count, total.asked, total.recalled) == (5, 3, 1)
    assert total.labels == {"ham": 2, "spam": 1, "unsure": 1, "unscanned": 1}
    assert total.models == {"fake-1": 3, "fake-2": 1}
    assert total.share(total.asked) == 0.6
    assert statistics.total(NOON - 2 * HOUR, NOON).share(0) == 0.0


@pytest.mark.parametrize(
    ("unsure_at", "spam_at", "expected"),
    [
        (0.5, 0.9, (2, 1, 1)),
        (0.0, 0.0, (0, 0, 4)),
        (1.0, 1.0, (4, 0, 0)),
        (0.015, 0.6, (1, 1, 2)),
        (0.5, 0.9999, (2, 2, 0)),
    ],
)
def test_what_mail_would_have_got_at_other_thresholds(
    statistics: Statistics, unsure_at: float, spam_at: float, expected: tuple[int, int, int]
) -> None:
    would = statistics.probabilities(NOON).at(Thresholds(unsure_at, spam_at))
    assert (would[Label.HAM], would[Label.UNSURE], would[Label.SPAM]) == expected


def test_the_probabilities_of_one_model_and_in_coarse_columns(statistics: Statistics) -> None:
    assert statistics.probabilities(NOON, model_id="fake-2").count == 1
    assert statistics.probabilities(NOON, NOON).count == 0  # the day of `until` is left out
    assert statistics.probabilities(NOON).between((0.0, 0.1, 0.5, 1.0)) == [2, 0, 2]


def test_labels_alone_are_those_of_the_whole_stretches(statistics: Statistics) -> None:
    until = NOON + 72 * HOUR
    for by_day, whole in ((True, statistics.days(NOON, until)), (False, statistics.hours(NOON, until))):
        labels = statistics.labels(NOON, until, by_day=by_day)
        assert [(one.begins, one.count, one.labels) for one in labels] == [
            (one.begins, one.count, one.labels) for one in whole
        ]
        assert all(not one.channels and not one.actions for one in labels)


def test_latencies_by_step_the_slowest_first(statistics: Statistics) -> None:
    found = statistics.latencies(NOON, quantiles=(0.5, 1.0))
    assert list(found) == ["gpt", "total"] or list(found) == ["total", "gpt"]
    assert found["total"] == [pytest.approx(2.0, rel=0.07), pytest.approx(900.0, rel=0.07)]
    assert found["gpt"] == [pytest.approx(3.0, rel=0.07)] * 2


def test_models_and_channels_that_were_seen(statistics: Statistics) -> None:
    assert statistics.models() == ["fake-2", "fake-1"]
    assert statistics.channels() == ["folder", "smtp"]


def test_corrections_that_stand_count_once(statistics: Statistics, opened: Open) -> None:
    labels = opened()
    for number, (label, who) in enumerate([(SPAM, ALICE), (HAM, BOB), (SPAM, BOB)]):
        labels.record(example(mail(f"subject {number}")), label, who)
    labels.record(example(mail("subject 0")), HAM, ALICE)  # another mind
    labels.undo(example(mail("subject 2")).content, BOB)
    said = statistics.corrections(datetime.now(UTC) - HOUR)
    assert (said.spam, said.ham) == (0, 2)
    assert (said.by_who, said.by_how) == ({"alice": 1, "bob": 1}, {"command line": 1, "folder": 1})
    assert statistics.corrections(datetime.now(UTC) + HOUR).ham == 0


def test_no_log_is_said(tmp_path: object, url: URL) -> None:
    with pytest.raises(StoreError, match="no decision log yet"):
        Statistics(url)


def test_an_empty_log_has_nothing_to_tell(url: URL) -> None:
    engine = open_database(url, writer=True)
    migrate(engine)
    engine.dispose()
    with Statistics(url) as empty:
        assert (empty.days(NOON), empty.latencies(NOON), empty.models()) == ([], {}, [])
        assert empty.probabilities(NOON).at(Thresholds(0.5, 0.9)) == {Label.HAM: 0, Label.UNSURE: 0, Label.SPAM: 0}
