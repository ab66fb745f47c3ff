"""The card says what is known, and keeps quiet about what is not."""

from __future__ import annotations

from typing import Any

from trainer.evaluation.model_card import model_card


def _content(**more: Any) -> dict[str, Any]:
    figures = {"roc_auc": 0.99954, "recall_at_0.1": 0.8946, "recall_at_0.5": 0.9676, "ham": 839, "spam": 370}
    return {"metrics": {"SpamAssassin test: ensemble": figures}, "training": {"messages": "43,803 labelled"}, **more}


def test_a_card_has_the_sections_that_a_reader_looks_for() -> None:
    card = model_card("default", _content())
    assert card.startswith("# Model card: default\n")
    titles = [line for line in card.splitlines() if line.startswith("## ")]
    assert titles == ["## Intended use", "## Training data", "## Measured", "## Limits"]
    assert "- messages: 43,803 labelled" in card
    assert "| evidence | ham | spam | ROC AUC | recall % at FPR 0.1 % | recall % at FPR 0.5 % |" in card
    assert "| SpamAssassin test: ensemble | 839 | 370 | 0.99954 | 89.5 | 96.8 |" in card


def test_thresholds_become_operating_points() -> None:
    table = [{"false_positive_rate": 0.002, "probability": 0.966643, "recall": 0.6639}]
    assert "| 0.2 | 0.9666 | 66.4 |" in model_card("default", _content(thresholds=table, created="2026-11-23"))


def test_a_model_that_nobody_measured_says_so() -> None:
    assert "Nothing yet." in model_card("tiny", {"metrics": {}, "training": {}})
