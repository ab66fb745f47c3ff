"""The served model: same verdict alone and in company, same as the trainer's network, refused when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spamfilter.classifier import load
from spamfilter.classifier.bundle import Bundle, BundleError, default_bundle, write_manifest
from spamfilter.classifier.ensemble import Ensemble, sigmoid
from spamfilter.message import Kind, Message, kind_of
from spamfilter.verdict import Score

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
