"""The page stands alone, and hostile text on it stays text."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from trainer.evaluation import plots
from trainer.evaluation.breakdown import Mistake, Mistakes
from trainer.evaluation.comparison import Comparison
from trainer.evaluation.intervals import intervals
from trainer.evaluation.metrics import figures
from trainer.evaluation.report import Picture, Report, render, write

HOSTILE = '<img src="http://evil.example/x.png" onerror=alert(1)><script>alert(2)</script>{{ 7*7 }}\udce9'
_LOADING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href"}
_VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Collects tags and attributes, and sees that every tag that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report() -> Report:
    """A small report with a hostile subject in each list, a row that falls short and an undefined figure."""
    rng = np.random.default_rng(1)
    spam = rng.integers(0, 2, 80)
    probability = np.clip(rng.normal(0.3 + 0.4 * spam, 0.2), 0, 1)
    headline = Comparison("Beside the baselines")
    found = figures(spam, probability, probability=probability)
    headline.add(
        "ours", found, intervals=intervals(spam, probability, resamples=50), wanted={"roc_auc": 1.0}, cut="0.5"
    )
    headline.add("all ham", figures(spam, np.zeros(80)))
    sources = Comparison("By source", ("ham", "spam", "fp"), "source")
    sources.add("<b>list</b>", found)
    mistake = Mistake("list", "a/<i>b</i>", False, 0.99, HOSTILE)
    pictures = [
        Picture("roc", plots.roc(spam, {"ours": probability}), "ROC curve of ours.", "Upper left."),
        Picture("scores", plots.histogram(spam, probability), 'Histogram "of" <scores>.'),
    ]
    return Report(
        "model-1 on test", "80 messages.", headline, sources, pictures, Mistakes((mistake,), ()),
        {"seed": 123, "data": HOSTILE}, "python -m trainer evaluate --on=test", ["no row of bogofilter: <none>"],
    )  # fmt: skip


def test_nothing_is_loaded_from_elsewhere_and_every_picture_is_inside(report: Report) -> None:
    text = render(report)
    page = Page(text)
    assert page.open == []
    images = [attributes for tag, attributes in page.found if tag == "img"]
    assert len(images) == 2
    for attributes, picture in zip(images, report.pictures, strict=True):
        kind, _, content = str(attributes["src"]).partition(",")
        assert kind == "data:image/png;base64" and base64.b64decode(content) == picture.png
        assert attributes["alt"] == picture.alt
    tags = {tag for tag, _ in page.found}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "a"}
    for _, attributes in page.found:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in _LOADING or str(value).startswith("data:")
    [style] = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert "url(" not in style and "@import" not in style and "http" not in style


def test_hostile_subjects_paths_and_settings_stay_text(report: Report) -> None:
    text = render(report)
    assert "&lt;script&gt;alert(2)" in text and "<script" not in text and "<i>b" not in text and "<b>list" not in text
    assert "{{ 7*7 }}" in text and "49</td>" not in text


def test_the_page_says_what_how_and_how_to_do_it_again(report: Report) -> None:
    text = render(report)
    for wanted in (
        "model-1 on test", "80 messages.", "✗ wanted 1.00000", 'class="short"', "python -m trainer evaluate --on=test",
        "no row of bogofilter: &lt;none&gt;", "Spam let pass", "<p>None.</p>", "prefers-color-scheme: dark",
        "@media print", 'name="viewport"', 'lang="en"', "seed</dt><dd>123",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_figures_and_pictures_lie_beside_the_page(report: Report, tmp_path: Path) -> None:
    page = write(report, tmp_path / "out")
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "figures.json",
        "report.html",
        "roc.png",
        "scores.png",
    ]
    found = json.loads((page.parent / "figures.json").read_text("utf-8"))
    rows = found["headline"]["rows"]
    assert rows[0]["figures"]["roc_auc"] == report.headline.rows[0].figures["roc_auc"]
    assert rows[0]["reached"] is False and rows[1]["figures"]["ece"] is None
    assert found["mistakes"]["ham"][0]["probability"] == 0.99
    assert found["settings"]["seed"] == 123
