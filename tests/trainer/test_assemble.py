"""From runs to a bundle that serves: on a small table, with random networks, but every step of the real way."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from spamfilter.classifier import load
from spamfilter.message import Kind, Message
from spamfilter.verdict import Score
from tests.trainer.tiny import tiny_model, tiny_ranks
from trainer.assemble import assemble
from trainer.commands import main
from trainer.data.corpora import Example
from trainer.data.prepared import row
from trainer.errors import RecipeError
from trainer.run import Run

_HEAD = "From: {who}\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nMessage-ID: <{n}@example.org>\nSubject: {subject}\n\n"


def _table() -> pd.DataFrame:
    """600 messages of two sources with headers and one without; every part is there."""
    rows = []
    for n in range(600):
        spam = n % 2 == 1
        text = f"win a free prize number {n} now" if spam else f"minutes of the meeting {n}, see you on monday"
        head = _HEAD.format(
            who="a@prize.biz" if spam else "Ann <a@example.org>", n=n, subject="WIN" if spam else "Re: x"
        )
        source = ("spamassassin", "csdmc2010", "sms")[n % 3]
        raw = text if source == "sms" else head + text
        kind = Kind.TEXT if source == "sms" else Kind.MAIL
        rows.append(row(Example(source, str(n), spam, raw.encode(), kind)))
    table = pd.DataFrame(rows)
    part = pd.Series(["test" if n % 12 in (0, 3) else "holdout" if n % 5 == 0 else "train" for n in range(600)])
    table["part"] = part.where((table["source"] == "spamassassin") | (part != "test"), "train")
    return table


def test_a_bundle_is_put_together_measured_and_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spamfilter.classifier.tokenizer import write_ranks

    ranks = tiny_ranks()
    model = tiny_model(len(ranks) + 2)
    for name in ("pretrain", "finetune", "leave-out-csdmc2010"):
        (tmp_path / "run" / name).mkdir(parents=True)
        Run(tmp_path / "run" / name).save({"model": model.state_dict(), "step": 1})
    write_ranks(ranks, tmp_path / "run" / "pretrain" / "tokenizer.tiktoken")
    table = _table()
    bundle = assemble(table, tmp_path / "run", tmp_path / "bundle", model.config, name="small")
    assert bundle.model_id.startswith("small-")
    metrics = bundle.manifest["metrics"]
    tested = table[table["part"] == "test"]
    assert metrics["SpamAssassin test: ensemble"]["spam"] == int(tested["spam"].sum()) > 0
    assert metrics["SpamAssassin test: n-grams alone"]["roc_auc"] == 1.0
    assert "csdmc2010, left out of training: ensemble without GPT" in metrics
    assert "SpamAssassin test: ensemble" in (bundle.path / "MODEL_CARD.md").read_text("utf-8")
    assert "SpamAssassin test" in capsys.readouterr().out
    ham, spam = load(bundle.path).score(
        [Message(text, "test", kind=Kind.TEXT) for text in (b"see you on monday at the meeting", b"win a free prize")]
    )
    assert isinstance(ham, Score) and isinstance(spam, Score)
    assert ham.probability < spam.probability


def test_a_step_without_the_one_before_says_which(tmp_path: Path) -> None:
    from trainer.assemble import load_finetuned

    ranks = tiny_ranks()
    with pytest.raises(RecipeError, match="no checkpoint"):
        load_finetuned(tmp_path / "finetune", None, tiny_model(len(ranks) + 2).config)  # type: ignore[arg-type]


def test_the_command_line_lists_its_steps_and_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(main, ["--help"]).output
    for step in ("data", "pretrain", "generate", "finetune", "export"):
        assert f"\n  {step} " in shown
    refused = runner.invoke(main, ["pretrain", "--run", str(tmp_path), "--set", "nonsense"])
    assert refused.exit_code == 2 and "KEY=VALUE" in refused.output
    missing = runner.invoke(main, ["data", "--run", str(tmp_path), "--data-dir", str(tmp_path)])
    assert missing.exit_code == 1 and "no such file" in missing.output
