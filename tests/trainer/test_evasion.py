"""The battery: cuts on untouched ham, recall by attack, what has no text apart; and its command on a small corpus."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from spamfilter.document import extract
from spamfilter.message import Kind
from tests.hostile.mails import HEAD, mail
from tests.trainer.tiny import tiny_bundle
from trainer.errors import DataError
from trainer.evaluation.attacks import ATTACKS
from trainer.experiments.evasion import command, extracted_text, naive_text, run_battery

SPAM = [(HEAD + f"\r\nclaim your exclusive prize money today number {n}\r\n".encode(), Kind.MAIL) for n in range(10)]
HAM = [(HEAD + f"\r\nthe minutes of tuesday are in the shared folder {n}\r\n".encode(), Kind.MAIL) for n in range(200)]
PICTURE = (mail("image/gif", b"R0lGODlhAQABAAAAACw="), Kind.MAIL)


def count_words(raw: bytes, kind: Kind) -> dict[str, float]:
    """Two filters that look for words: one reads what the extraction reads, the other the bytes."""
    read, as_it_is = extract(raw, kind).text, raw.decode("utf-8", "replace")
    return {
        name: sum(w in text for w in ("prize", "money", "claim")) for name, text in (("ours", read), ("raw", as_it_is))
    }


def test_recall_by_attack_at_the_cut_of_the_ham() -> None:
    battery = run_battery(count_words, [*SPAM, PICTURE], HAM, ATTACKS, 5)
    assert (
        battery.ham == 200 and battery.cuts == {"ours": 0.0, "raw": 0.0} and battery.ham_above == {"ours": 0, "raw": 0}
    )
    rows = {row.attack: row for row in battery.rows}
    assert list(rows) == ["none", *ATTACKS]
    assert (rows["none"].attacked, rows["none"].caught) == (11, {"ours": 10, "raw": 10})
    assert (rows["base64"].attacked, rows["base64"].untouched, rows["base64"].caught) == (10, 1, {"ours": 10, "raw": 0})
    assert rows["zero-width"].caught["ours"] == 10
    assert battery.worst("raw")[0] == pytest.approx(100 * 10 / 11)
    again = run_battery(count_words, [*SPAM, PICTURE], HAM, ATTACKS, 5)
    assert again == battery


def test_a_ham_in_two_hundred_may_lie_above_the_cut() -> None:
    ham = [*HAM[:199], SPAM[0]]
    battery = run_battery(count_words, SPAM, ham, {"base64": ATTACKS["base64"]}, 1)
    assert battery.ham_above["ours"] == 1 and battery.cuts["ours"] == 0.0


def test_texts_meet_only_the_attacks_on_texts() -> None:
    texts = [(b"claim your prize money now", Kind.TEXT)]
    rows = {row.attack: row for row in run_battery(count_words, texts, HAM, ATTACKS, 1).rows}
    assert (rows["leet"].attacked, rows["base64"].attacked, rows["base64"].untouched) == (1, 0, 1)


def test_the_table_and_the_figures_agree() -> None:
    battery = run_battery(count_words, [*SPAM, PICTURE], HAM, {"base64": ATTACKS["base64"]}, 5)
    figures = json.loads(json.dumps(battery.as_json()))
    assert figures["worst"]["raw"]["attack"] == "base64"
    assert [row["recall"]["raw"] for row in figures["rows"]] == [0.90909, 0.0]
    table = battery.as_markdown()
    assert "| none | 90.9 (10) | 90.9 (10) | 11 |" in table
    assert "| base64 | 100.0 (10) +9.1 | 0.0 (0) -90.9 | 10 +1 without text |" in table


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(DataError, match="ham to set the cuts"):
        run_battery(count_words, SPAM, [], ATTACKS)


def test_what_the_naive_reading_misses() -> None:
    raw = mail("text/html", b"<p>cl<b></b>aim<span style='display:none'>secret</span></p>")
    assert "secret" in naive_text(raw, Kind.MAIL) and "claim" not in naive_text(raw, Kind.MAIL)
    assert extracted_text(raw, Kind.MAIL).endswith("claim")
    assert naive_text(mail("text/plain; charset=no-such", b"text\xff"), Kind.MAIL).startswith("Hello\ntext")
    assert naive_text(b"text", Kind.TEXT) == extracted_text(b"text", Kind.TEXT) == "text"


def test_the_command_writes_its_table(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "splits").mkdir(parents=True)
    listed = []
    with tarfile.open(data / "spamassassin.tar.xz", "w:xz") as archive:
        for label, messages in (("spam", SPAM), ("easy-ham", HAM[:20])):
            for number, (raw, _) in enumerate(messages):
                info = tarfile.TarInfo(f"spamassassin/{label}-1/{number}.txt")
                info.size = len(raw)
                archive.addfile(info, io.BytesIO(raw))
                if number % 2:
                    listed.append(f"{'spam' if label == 'spam' else 'ham'}\t{info.name}")
    (data / "splits" / "spamassassin-test.tsv").write_text("\n".join(listed) + "\n")
    bundle, _ = tiny_bundle(tmp_path / "bundle")
    arguments = ["--data-dir", data, "--run", tmp_path / "run", "--bundle", bundle.path, "--messages", 4]
    arguments += ["--attack", "base64", "--json", tmp_path / "out.json"]
    outcome = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["model"] == bundle.model_id and figures["ham"] == 10
    assert list(figures["cuts"]) == ["ensemble", "ngram", "gpt", "facts", "SVM", "SVM, naive text"]
    assert [row["attack"] for row in figures["rows"]] == ["none", "base64"]
    assert figures["rows"][0]["attacked"] == 4
    assert (tmp_path / "run" / "experiments" / "evasion" / "evasion.md").read_text().startswith("# Evasion, tiny-")
