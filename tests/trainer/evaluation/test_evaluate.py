"""`evaluate` from a bundle and raw messages to a report, on a small table with a random network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from spamfilter.message import Kind
from tests.trainer.tiny import tiny_bundle
from trainer.commands import main
from trainer.data import prepared
from trainer.data.example import Example
from trainer.data.prepared import row
from trainer.evaluation import bogofilter, scoring

_HEAD = "From: a@example.org\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nMessage-ID: <{n}@example.org>\nSubject: {s}\n\n"


def _examples(source: str, count: int = 60) -> Iterator[Example]:
    for n in range(count):
        spam = n % 3 == 0
        text = f"win a free prize number {n} now" if spam else f"minutes of meeting {n}, see you on monday"
        raw = (_HEAD.format(n=n, s="<script>WIN</script>" if spam else "Re: x") + text).encode()
        yield Example(source, f"{'spam' if spam else 'ham'}/{n}", spam, raw, Kind.MAIL)


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a bundle and a run; two sources, of which one has a test part."""
    tiny_bundle(tmp_path / "bundle")
    table = pd.DataFrame([row(e) for source in ("home", "abroad") for e in _examples(source)])
    table["group"] = [f"{n:016x}" for n in range(120)]
    table["part"] = ["test" if n % 4 == 0 and n < 60 else "holdout" if n % 5 == 0 else "train" for n in range(120)]
    readers = {source: lambda folder, source=source: _examples(source) for source in ("home", "abroad")}
    monkeypatch.setattr(scoring, "LABELLED", readers)
    monkeypatch.setattr("trainer.data.prepared.table_of", lambda folder, run: table)
    (tmp_path / "run" / "finetune").mkdir(parents=True)
    (tmp_path / "run" / "finetune" / "metrics.jsonl").write_text(
        '{"step": 20, "loss": 1.0}\n{"step": 40, "loss": 0.5}\n'
    )
    return tmp_path


def _run(folder: Path, *options: str) -> str:
    given = (
        "evaluate",
        "--run",
        folder / "run",
        "--data-dir",
        folder,
        "--bundle",
        folder / "bundle",
        "--resamples",
        50,
    )
    done = CliRunner().invoke(main, [*map(str, given), *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_test_part_is_measured_beside_the_baselines(workshop: Path) -> None:
    shown = _run(workshop, "--no-bogofilter")
    assert "ensemble, default policy" in shown and "linear SVM" in shown and "10 ham, 5 spam" in shown
    out = workshop / "run" / "evaluation" / "test"
    assert {path.name for path in out.iterdir()} >= {
        "report.html", "figures.json", "predictions.csv", "roc.png", "det.png", "confusion.png", "curves-finetune.png",
    }  # fmt: skip
    predictions = pd.read_csv(out / "predictions.csv")
    assert list(predictions.columns) == ["source", "path", "spam", "probability", "facts", "gpt", "ngram"]
    assert len(predictions) == 15 and predictions["probability"].between(0, 1).all()
    figures = json.loads((out / "figures.json").read_text("utf-8"))
    named = {line["name"]: line["figures"] for line in figures["headline"]["rows"]}
    assert named["linear SVM, words + characters"]["roc_auc"] == 1.0
    assert named["all ham"]["accuracy"] == pytest.approx(10 / 15)
    assert [line["name"] for line in figures["sources"]["rows"]] == ["ham", "spam"]  # one source: its folders
    assert "--no-bogofilter" in figures["command"] and "fingerprint" in figures["settings"]["data"]
    assert "<script>WIN" not in (out / "report.html").read_text("utf-8")


def test_a_whole_source_is_judged_by_baselines_that_never_saw_it(workshop: Path) -> None:
    found = json.loads(_run(workshop, "--imported", "abroad", "--no-bogofilter", "--json"))
    assert found["measured"] == "60 messages of abroad: 40 ham and 20 spam."
    assert found["settings"]["baselines learnt from"].startswith("36 messages")


def test_baselines_never_saw_a_near_duplicate_of_what_they_are_asked(workshop: Path) -> None:
    prepared.table_of(None, workshop).loc[[1, 61], "group"] = "twins"  # 1 is trained on, 61 asked about
    found = json.loads(_run(workshop, "--imported", "abroad", "--no-bogofilter", "--json"))
    assert found["settings"]["baselines learnt from"].startswith("35 messages")


def test_the_holdout_of_several_sources_has_a_row_each(workshop: Path) -> None:
    found = json.loads(_run(workshop, "--on", "holdout", "--no-baselines", "--no-bogofilter", "--json"))
    assert [line["name"] for line in found["sources"]["rows"]] == ["abroad", "home"]
    assert len(found["headline"]["rows"]) == 5
    assert "calibrated on the holdout" in found["notes"][0]


def test_bogofilter_learns_from_the_raw_train_part(workshop: Path, require_program: object) -> None:
    require_program("bogofilter", "bogofilter")  # type: ignore[operator]
    found = json.loads(_run(workshop, "--no-baselines", "--json"))
    assert found["headline"]["rows"][-1]["name"] == "bogofilter"
    assert found["headline"]["rows"][-1]["figures"]["roc_auc"] == 1.0


def test_without_bogofilter_the_report_says_what_to_install(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{bogofilter.__name__}.shutil.which", lambda name: None)
    shown = _run(workshop, "--no-baselines")
    assert "no row of bogofilter: bogofilter is not installed: apt-get install bogofilter" in shown


def test_a_source_or_bundle_that_is_not_there_is_one_line(workshop: Path) -> None:
    common = ["evaluate", "--run", str(workshop / "run"), "--data-dir", str(workshop)]
    done = CliRunner().invoke(main, [*common, "--bundle", str(workshop / "bundle"), "--imported", "nowhere"])
    assert done.exit_code == 1 and "no messages of nowhere" in done.output and "abroad, home" in done.output
    done = CliRunner().invoke(main, [*common, "--bundle", str(workshop / "none")])
    assert done.exit_code == 1 and "no bundle there" in done.output
