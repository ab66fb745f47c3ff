"""The command under test: in this process, over a real bundle folder whose classifier is scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spamfilter import classifier, operating_point
from spamfilter.classifier import bundle as bundles
from spamfilter.classifier.explanation import SECONDS, Explanation
from spamfilter.cli import main, options
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Recall, Score
from tests.classifier.made_explanation import made
from tests.logs import restored

Run = Callable[..., Result]

TABLE = [{"false_positive_rate": 0.001, "probability": 0.9}, {"false_positive_rate": 0.01, "probability": 0.5}]


class ScriptedClassifier:
    """VIAGRA is spam, PERHAPS is unsure, RAISE raises, UNREADABLE fails; notes the sizes of its batches."""

    model_id = "scripted-1"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.kinds: list[str] = []
        self.recalled: Recall | None = None
        self.seconds: list[float] = []

    def score(self, messages: Sequence[Message]) -> list[Score | Failure]:
        self.batches.append(len(messages))
        self.kinds += [message.kind.value for message in messages]
        return [self._one(message.raw) for message in messages]

    def explain(self, message: Message, seconds: float = SECONDS) -> Explanation | Failure:
        self.seconds.append(seconds)
        self.kinds.append(message.kind.value)
        outcome = self._one(message.raw)
        if isinstance(outcome, Failure):
            return outcome
        found = made(outcome.probability, self.model_id)
        return replace(found, head=found.head + " and so on" * 1000) if b"LONG" in message.raw else found

    def _one(self, raw: bytes) -> Score | Failure:
        if b"RAISE" in raw:
            raise ValueError("as told")
        if b"UNREADABLE" in raw:
            return Failure(FailureKind.UNPARSABLE, "as told")
        probability = 0.99 if b"VIAGRA" in raw else 0.6 if b"PERHAPS" in raw else 0.01
        stages = {"ngram": probability, "gpt": probability}
        return Score(probability, stages, self.model_id, {"total": 1.5}, recalled=self.recalled)


def make_bundle(folder: Path) -> bundles.Bundle:
    """A whole bundle, as far as its manifest goes."""
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\1\2\3")
    metrics = {"held-out": {"roc_auc": 0.997, "count": 1209}}
    content = {"ensemble": {}, "thresholds": TABLE, "created": "2026-01-02T03:04:05+00:00", "metrics": metrics}
    return bundles.write_manifest(folder, "scripted", content)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bundles.Bundle:
    """The bundle that ships with the package, for the time of a test."""
    made = make_bundle(tmp_path / "shipped")
    monkeypatch.setattr(bundles, "default_bundle", lambda: made.path)
    monkeypatch.setattr(operating_point, "default_bundle", lambda: made.path)
    return made


@pytest.fixture
def scripted(bundle: bundles.Bundle, monkeypatch: pytest.MonkeyPatch) -> ScriptedClassifier:
    """The classifier that every bundle loads as."""
    loaded = ScriptedClassifier()
    monkeypatch.setattr(classifier, "load", lambda path, **options: loaded)
    return loaded


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Call `spamfilter` with arguments, in an empty folder and with nothing configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "SYSTEM_CONFIG", tmp_path / "etc" / "spamfilter.yaml")
    monkeypatch.delenv(options.CONFIG_VARIABLE, raising=False)

    def called(*arguments: str | Path, input: bytes | None = None) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    with restored():
        yield called
