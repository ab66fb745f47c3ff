"""Each model has a memory: the next one's is made beforehand, the last one's kept; what is taken back goes from all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spamfilter.classifier.memory import Memory, file_of
from spamfilter.correction import Provenance
from spamfilter.learning import Learning
from spamfilter.store.database import store_url
from spamfilter.store.labels import LabelStore
from spamfilter.store.memories import KEPT_MEMORIES, Rebuilt, not_read, prepare
from spamfilter.verdict import Label
from tests.learners import Model, content, mail, memories, remembered

HAM, SPAM = Label.HAM, Label.SPAM
ALICE = Provenance("alice", "command line")
OLD, NEW = "m-1", "m-2"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with LabelStore(store_url("", tmp_path)) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.npz"


@pytest.fixture
def model() -> Model:
    return Model(OLD)


@pytest.fixture
def learner(store: LabelStore, path: Path, model: Model) -> Learning:
    """Has learned four spams and a ham."""
    made = Learning(store, path, model.examine, OLD, examine_document=model.examine_document)
    for number in range(4):
        made.learn(mail(number), SPAM, ALICE)
    made.learn(mail(4), HAM, ALICE)
    return made


def serve(learner: Learning, model: Model) -> Rebuilt:
    learner._examine, learner._examine_document = model.examine, model.examine_document
    return learner.switch(model.model_id)


def test_the_next_model_knows_all_before_it_serves(
    learner: Learning, store: LabelStore, path: Path, tmp_path: Path
) -> None:
    new = Model(NEW)
    assert len(not_read(store, path, NEW)) == 5
    assert prepare(store, path, NEW, new.examine_document) == Rebuilt(ham=1, spam=4, unread=0)
    assert remembered(tmp_path, NEW) == remembered(tmp_path, OLD) == {
        **{content(mail(number)): SPAM for number in range(4)},
        content(mail(4)): HAM,
    }  # fmt: skip
    assert {one.reading.model_id for one in store.remembered(SPAM, 9) if one.reading} == {OLD}
    assert not_read(store, path, NEW) == []
    serve(learner, new)
    assert len(new.read) == 5  # nothing is read twice


def test_corrections_meanwhile_are_not_lost(learner: Learning, store: LabelStore, path: Path, tmp_path: Path) -> None:
    new = Model(NEW)

    def slow(document):  # type: ignore[no-untyped-def]
        if not new.read:
            learner.learn(mail(5), SPAM, ALICE)
            learner.forget(content(mail(0)), ALICE)
            learner.learn(mail(1), HAM, ALICE)
        return new.examine_document(document)

    prepare(store, path, NEW, slow)
    expected = remembered(tmp_path, OLD)
    assert remembered(tmp_path, NEW) == {
        **{content(mail(number)): SPAM for number in (2, 3)},
        **{content(mail(number)): HAM for number in (1, 4)},
    }
    assert serve(learner, new) == Rebuilt(ham=2, spam=3, unread=0)
    assert remembered(tmp_path, NEW) == expected


def test_when_it_is_enough_the_rest_is_read_later(
    learner: Learning, store: LabelStore, path: Path, tmp_path: Path
) -> None:
    new = Model(NEW)
    found = prepare(store, path, NEW, new.examine_document, enough=lambda: len(new.read) == 2)
    assert found == Rebuilt(ham=0, spam=2, unread=3)
    assert serve(learner, new) == Rebuilt(ham=1, spam=4, unread=0)
    assert len(new.read) == 5


def test_after_a_rollback_only_what_came_since_is_read(
    learner: Learning, store: LabelStore, path: Path, model: Model
) -> None:
    serve(learner, Model(NEW))
    learner.learn(mail(5), SPAM, ALICE)
    model.read.clear()
    assert [one.content for one in not_read(store, path, OLD)] == [content(mail(5))]
    assert prepare(store, path, OLD, model.examine_document) == Rebuilt(ham=1, spam=5, unread=0)
    assert serve(learner, model) == Rebuilt(ham=1, spam=5, unread=0)
    assert len(model.read) == 1


def test_what_is_taken_back_goes_from_every_memory(
    learner: Learning, store: LabelStore, path: Path, tmp_path: Path
) -> None:
    prepare(store, path, NEW, Model(NEW).examine_document)
    learner.forget(content(mail(0)), ALICE)
    learner.undo(content(mail(1)), ALICE)
    learner.learn(mail(2), HAM, ALICE)
    assert remembered(tmp_path, NEW) == {content(mail(3)): SPAM, content(mail(4)): HAM}
    assert [one.name for one in memories(tmp_path)] == [file_of(path, model).name for model in (NEW, OLD)]


def test_what_another_process_took_back_while_a_model_served_goes_from_its_memory_too(
    learner: Learning, store: LabelStore, path: Path, tmp_path: Path
) -> None:
    store.forget(content(mail(0)), ALICE)  # killed before the memory followed
    Learning(store, path, Model(NEW).examine, NEW, examine_document=Model(NEW).examine_document).rebuild()
    assert content(mail(0)) not in remembered(tmp_path, OLD)


def test_only_the_latest_memories_are_kept(learner: Learning, path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"of an earlier version")
    file_of(path, "m-0").write_bytes(b"damaged")
    for number in range(2, 6):
        serve(learner, Model(f"m-{number}"))
    assert [one.name for one in memories(tmp_path)] == [f"memory-m-{number}.npz" for number in (3, 4, 5)]
    assert len(memories(tmp_path)) == KEPT_MEMORIES + 1
    assert not path.exists()
    file_of(path, "m-4").write_bytes(b"damaged")
    learner.forget(content(mail(0)), ALICE)
    assert [one.name for one in memories(tmp_path)] == ["memory-m-3.npz", "memory-m-5.npz"]
    assert all(content(mail(0)) not in [e.content for e in Memory.load(one).exemplars] for one in memories(tmp_path))
