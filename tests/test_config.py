"""Configuration: what merges over what, and what a mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from spamfilter.config import Address, Config, ConfigError, defaults, load
from spamfilter.headers import Dialect
from spamfilter.verdict import Action, FailureKind, Label


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spamfilter.yaml"
    path.write_text(text, "utf-8")
    return path


def test_defaults_are_whole_and_private() -> None:
    config = load(environ={})
    assert str(config.smtp.listen) == "127.0.0.1:10025"
    assert config.smtp.next_hop is None
    assert config.headers.dialects == (Dialect.SPAMASSASSIN,)
    assert config.policy.actions[Label.SPAM] is Action.TAG
    assert config.policy.failures[FailureKind.OVERLOAD] is Action.TEMPFAIL


def test_each_source_goes_over_the_one_before(tmp_path: Path) -> None:
    path = _file(tmp_path, "smtp: {max_sessions: 1, max_size_mib: 1, max_recipients: 1}\n")
    environ = {"SPAMFILTER__SMTP__MAX_SIZE_MIB": "2", "SPAMFILTER__SMTP__MAX_RECIPIENTS": "2", "SPAMFILTER_X": "no"}
    smtp = load(path, environ=environ, smtp__max_recipients=3).smtp
    assert (smtp.max_sessions, smtp.max_size_mib, smtp.max_recipients) == (1, 2, 3)
    assert smtp.max_received == defaults()["smtp"]["max_received"]


def test_a_file_may_be_empty(tmp_path: Path) -> None:
    assert load(_file(tmp_path, "# nothing\n"), environ={}) == load(environ={})


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("smtp: {listn: 1}", r"spamfilter.yaml: unknown key smtp.listn; did you mean smtp.listen\?"),
        ("zzz: 1", "unknown key zzz; known here: state_dir, hostname, log"),
        ("smtp: 5", r"smtp holds several keys \(enabled, listen"),
        ("[1, 2]", "expected `key: value` lines, found a list"),
        ("smtp: {listen: localhost}", r"smtp.listen: 'localhost': an address is written HOST:PORT"),
        ("smtp: {listen: 'unix:relative'}", r"a Unix socket is written unix:/absolute/path"),
        ("smtp: {listen: '127.0.0.1:99999'}", "an address is written HOST:PORT"),
        ("engine: {workers: 0}", r"engine.workers: .*greater than or equal to 1 \(found 0\)"),
        ("policy: {failures: {timeout: reject}}", r"policy.failures.timeout"),
        ("policy: {actions: {spam: drop}}", r"policy.actions.spam"),
        ("policy: {unsure_at: 0.9, spam_at: 0.5}", r"unsure_at \(0.9\) must not lie above spam_at \(0.5\)"),
        ("log: {level: loud}", r"log.level"),
        ("smtp: {trusted_peers: [everybody]}", r"smtp.trusted_peers.0"),
        ("a: [", "not valid YAML"),
    ],
)
def test_mistakes_are_answered_with_their_place(tmp_path: Path, text: str, answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        load(_file(tmp_path, text), environ={})


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    with pytest.raises(
        ConfigError, match=r"SPAMFILTER__SMTP__NEXTHOP: unknown key smtp.nexthop; did you mean smtp.next_"
    ):
        load(environ={"SPAMFILTER__SMTP__NEXTHOP": "x"})


def test_a_missing_and_an_unreadable_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file"):
        load(tmp_path / "gone.yaml", environ={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, environ={})


@pytest.mark.parametrize("text", ["127.0.0.1:25", "[::1]:10025", "mail.example.org:2525", "unix:/run/spamfilter.sock"])
def test_addresses_print_as_they_were_written(text: str) -> None:
    assert str(Address.parse(text)) == text


def test_names_of_files_lie_below_state_dir_unless_absolute(tmp_path: Path) -> None:
    config = load(environ={}, state_dir=str(tmp_path))
    assert config.path("Maildir") == tmp_path / "Maildir"
    assert config.path("/var/mail") == Path("/var/mail")


def test_a_configuration_cannot_be_changed() -> None:
    config = load(environ={})
    with pytest.raises(ValueError, match="frozen"):
        config.hostname = "x"


def test_every_default_has_its_place_in_the_model_and_the_other_way_round() -> None:
    shipped = defaults()
    assert set(shipped) == set(Config.model_fields)
    for name, field in Config.model_fields.items():
        if isinstance(shipped[name], dict):
            fields = field.annotation.model_fields  # type: ignore[union-attr]
            assert set(shipped[name]) == set(fields), name
