"""Learning: what people say is kept first, the memory follows, and a killed process leaves neither torn."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spamfilter import learning as module
from spamfilter.classifier.memory import Memory
from spamfilter.config import load
from spamfilter.correction import Provenance
from spamfilter.document import extract
from spamfilter.headers import Markup, mark
from spamfilter.learning import Learned, Learning, label_store
from spamfilter.message import Kind, Message, kind_of
from spamfilter.policy import Policy, decide
from spamfilter.store.database import SQLITE_NAME, StoreError, store_url
from spamfilter.store.label_reader import LabelReader
from spamfilter.store.labels import LabelStore
from spamfilter.store.memories import Rebuilt, rebuild
from spamfilter.verdict import Failure, FailureKind, Label, Score
from tests.fakes import THRESHOLDS, score
from tests.learners import TEXT, Model, content, kept, mail, memories, remembered

HAM, SPAM = Label.HAM, Label.SPAM
ALICE, BOB = Provenance("alice", "command line"), Provenance("bob", "folder", "folder")


def opened(state: Path, **options: Any) -> LabelStore:
    store = LabelStore(store_url("", state), **options)
    store.open()
    return store


def learning(state: Path, model: Model | None = None, **options: Any) -> Learning:
    model = model or Model()
    store = opened(state)
    return Learning(
        store, state / "memory.npz", model.examine, model.model_id, examine_document=model.examine_document, **options
    )


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def learner(tmp_path: Path, model: Model) -> Iterator[Learning]:
    made = learning(tmp_path, model)
    yield made
    made._store.close()


def learned(outcome: Learned | Failure) -> Learned:
    assert isinstance(outcome, Learned)
    return outcome


def test_what_is_learned_is_remembered_at_once(learner: Learning, tmp_path: Path) -> None:
    first = learned(learner.learn(mail(), SPAM, ALICE))
    assert (first.content, first.before, first.after, first.probability) == (content(mail()), None, SPAM, 0.25)
    assert first.recall is None and first.changed
    (exemplar,) = Memory.load(memories(tmp_path)[-1]).exemplars
    assert (exemplar.content, exemplar.label) == (first.content, SPAM)
    assert exemplar.pooled.dtype == "float16"
    assert abs(exemplar.time - time.time()) < 60
    again = learned(learner.learn(mail(), SPAM, ALICE))
    assert (again.before, again.after, again.changed) == (SPAM, SPAM, False)
    assert again.recall is not None
    assert (again.recall.content, again.recall.label) == (first.content, SPAM)


def test_the_last_label_wins_in_the_memory_too(learner: Learning, tmp_path: Path) -> None:
    learner.learn(mail(), SPAM, ALICE)
    turned = learned(learner.learn(mail(), HAM, BOB))
    assert (turned.before, turned.after) == (SPAM, HAM)
    assert remembered(tmp_path) == {content(mail()): HAM}


def test_undo_twice(learner: Learning, tmp_path: Path) -> None:
    learner.learn(mail(), SPAM, ALICE)
    learner.learn(mail(), HAM, BOB)
    assert learner.undo(content(mail()), BOB).after is SPAM
    assert remembered(tmp_path) == {content(mail()): SPAM}
    assert learner.undo(content(mail())).after is None
    assert remembered(tmp_path) == {}
    assert not learner.undo(content(mail())).changed


def test_forget(learner: Learning, tmp_path: Path) -> None:
    learner.learn(mail(1), SPAM, Provenance("quisquilious", "folder"))
    learner.learn(mail(2), HAM, ALICE)
    gone = learned(learner.learn(mail(1), None, BOB))
    assert (gone.before, gone.after) == (SPAM, None)
    assert remembered(tmp_path) == kept(tmp_path) == {content(mail(2)): HAM}
    assert not learned(learner.learn(mail(1), None, BOB)).changed
    files = [path for path in tmp_path.iterdir() if path.name.startswith(SQLITE_NAME)]
    assert b"quisquilious" not in b"".join(path.read_bytes() for path in files)


def test_a_marked_copy_is_the_same_message(learner: Learning, tmp_path: Path) -> None:
    sent = mail()
    decision = decide("id", score(0.99), Policy(THRESHOLDS))
    marked = mark(sent, decision, Markup("mx.example.org"))
    delivered = b"Return-Path: <a@example.com>\nReceived: from a by b; now\n" + marked
    learner.learn(Message(sent.raw.replace(b"\n", b"\r\n"), "smtp"), SPAM, ALICE)
    assert learned(learner.learn(Message(delivered, "maildir"), SPAM, ALICE)).before is SPAM
    assert list(kept(tmp_path)) == [content(sent)]


def test_a_text_that_was_marked_is_learned_as_the_text_it_was(learner: Learning) -> None:
    text = Message(TEXT.encode(), "folder", kind=Kind.TEXT)
    marked = mark(text, decide("id", score(0.99), Policy(THRESHOLDS)), Markup("mx.example.org"))
    learner.learn(Message(marked, "cli", kind=kind_of(marked)), SPAM, ALICE)
    example = learner._store.get(content(text))
    assert example is not None
    assert (example.kind, example.document) == (Kind.TEXT, extract(text.raw, Kind.TEXT))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"Subject: big\nFrom: a@example.com\n\n" + b"win a prize now, call me " * 200_000, id="5 MB"),
        pytest.param(b"Subject: n\x00ul\nFrom: a@example.com\n\n\x00\x00text\x00", id="NUL bytes"),
        pytest.param(b"no headers at all, only words", id="no headers"),
        pytest.param(b"\n\nonly a body", id="no header block"),
        pytest.param(b"Subject:\n\n", id="no words"),
        pytest.param(bytes(range(256)) * 20, id="any byte"),
    ],
)
def test_hostile_messages_are_learned(learner: Learning, tmp_path: Path, raw: bytes) -> None:
    message = Message(raw, "cli", kind=kind_of(raw))
    assert learned(learner.learn(message, SPAM, ALICE)).after is SPAM
    assert remembered(tmp_path) == kept(tmp_path) == {content(message): SPAM}
    example = learner._store.get(content(message))
    assert example is not None and example.document is not None and example.size == len(raw)


@pytest.mark.parametrize("raw", [b"", b"\n", b"\r\n \r\n", b"X-Spam-Flag: YES\n\n"])
def test_an_empty_message_teaches_nothing(learner: Learning, tmp_path: Path, raw: bytes) -> None:
    outcome = learner.learn(Message(raw, "cli"), SPAM, ALICE)
    assert isinstance(outcome, Failure)
    assert outcome.detail == "empty: there is nothing to learn from"
    assert kept(tmp_path) == {}


def test_a_model_that_cannot_answer_costs_no_label(learner: Learning, model: Model, tmp_path: Path) -> None:
    model.failure = Failure(FailureKind.ENGINE_DOWN, "as told")
    learner._examine_document = None
    outcome = learned(learner.learn(mail(), SPAM, ALICE))
    assert (outcome.after, outcome.probability) == (SPAM, None)
    assert kept(tmp_path) == {content(mail()): SPAM}
    assert remembered(tmp_path) == {}
    learner._examine_document = model.examine_document  # it is back
    assert learner.rebuild() == Rebuilt(ham=0, spam=1, unread=0)
    assert remembered(tmp_path) == {content(mail()): SPAM}


def test_another_model_reads_all_anew_once(learner: Learning, model: Model, tmp_path: Path) -> None:
    for number in range(3):
        learner.learn(mail(number), SPAM, ALICE)
    other = Model("m-2")
    learner._examine, learner._examine_document = other.examine, other.examine_document
    assert learner.switch("m-2") == Rebuilt(ham=0, spam=3, unread=0)
    memory = Memory.load(memories(tmp_path)[-1])
    assert memory.model_id == "m-2"
    assert len(memory) == len(other.read) == 3
    learner.rebuild()
    assert len(other.read) == 3
    expected = {content(mail(number)): other.examine(mail(number)).pooled.tolist() for number in range(3)}  # type: ignore[union-attr]
    assert {one.content: one.pooled.tolist() for one in memory.exemplars} == expected


def test_what_the_other_model_cannot_read_is_left_out(learner: Learning, tmp_path: Path) -> None:
    learner.learn(mail(1), SPAM, ALICE)
    with learner._store as store, store._writer.begin() as connection:  # type: ignore[union-attr]
        from sqlalchemy import text

        connection.execute(text("UPDATE examples SET extraction = '1-1-1', model_id = 'old'"))
    learner._store.open()
    memories(tmp_path)[-1].unlink()
    learner.learn(mail(2), HAM, ALICE)
    assert learner.rebuild() == Rebuilt(ham=1, spam=0, unread=1)
    assert remembered(tmp_path) == {content(mail(2)): HAM}


def test_a_fault_of_the_model_on_one_example(learner: Learning, model: Model, tmp_path: Path) -> None:
    model.failure = Failure(FailureKind.UNPARSABLE, "as told")
    learner.learn(mail(1, subject="RAISE"), SPAM, ALICE)
    model.failure = None
    learner.learn(mail(2), SPAM, ALICE)
    assert learner.rebuild().unread == 1
    assert remembered(tmp_path) == {content(mail(2)): SPAM}
    assert len(kept(tmp_path)) == 2


def test_the_memory_is_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    learner = learning(tmp_path, remember=3)
    list(learner.learn_all([mail(number) for number in range(6)], SPAM, ALICE))
    list(learner.learn_all([mail(number) for number in range(6, 8)], HAM, ALICE))
    newest = {content(mail(number)): SPAM for number in (3, 4, 5)} | {content(mail(n)): HAM for n in (6, 7)}
    assert remembered(tmp_path) == newest
    assert len(kept(tmp_path)) == 8
    learner._store.close()


def test_many_messages_rebuild_the_memory_once(
    learner: Learning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []

    def counted(store: LabelStore, *rest: Any, **options: Any) -> Rebuilt:
        built.append(len(kept(tmp_path)))
        return rebuild(store, *rest, **options)

    monkeypatch.setattr(module, "rebuild", counted)
    monkeypatch.setattr(module, "REBUILD_EVERY_S", 3600.0)
    outcomes = list(learner.learn_all((mail(number) for number in range(40)), SPAM, ALICE))
    assert [learned(one).after for one in outcomes] == [SPAM] * 40
    assert built == [40]
    assert len(remembered(tmp_path)) == 40
    monkeypatch.setattr(module, "REBUILD_EVERY_S", 0.0)
    with learner.many():
        for number in (50, 51):
            learner.learn(mail(number), SPAM, ALICE)
            assert content(mail(number)) in remembered(tmp_path)  # meanwhile
            time.sleep(1.0)
    assert built == [40, 41, 42]  # and nothing was left for the end


def test_many_messages_that_end_with_an_error(learner: Learning, tmp_path: Path) -> None:
    def broken() -> Iterator[Message]:
        yield mail(1)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(learner.learn_all(broken(), SPAM, ALICE))
    assert remembered(tmp_path) == kept(tmp_path) == {content(mail(1)): SPAM}


def test_retention_reaches_the_memory(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    learner = learning(tmp_path)
    learner.learn(mail(1), SPAM, ALICE)
    example = learner._store.get(content(mail(1)))
    assert example is not None
    old = datetime.now(UTC) - timedelta(days=31)
    from spamfilter.store.examples import Example

    assert example.document is not None
    learner._store.record(
        Example(content(mail(2)), Kind.MAIL, example.document, 1, None, example.reading), SPAM, ALICE, time=old
    )
    learner._store.close()
    pruned = Learning(opened(tmp_path, retention_days=30), tmp_path / "memory.npz", Model().examine, "m-1")
    assert pruned.rebuild() == Rebuilt(ham=0, spam=1, unread=0)
    assert remembered(tmp_path) == kept(tmp_path) == {content(mail(1)): SPAM}
    pruned._store.close()


def test_an_import_reaches_the_memory(learner: Learning, tmp_path: Path) -> None:
    import io

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    there = learning(elsewhere)
    there.learn(mail(1), SPAM, ALICE)
    there.learn(mail(2), HAM, BOB)
    out = io.BytesIO()
    there._store.export(out)
    there._store.close()
    assert learner.take(io.BytesIO(out.getvalue())).new == 2
    assert remembered(tmp_path) == {content(mail(1)): SPAM, content(mail(2)): HAM}


def test_a_memory_that_cannot_be_written(learner: Learning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Memory, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Memory, "save", full)
    with pytest.raises(StoreError, match="No space left on device; the labels are kept"):
        learner.learn(mail(1), SPAM, ALICE)
    monkeypatch.undo()
    assert kept(tmp_path) == {content(mail(1)): SPAM}
    learner.learn(mail(2), SPAM, ALICE)
    assert remembered(tmp_path) == kept(tmp_path)


def test_the_configured_labels(tmp_path: Path) -> None:
    config = load(environ={}, state_dir=str(tmp_path))
    store = label_store(config)
    store.open()
    assert (tmp_path / SQLITE_NAME).exists()
    store.close()


def _learn(state: str, first: int, count: int, label: str, ready: Any, go: Any) -> None:
    """In a process of its own: learn `count` messages, those of number `first` on."""
    learner = learning(Path(state))
    ready.set()
    go.wait(30)
    module.REBUILD_EVERY_S = 0.02
    for number, _ in enumerate(learner.learn_all((mail(first + i) for i in range(count)), Label(label), ALICE)):
        if number % 10 == 9:
            time.sleep(0.001)
    learner._store.close()


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a process that learns; all go at the first call of what it returns."""
    spawn = multiprocessing.get_context("spawn")
    go = spawn.Event()
    started: list[Any] = []

    def start(first: int, count: int, label: Label) -> Any:
        ready = spawn.Event()
        process = spawn.Process(target=_learn, args=(str(tmp_path), first, count, label.value, ready, go))
        process.start()
        started.append(process)
        process.is_ready, process.go = ready, go
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def test_two_processes_learn_at_once(start: Start, tmp_path: Path) -> None:
    one, other = start(0, 60, SPAM), start(40, 60, HAM)  # 20 of them both, one as spam, the other as ham
    for process in (one, other):
        assert process.is_ready.wait(60)
    one.go.set()
    for process in (one, other):
        process.join(120)
        assert process.exitcode == 0
    labels = kept(tmp_path)
    assert set(labels) == {content(mail(number)) for number in range(100)}
    assert all(
        labels[content(mail(number))] is (SPAM if number < 40 else HAM) for number in (*range(40), *range(60, 100))
    )
    assert remembered(tmp_path) == labels
    with LabelReader(store_url("", tmp_path)) as reader:
        for number in range(100):
            said = reader.corrections(content(mail(number)))
            assert len(said) == (2 if 40 <= number < 60 else 1)
            assert said[-1].label is labels[said[-1].content]


@pytest.mark.parametrize("after", [3, 47, 111])
def test_kill_9_in_the_middle_leaves_nothing_half(start: Start, tmp_path: Path, after: int) -> None:
    process = start(0, 5000, SPAM)
    assert process.is_ready.wait(60)
    process.go.set()
    with LabelReader(store_url("", tmp_path)) as reader:
        deadline = time.monotonic() + 60
        while len(reader.corrections()) < after and time.monotonic() < deadline:
            time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -9
    labels = kept(tmp_path)
    assert after <= len(labels) < 5000
    with LabelReader(store_url("", tmp_path)) as reader:
        assert {said.content: said.label for said in reader.corrections()} == labels
        assert all(one.document is not None and one.reading is not None for one in reader.labelled())
    if memories(tmp_path):
        assert set(remembered(tmp_path).items()) <= set(labels.items())
    learner = learning(tmp_path)
    learner.learn(mail(0), SPAM, ALICE)  # known already, and still the memory is brought up
    assert remembered(tmp_path) == kept(tmp_path) == labels
    learner._store.close()


def test_the_shipped_model_knows_the_next_of_its_kind(tmp_path: Path) -> None:
    from spamfilter import classifier
    from spamfilter.classifier.bundle import default_bundle

    path = tmp_path / "memory.npz"
    serving = classifier.load(default_bundle(), turns_at=(0.5, 0.9), memory=path)
    sent, copy = mail(3), Message(mail(3).raw.replace(b"number 3", b"number 7") + b"Regards, 0815\n", "smtp")
    before = serving.score([copy])[0]
    assert isinstance(before, Score) and before.recalled is None
    label = HAM if before.probability > 0.5 else SPAM
    store = opened(tmp_path)
    learner = Learning(store, path, serving.examine, serving.model_id, examine_document=serving.examine_document)
    assert learned(learner.learn(sent, label, ALICE)).probability is not None
    time.sleep(0.25)  # a worker looks for a new memory every 0.2 s
    after = serving.score([copy])[0]
    assert isinstance(after, Score) and after.recalled is not None
    assert (after.recalled.content, after.recalled.label) == (content(sent), label)
    assert after.probability < 0.5 if label is HAM else after.probability >= 0.9
    learner.undo(content(sent))
    time.sleep(0.25)
    undone = serving.score([copy])[0]
    assert isinstance(undone, Score)
    assert (undone.recalled, undone.probability) == (None, pytest.approx(before.probability, abs=1e-6))
    store.close()
