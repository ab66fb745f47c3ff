"""`drift`: a table, a picture of characters, a sentence; or JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spamfilter.classifier import bundle as shipped
from spamfilter.classifier.sampled import Sampled
from spamfilter.cli import options
from spamfilter.cli.drift import bars, drift
from spamfilter.drift import BINS, Reference, snapshot_of
from spamfilter.message import Message
from spamfilter.policy import Policy, decide
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.samples import SampleStore
from spamfilter.traits import traits_of
from spamfilter.verdict import Score
from tests.fakes import THRESHOLDS
from tests.logs import restored


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(options, "SYSTEM_CONFIG", tmp_path / "none.yaml")
    monkeypatch.delenv(options.CONFIG_VARIABLE, raising=False)
    with restored():
        result = CliRunner().invoke(drift, ["--state-dir", str(tmp_path / "state"), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def model_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bundle in service, with a snapshot of its training."""
    (tmp_path / "model").mkdir()
    kept = snapshot_of([0.0005] * 90 + [0.3] * 10 + [0.9995] * 100, [0] * 100 + [1] * 100, 0.5, 0.9)
    made = shipped.write_manifest(tmp_path / "model", "m", {"ensemble": {}, "thresholds": [], "snapshot": kept})
    monkeypatch.setattr("spamfilter.operating_point.default_bundle", lambda: made.path)
    return made.model_id


def decided(state: Path, model_id: str, *probabilities: float) -> None:
    state.mkdir(exist_ok=True)
    store = DecisionStore(store_url("", state))
    store.open()
    for probability in probabilities:
        message = Message(b"x", "smtp")
        store.record(message, decide(message.id, Score(probability, {}, model_id), Policy(THRESHOLDS)))
    store.close()


def test_before_the_first_message_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_id: str
) -> None:
    result = run(tmp_path, monkeypatch)
    assert (result.exit_code, "Too few messages to say: 0 in 7 days" in result.stdout) == (0, True)


def test_a_day_a_picture_and_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_id: str) -> None:
    decided(tmp_path / "state", model_id, *[0.0005] * 180, *[0.3] * 20, *[0.9995] * 50)
    result = run(tmp_path, monkeypatch)
    assert "No sign of drift" in result.stdout
    assert "last 7 days" in result.stdout and " 250 " in result.stdout
    assert any(line.startswith("    0-0.001") and "72.0%" in line for line in result.stdout.splitlines())
    plain = json.loads(run(tmp_path, monkeypatch, "--json").stdout)
    assert (plain["due"], plain["window"]["messages"], plain["window"]["spam_share"]) == (False, 250, 0.2)
    decided(tmp_path / "state", model_id, *[0.7] * 400)
    assert "A retraining is due" in run(tmp_path, monkeypatch).stdout


def test_what_mail_is_like_stands_beside_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_id: str
) -> None:
    decided(tmp_path / "state", model_id, *[0.0005] * 250)
    with SampleStore(store_url("", tmp_path / "state"), keep=0, days=0) as store:
        for language in ("de", "de", "de", "en") * 15:
            store.add(Sampled(model_id, 0.1, language, 0.42, b""))
    bare = run(tmp_path, monkeypatch).stdout
    assert "not in this bundle's snapshot" in bare and "de 75 en 25" in bare and "Mail is unlike" not in bare
    path = tmp_path / "model"
    kept = {**json.loads((path / "manifest.json").read_text()), "traits": traits_of([0.1] * 9, ["en"] * 8 + ["de"])}
    (path / "manifest.json").write_text(json.dumps(kept))
    shown = run(tmp_path, monkeypatch).stdout
    assert ["training", "10", "en", "89", "de", "11"] in [line.split() for line in shown.splitlines()]
    assert "42 % of its words are hardly known" in " ".join(shown.split()) and "not in this bundle" not in shown
    plain = json.loads(run(tmp_path, monkeypatch, "--json").stdout)
    assert plain["window"]["mix"] == {
        "messages": 60,
        "unknown": pytest.approx(0.42),
        "languages": {"de": 0.75, "en": 0.25},
    }
    assert len(plain["unlike"]) == 2


def test_bars_show_found_beside_expected() -> None:
    ham, spam = (10, *[0] * (BINS - 1)), (*[0] * (BINS - 1), 10)
    lines = bars((5, *[0] * (BINS - 2), 5), 0.5, Reference(ham, spam, (0.0, 0.0), "a test"))
    assert len(lines) == BINS + 1
    assert lines[1] == f"{0:>5g}-{0.001:<5g}   50.0%    50.0%  {'#' * 20}|"
    assert lines[2].endswith("|") and "#" not in lines[2]
