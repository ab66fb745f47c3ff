"""Pictures are drawn from what they are given, labelled, and refuse what cannot be drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from trainer.errors import DataError
from trainer.evaluation import plots
from trainer.evaluation.curves import curves, read_metrics, tokens_a_step

RNG = np.random.default_rng(0)
SPAM = RNG.integers(0, 2, 200)
PROBABILITY = np.clip(RNG.normal(0.3 + 0.4 * SPAM, 0.2), 0, 1)
SCORES = {"ours": PROBABILITY, "theirs": RNG.random(200)}

DRAWN = {
    "roc": lambda: plots.roc(SPAM, SCORES),
    "det": lambda: plots.det(SPAM, SCORES),
    "reliability": lambda: plots.reliability(SPAM, SCORES),
    "histogram": lambda: plots.histogram(SPAM, PROBABILITY, {"spam at": 0.9}),
    "confusion": lambda: plots.confusion_matrix(SPAM, PROBABILITY > 0.5),
    "curves": lambda: curves([{"step": 10, "loss": 2.0, "valid_loss": 2.1}, {"step": 20, "holdout_auc": 0.9}]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_labelled_and_saved(name: str, tmp_path: Path) -> None:
    figure = DRAWN[name]()
    assert isinstance(figure, Figure)
    axes = figure.axes[-1]
    assert axes.get_xlabel() or name == "confusion"
    assert figure.axes[0].get_title()
    plots.save(figure, tmp_path / "deep" / "picture.png")
    assert (tmp_path / "deep" / "picture.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_no_picture_stays_in_pyplots_memory() -> None:
    import matplotlib.pyplot as plt

    plots.png(plots.roc(SPAM, SCORES))
    assert plt.get_fignums() == []


def test_a_roc_curve_goes_through_the_points_worked_out_by_hand() -> None:
    figure = plots.roc(np.array([0, 0, 1, 1]), {"m": np.array([0.1, 0.6, 0.4, 0.9])})
    x, y = figure.axes[0].lines[0].get_data()
    assert {(0.5, 50.0), (0.5, 100.0), (1.0, 100.0)} <= set(zip(x.tolist(), y.tolist(), strict=True))
    assert min(x) > 0  # a log axis has no place for nought


def test_a_curve_needs_both_classes() -> None:
    with pytest.raises(DataError, match="ham and spam"):
        plots.roc(np.zeros(4, int), {"m": np.arange(4.0)})
    plots.png(plots.histogram(np.zeros(4, int), np.linspace(0, 1, 4)))


def test_the_confusion_matrix_says_its_counts() -> None:
    figure = plots.confusion_matrix(np.array([0, 0, 1, 1]), np.array([False, True, True, True]))
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "1\n50.00 %",
        "1\n50.00 %",
        "0\n0.00 %",
        "2\n100.00 %",
    ]


def test_wilsons_interval_as_published() -> None:
    low, high = plots.wilson(np.array([0.0, 0.5]), np.array([10, 100]))
    np.testing.assert_allclose([low[0], high[0]], [0.0, 0.2775], atol=1e-4)
    np.testing.assert_allclose([low[1], high[1]], [0.4038, 0.5962], atol=1e-4)


def test_curves_split_losses_from_figures_and_count_tokens() -> None:
    lines = [
        {"step": 20, "loss": 2.0, "rate": 1000, "time": 10.0, "lr": 0.1},
        {"step": 40, "loss": 1.5, "rate": 1000, "time": 30.0, "lr": 0.1},
        {"step": 40, "valid_loss": 1.6, "holdout_auc": 0.9},
    ]
    figure = curves(lines, "pretrain")
    names = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in figure.axes]
    assert names == [["train loss", "valid loss"], ["holdout ROC AUC"]]
    assert tokens_a_step(lines) == 1000
    assert tokens_a_step([{"step": 10, "tokens": 500}, {"step": 20, "tokens": 1200}]) == 60
    assert tokens_a_step([{"step": 1, "loss": 1}]) == 0


def test_metrics_are_read_past_half_a_last_line_only(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text(json.dumps({"step": 1, "loss": 2, "note": "text"}) + '\n{"step": 2, "lo')
    assert read_metrics(file) == [{"step": 1.0, "loss": 2.0}]
    file.write_text('{"step"\n{"step": 2}\n')
    with pytest.raises(DataError, match=r"metrics.jsonl:1: not JSON"):
        read_metrics(file)
    with pytest.raises(DataError, match="No such file"):
        read_metrics(tmp_path / "none")
    with pytest.raises(DataError, match="nothing to draw"):
        curves([{"step": 1, "lr": 0.1}])
