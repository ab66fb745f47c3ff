"""From runs to a bundle that serves: on a small table, with random networks, but every step of the real way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from spamfilter.classifier import load
from spamfilter.classifier.tokenizer import write_ranks
from spamfilter.message import Kind, Message
from spamfilter.traits import traits_in
from spamfilter.verdict import Score
from tests.trainer.tiny import tiny_model, tiny_ranks
from trainer.assemble import assemble
from trainer.base import load_base
from trainer.commands import COMMANDS, main
from trainer.data.example import Example
from trainer.data.prepared import fingerprint_of, row
from trainer.errors import RecipeError
from trainer.evidence import Evidence
from trainer.experiments import sources
from trainer.recipes.finetune import Finetune
from trainer.recipes.pretrain import Pretrain
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
    table["group"] = table["source"] + table["path"]
    part = pd.Series(["test" if n % 12 in (0, 3) else "holdout" if n % 5 == 0 else "train" for n in range(600)])
    table["part"] = part.where((table["source"] == "spamassassin") | (part != "test"), "train")
    return table


def _run(folder: Path) -> Path:
    """A run's folder with a random base and a random classifier."""
    ranks = tiny_ranks()
    model = tiny_model(len(ranks) + 2)
    sizes = model.config
    settings = Pretrain(
        corpora=("csdmc2010",), vocab_size=len(ranks) + 2, context=sizes.context, layers=sizes.layers,
        heads=sizes.heads, channels=sizes.channels, teacher=0.0, tokens=4 * 48 * 4, batch=2, threads=1,
    )  # fmt: skip
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name in ("pretrain", "finetune"):
        Run.open(folder / name, settings).save({"model": weights, "step": 1}, "final.pt")
    write_ranks(ranks, folder / "pretrain" / "tokenizer.tiktoken")
    (folder / "finetune" / "sizes.json").write_text(json.dumps(dataclasses.asdict(sizes)))
    return folder


def test_a_bundle_is_put_together_measured_and_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, table = _run(tmp_path / "run"), _table()
    bundle = assemble(table, run, tmp_path / "bundle", name="small")
    assert bundle.model_id.startswith("small-")
    metrics = bundle.manifest["metrics"]
    tested = table[table["part"] == "test"]
    assert metrics["SpamAssassin test: ensemble"]["spam"] == int(tested["spam"].sum()) > 0
    assert metrics["SpamAssassin test: n-grams alone"]["roc_auc"] == 1.0
    assert "SpamAssassin test: ensemble without GPT" in metrics
    assert bundle.manifest["training"]["data"] == fingerprint_of(table)
    traits = traits_in(bundle.manifest)
    assert traits is not None and traits.mix.messages == int((table["part"] == "holdout").sum())
    assert traits.mix.languages == {"en": pytest.approx(0.5, abs=0.1), "other": pytest.approx(0.5, abs=0.1)}
    assert 0 < (traits.mix.unknown or 0) < traits.high
    assert "SpamAssassin test: ensemble" in (bundle.path / "MODEL_CARD.md").read_text("utf-8")
    assert "SpamAssassin test" in capsys.readouterr().out
    ham, spam = load(bundle.path).score(
        [Message(text, "test", kind=Kind.TEXT) for text in (b"see you on monday at the meeting", b"win a free prize")]
    )
    assert isinstance(ham, Score) and isinstance(spam, Score)
    assert ham.probability < spam.probability


def test_a_source_is_left_out_of_everything_and_calibrates_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, table = _run(tmp_path / "run"), _table()
    evidence = Evidence.of(table, load_base(run / "pretrain").tokenizer)
    settings = Finetune(
        epochs=0.2, batch=8, threads=1, teacher=0.0, language=0.0, leave_out=("csdmc2010",), device="cpu",
        precision="fp32",
    )  # fmt: skip
    read: list[str] = []
    monkeypatch.setattr("trainer.recipes.pretrain.pieces", lambda corpora, *_: read.extend(corpora) or _pieces())
    stamp = fingerprint_of(table)
    found = sources.judged(evidence, run, "csdmc2010", settings, stamp=stamp, most=150, data=tmp_path)
    assert read and "csdmc2010" not in read  # the base had read it, so another one was made
    assert set(table["source"].iloc[found.rows]) == {"csdmc2010"} and len(found.rows) == 150
    assert "csdmc2010" not in set(table["source"].iloc[evidence.rows("train", without="csdmc2010")])
    again = sources.judged(evidence, run, "csdmc2010", settings, stamp=stamp, most=150, data=tmp_path)
    assert (again.unseen.scores["gpt"] == found.unseen.scores["gpt"]).all()
    found.rivals["a rival"] = found.unseen.scores["ngram"] * 0
    (first, *_) = sources.tables({"csdmc2010": found})
    assert [r.name for r in first.rows][:2] == ["ensemble", "ensemble without ngram"]
    assert first.rows[0].wanted["roc_auc"] == 0.5
    bundle = assemble(table, run, tmp_path / "bundle")
    assert "csdmc2010, left out of training: ensemble" in bundle.manifest["metrics"]
    other = dataclasses.replace(evidence, table=table.assign(group="x"))
    assert sources.load(run / sources.FOLDER / "csdmc2010.npz", other, "csdmc2010", "another stamp") is None


def _pieces() -> list[object]:
    from trainer.corpus import Piece

    return [Piece(f"the minutes of meeting {n} are in the shared folder, see you on monday", "") for n in range(60)]


def test_a_near_duplicate_of_a_left_out_message_is_not_trained_on() -> None:
    table = _table()
    table.loc[table["path"] == "1", "group"] = "same"  # csdmc2010
    table.loc[table["path"] == "4", "source"] = "sms"
    table.loc[table["path"] == "4", "group"] = "same"
    table["part"] = "train"
    evidence = Evidence(table, None, None, None)  # type: ignore[arg-type]
    kept = table.iloc[evidence.rows("train", without="csdmc2010")]
    assert "4" not in set(kept["path"]) and "csdmc2010" not in set(kept["source"])


def test_a_step_without_the_one_before_says_which(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="run `python -m trainer pretrain` first"):
        load_base(tmp_path)
    run = _run(tmp_path / "run")
    (run / "finetune" / "final.pt").unlink()
    with pytest.raises(RecipeError, match="run `python -m trainer finetune` first"):
        assemble(_table(), run, tmp_path / "bundle")


def test_a_pooling_that_the_graph_does_not_compute_is_not_exported(tmp_path: Path) -> None:
    from trainer.export import export_graph
    from trainer.gpt import GPT

    model = tiny_model(100)
    with pytest.raises(RecipeError, match="cannot be served"):
        export_graph(GPT(dataclasses.replace(model.config, pooling="last-padded")), tmp_path / "g.onnx")


def test_the_command_line_lists_its_steps_and_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(main, ["--help"]).output
    for step in COMMANDS:
        assert f"\n  {step} " in shown
        assert runner.invoke(main, [step, "--help"]).exit_code == 0
    refused = runner.invoke(main, ["pretrain", "--run", str(tmp_path), "--set", "nonsense"])
    assert refused.exit_code == 2 and "KEY=VALUE" in refused.output
    nothing = runner.invoke(main, ["generate", "--run", str(tmp_path)])
    assert nothing.exit_code == 1 and "run `python -m trainer pretrain` first" in nothing.output


def test_what_a_base_has_learnt_is_written_and_its_tokens_shown(tmp_path: Path) -> None:
    run = _run(tmp_path / "run")
    runner = CliRunner()
    written = runner.invoke(main, ["generate", "--run", str(run), "--prompt", "win", "--tokens", "5"])
    assert written.exit_code == 0 and written.output.startswith("win")
    (run / "distil").mkdir()
    (run / "distil" / "final.pt").write_bytes(b"a distilled base does not write")
    again = runner.invoke(main, ["generate", "--run", str(run), "--prompt", "win", "--tokens", "5"])
    assert again.output == written.output
    (run / "distil" / "final.pt").unlink()
    shown = runner.invoke(main, ["tokenizer", "show", "--run", str(run), "win a prize"])
    assert shown.exit_code == 0 and "tokens: [" in shown.output
    assert json.loads((run / "pretrain" / "origin.json").read_text())["torch"]
