"""The served model: same verdict alone and in company, same as the trainer's network, refused when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spamfilter.classifier import load
from spamfilter.classifier.bundle import Bundle, BundleError, default_bundle, open_bundle, write_manifest
from spamfilter.classifier.ensemble import HEAD, Ensemble, sigmoid
from spamfilter.classifier.examined import Examined
from spamfilter.classifier.gpt_runtime import Head
from spamfilter.message import Kind, Message, kind_of
from spamfilter.verdict import Failure, Score

MAIL = b"From: A <a@example.org>\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: lunch\n\nlunch on monday?\n"


def _scores(ensemble: Ensemble, *raws: bytes) -> list[Score]:
    outcomes = ensemble.score([Message(raw, "test", kind=kind_of(raw)) for raw in raws])
    assert all(isinstance(outcome, Score) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Score)]


@pytest.fixture(scope="module")
def ensemble(tiny: tuple[Bundle, object]) -> Ensemble:
    return Ensemble.load(tiny[0].path)


def test_mail_and_text_have_the_same_stages(ensemble: Ensemble) -> None:
    mail, text = _scores(ensemble, MAIL, b"win a prize")
    assert list(mail.stages) == ["ngram", "facts", "gpt"]
    assert list(text.stages) == ["ngram", "facts", "gpt"]
    assert mail.model_id == ensemble.bundle.model_id
    assert set(mail.timings) == {"document", "ngram", "tokenise", "gpt", "total"}


def test_company_does_not_change_a_verdict(ensemble: Ensemble) -> None:
    alone = _scores(ensemble, MAIL)[0].probability
    together = _scores(ensemble, b"x", MAIL * 30, MAIL, b"")[2].probability
    assert together == alone


@pytest.mark.parametrize("raw", [b"", b"\0", b"\n\n", b"Subject:", b"\xff" * 1000, "祝您好".encode("gb18030")])
def test_anything_gets_a_probability(ensemble: Ensemble, raw: bytes) -> None:
    for kind in Kind:
        outcome = ensemble.score([Message(raw, "test", kind=kind)])[0]
        assert isinstance(outcome, Score) and 0.0 <= outcome.probability <= 1.0


def test_the_graph_says_what_the_network_says(tiny: tuple[Bundle, object], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from spamfilter.classifier.gpt_runtime import GptRuntime
    from trainer.export import export_graph

    bundle, model = tiny
    export_graph(model, tmp_path / "fp32.onnx", int8=False)  # type: ignore[arg-type]
    exact, served = GptRuntime(tmp_path / "fp32.onnx"), GptRuntime(bundle.file("gpt.onnx"))
    rng = np.random.default_rng(1)
    for length in (1, 2, 17, 48):
        ids = rng.integers(0, 300, length)
        with torch.no_grad():
            logits = model.classify(torch.from_numpy(ids)[None], torch.tensor([length]))[0]  # type: ignore[attr-defined]
            pooled = model.pooled(torch.from_numpy(ids)[None], torch.tensor([length]))[0]  # type: ignore[attr-defined]
        logit, state = exact.score(ids)
        assert logit == pytest.approx(float(logits[1] - logits[0]), abs=1e-4)
        assert state == pytest.approx(pooled.numpy(), abs=1e-4)
        assert served.score(ids)[0] == pytest.approx(logit, abs=0.3)  # int8 on random weights


def test_a_bundle_that_fails_its_own_samples_is_refused(bundle_copy: Path) -> None:
    cases = json.loads((bundle_copy / "selftest.json").read_text())
    assert len(cases) == 2
    cases[0]["probability"] = 1 - round(cases[0]["probability"])
    (bundle_copy / "selftest.json").write_text(json.dumps(cases))
    manifest = json.loads((bundle_copy / "manifest.json").read_text())
    content = {key: manifest[key] for key in ("ensemble", "thresholds", "context")}
    write_manifest(bundle_copy, "tampered", content)  # hashes fit again: only the self-test can tell
    with pytest.raises(BundleError, match="self-test 'ham'"):
        load(bundle_copy)


def test_a_broken_graph_is_a_clear_error(bundle_copy: Path) -> None:
    manifest = json.loads((bundle_copy / "manifest.json").read_text())
    (bundle_copy / "gpt.onnx").write_bytes(b"not a graph")
    write_manifest(bundle_copy, "broken", {key: manifest[key] for key in ("ensemble", "thresholds", "context")})
    with pytest.raises(BundleError, match="cannot be loaded"):
        load(bundle_copy)


def _with_head(bundle: Path, head: Head) -> Path:
    head.save(bundle / HEAD)
    manifest = json.loads((bundle / "manifest.json").read_text())
    write_manifest(bundle, "headed", {key: manifest[key] for key in ("ensemble", "thresholds", "context")})
    return bundle


def test_a_head_of_its_own_says_what_the_graphs_head_says(tmp_path: Path) -> None:
    from tests.trainer.tiny import tiny_bundle

    exact, model = tiny_bundle(tmp_path / "exact", int8=False)  # int8 would round the graph's head, not the other
    raws = (MAIL, b"win a prize", MAIL * 30, b"")
    graph = _scores(Ensemble.load(exact.path), *raws)
    weight, bias = (part.detach().numpy() for part in model.classifier.parameters())
    headed = Ensemble.load(_with_head(exact.path, Head(weight[1] - weight[0], float(bias[1] - bias[0]))))
    assert headed.model_id != exact.model_id
    for one, other in zip(_scores(headed, *raws), graph, strict=True):
        assert one.stages == pytest.approx(dict(other.stages), abs=1e-5)
        assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_another_head_says_something_else(bundle_copy: Path) -> None:
    before = _scores(Ensemble.load(bundle_copy), MAIL)[0]
    cases = json.loads((bundle_copy / "selftest.json").read_text())
    other = Head(np.zeros(32, np.float32), 1.5)
    for case, found in zip(cases, _self_tested(_with_head(bundle_copy, other)), strict=True):
        case["probability"] = found
    (bundle_copy / "selftest.json").write_text(json.dumps(cases))
    after = _scores(Ensemble.load(_with_head(bundle_copy, other)), MAIL)[0]
    assert after.stages["gpt"] == pytest.approx(sigmoid(1.5)) != before.stages["gpt"]


def _self_tested(path: Path) -> list[float]:
    ensemble = Ensemble(open_bundle(path))
    cases = json.loads((path / "selftest.json").read_text())
    outcomes = ensemble.score([Message(case["raw"].encode(), "test", kind=Kind(case["kind"])) for case in cases])
    return [outcome.probability for outcome in outcomes if isinstance(outcome, Score)]


@pytest.mark.parametrize("head", [Head(np.zeros(31, np.float32), 0.0), Head(np.full(32, np.nan, np.float32), 0.0)])
def test_a_head_that_does_not_fit_is_refused(bundle_copy: Path, head: Head) -> None:
    with pytest.raises(BundleError, match=r"self-test|no head"):
        load(_with_head(bundle_copy, head))


def test_examined_is_scored_whole_and_read_again_from_its_document(ensemble: Ensemble) -> None:
    message = Message(MAIL, "test")
    examined = ensemble.examine(message)
    assert isinstance(examined, Examined)
    [score] = _scores(ensemble, MAIL)
    assert (examined.score.probability, examined.score.stages) == (score.probability, score.stages)
    assert examined.head.startswith("from: a @example.org\nsubject: lunch")
    assert examined.document.subject == "lunch" and examined.fingerprint.any() and examined.pooled.shape == (32,)
    again = ensemble.examine_document(examined.document)
    assert isinstance(again, Examined)
    assert again.score.probability == score.probability and again.pooled.tolist() == examined.pooled.tolist()
    back = Examined.from_json(again.score, json.loads(json.dumps(again.as_json())))
    assert (back.document, back.head, back.tail) == (again.document, again.head, again.tail)
    assert back.fingerprint.tolist() == again.fingerprint.tolist() and back.pooled.tolist() == again.pooled.tolist()


def test_what_cannot_be_examined_is_a_failure(ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    examined = ensemble.examine(Message(MAIL, "test"))
    assert isinstance(examined, Examined)

    def broken(*_: object) -> None:
        raise ValueError("no such luck")

    monkeypatch.setattr("spamfilter.classifier.ensemble.fingerprint", broken)
    for outcome in (ensemble.examine(Message(MAIL, "test")), ensemble.examine_document(examined.document)):
        assert isinstance(outcome, Failure) and "no such luck" in outcome.detail


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(1e4) == 1.0
    assert sigmoid(-1e4) == 0.0
    assert sigmoid(0.0) == 0.5


def test_the_shipped_model_knows_spam_from_ham() -> None:
    shipped = load(default_bundle())
    ham, spam = shipped.score(
        [
            Message(b"Can you pick up the kids at four? I am stuck at work, back around six.", "test", kind=Kind.TEXT),
            Message(b"URGENT! You have WON a 2000 pound prize! Call 09061743806 to claim. 150ppm", "t", kind=Kind.TEXT),
        ]
    )
    assert isinstance(ham, Score) and isinstance(spam, Score)
    assert ham.probability < 0.3 < 0.7 < spam.probability
