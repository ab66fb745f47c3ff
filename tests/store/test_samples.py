"""The samples' table: what is kept, for how long, sealed or open, and beside another writer."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import URL

from spamfilter.classifier.sampled import Sampled
from spamfilter.store.database import StoreError, open_database
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.samples import SampleReader, SampleStore, Trait
from spamfilter.store.schema import samples
from tests.store.conftest import Make
from tests.store.labelling import sealer

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
MODELS = frozenset({"m-1"})
DAYS = (datetime.now(UTC) - NOW).days + 14
"""So long the inputs of these tests' samples are kept: they are of NOW, and a store that opens looks at the clock."""


def sample(number: int = 0, model_id: str = "m-1", language: str = "en") -> Sampled:
    return Sampled(model_id, 0.25, language, 0.1, b"smp1 of %d" % number)


@pytest.fixture
def kept(store: DecisionStore, url: URL) -> Iterator[SampleStore]:
    """A store for three samples with inputs, two days, and rows of ten days."""
    with SampleStore(url, keep=3, days=2, retention_days=10) as made:
        yield made


def held(url: URL) -> list[bytes]:
    """The inputs of all samples, newest first."""
    with SampleReader(url) as reader:
        return reader.recent(MODELS, 500)


def test_the_newest_hold_their_inputs_and_all_their_traits(kept: SampleStore, url: URL) -> None:
    for number in range(7):
        kept.add(sample(number), time=NOW + timedelta(minutes=number))
    assert held(url) == [b"smp1 of 6", b"smp1 of 5", b"smp1 of 4"]
    assert kept.recent(MODELS, 2) == [b"smp1 of 6", b"smp1 of 5"]
    traits = [*kept.traits(NOW)]
    assert traits[0] == Trait(NOW, "m-1", "en", 0.1) and len(traits) == 7


def test_days_end_the_inputs_and_then_the_row(kept: SampleStore, url: URL) -> None:
    kept.add(sample(1), time=NOW)
    kept.add(sample(2), time=NOW + timedelta(days=3))
    assert held(url) == [b"smp1 of 2"] and len([*kept.traits(NOW)]) == 2
    kept.prune(now=NOW + timedelta(days=11))
    assert held(url) == [] and [one.time for one in kept.traits(NOW)] == [NOW + timedelta(days=3)]


def test_what_grew_old_while_nobody_wrote_goes_at_the_next_start(kept: SampleStore, url: URL) -> None:
    kept.add(sample(1), time=NOW)
    with SampleStore(url, keep=3, days=2):
        assert held(url) == [] and len([*kept.traits(NOW)]) == 1


def test_more_than_a_chunk_is_let_go(kept: SampleStore, url: URL) -> None:
    with SampleStore(url, keep=1000, days=100) as generous:
        for number in range(450):
            generous.add(sample(number), time=NOW)
    kept.prune(now=NOW)
    assert len(held(url)) == 3


@pytest.mark.parametrize(("keep", "days"), [(0, 14), (500, 0)])
def test_of_none_only_traits_are_kept(store: DecisionStore, url: URL, keep: int, days: int) -> None:
    with SampleStore(url, keep=keep, days=days) as made:
        made.add(sample())
        assert made.recent(MODELS, 500) == [] and len([*made.traits(NOW - timedelta(days=1000))]) == 1


def test_only_the_models_asked_for_are_read(kept: SampleStore) -> None:
    kept.add(sample(1, "m-1"), time=NOW)
    kept.add(sample(2, "m-2"), time=NOW)
    assert kept.recent(frozenset({"m-2", "m-3"}), 500) == [b"smp1 of 2"]
    assert kept.recent(frozenset(), 500) == []


def test_traits_come_page_by_page(kept: SampleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spamfilter.store.samples._PAGE", 3)
    for number in range(8):
        kept.add(sample(number), time=NOW + timedelta(minutes=number))
    assert [one.time.minute for one in kept.traits(NOW + timedelta(minutes=2))] == [2, 3, 4, 5, 6, 7]


def test_sealed_inputs_open_with_their_key_and_in_their_row_alone(store: DecisionStore, url: URL) -> None:
    with SampleStore(url, seal=sealer(), keep=500, days=DAYS) as made:
        made.add(sample(1), time=NOW)
        made.add(sample(2), time=NOW + timedelta(seconds=1))
        assert made.recent(MODELS, 500) == [b"smp1 of 2", b"smp1 of 1"]
    with SampleReader(url, seal=sealer(b"x" * 32)) as other, SampleReader(url) as without:
        assert (other.recent(MODELS, 500), without.recent(MODELS, 500)) == ([], [])
        assert len([*without.traits(NOW)]) == 2
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        stored = [bytes(row.inputs) for row in connection.execute(select(samples.c.inputs).order_by(samples.c.id))]
        assert not any(b"smp1" in one for one in stored)
        connection.execute(update(samples).where(samples.c.id == 1).values(inputs=stored[1]))
    engine.dispose()
    with SampleReader(url, seal=sealer()) as reader:
        assert reader.recent(MODELS, 500) == [b"smp1 of 2"]  # moved to another row it does not open


def test_both_writers_get_their_turn(store: DecisionStore, url: URL, make: Make) -> None:
    with SampleStore(url, keep=5, days=14) as made:

        def write() -> None:
            for number in range(60):
                made.add(sample(number))

        writing = threading.Thread(target=write)
        writing.start()
        for _ in range(300):
            store.record(*make())
        writing.join(60)
        assert store.flush(60) and store.dropped == 0
        assert len([*made.traits(datetime.now(UTC) - timedelta(hours=1))]) == 60


def test_a_killed_writer_leaves_whole_rows(store: DecisionStore, url: URL) -> None:
    script = (
        "import sys\nfrom sqlalchemy.engine import make_url\n"
        "from spamfilter.store.samples import SampleStore\nfrom tests.store.test_samples import sample\n"
        "store = SampleStore(make_url(sys.argv[1]), keep=5, days=14)\nstore.open()\n"
        "for number in range(100_000):\n    store.add(sample(number))\n    print(number, flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(url)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as child:
        assert child.stdout is not None
        last = [child.stdout.readline() for _ in range(12)][-1]
        child.send_signal(signal.SIGKILL)
    with SampleStore(url, keep=5, days=14) as made:
        made.prune()
        found = made.recent(MODELS, 500)
        assert len(found) == 5 and all(one.startswith(b"smp1 of ") for one in found)
        assert len([*made.traits(datetime.now(UTC) - timedelta(hours=1))]) > int(last)


def test_trouble_says_what_and_where(store: DecisionStore, url: URL, tmp_path: Path) -> None:
    closed = SampleStore(url, keep=500, days=14)
    with pytest.raises(StoreError, match="not open for writing"):
        closed.add(sample())
    with pytest.raises(StoreError, match="closed"):
        closed.recent(MODELS, 500)
    with pytest.raises(StoreError, match="there is no decision log yet"):
        SampleReader(URL.create("sqlite", database=str(tmp_path / "none.sqlite3"))).open()
    with SampleStore(url, keep=500, days=14) as made:
        engine = open_database(url, writer=True)
        samples.drop(engine)
        engine.dispose()
        with pytest.raises(StoreError, match="a sample cannot be written"):
            made.add(sample())
