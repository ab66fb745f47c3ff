"""`model shadow`: who runs there, and what it would change."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import BundleError, write_manifest
from spamfilter.cli import options
from spamfilter.cli.shadow import shadow
from spamfilter.shadow import Pair, chosen, shadow_file
from tests.cli.conftest import TABLE
from tests.logs import restored


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with one installed model, and another that ships."""
    for name in ("shipped", "made"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.bin").write_bytes(name.encode())
        write_manifest(tmp_path / name, name, {"ensemble": {}, "thresholds": TABLE})
    Bundles(tmp_path / "state").install(tmp_path / "made", keep_name="new")
    monkeypatch.setattr("spamfilter.operating_point.default_bundle", lambda: tmp_path / "shipped")
    monkeypatch.setattr(options, "SYSTEM_CONFIG", tmp_path / "none.yaml")
    monkeypatch.delenv(options.CONFIG_VARIABLE, raising=False)
    return tmp_path / "state"


def run(state: Path, *arguments: str) -> Result:
    with restored():
        result = CliRunner().invoke(shadow, ["--state-dir", str(state), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_on_and_off(state: Path) -> None:
    assert run(state, "new").stdout == "new runs in the shadow of the daemon now\n"
    assert chosen(state) == "new"
    assert run(state, "--off").exit_code == 0
    assert chosen(state) is None


def test_only_what_is_installed_and_whole(state: Path) -> None:
    with pytest.raises(BundleError, match=r"no model 'other' is installed \(there are: new\)"):
        run(state, "other")
    (state / "models" / "new" / "weights.bin").write_bytes(b"damaged")
    with pytest.raises(BundleError, match="does not match the manifest"):
        run(state, "new")
    assert chosen(state) is None
    assert "give the NAME of one" in run(state).output


def test_what_would_change(state: Path) -> None:
    run(state, "new")
    assert run(state).stdout == "new: No message was compared yet.\n"
    now = datetime.now(UTC)
    for number, (before, after) in enumerate([(0.001, 0.002), (0.999, 0.001)]):
        shadow_file(state, "new").write(Pair(now, f"id{number}", "shipped", before, "new", after))
    lines = run(state).stdout.splitlines()
    assert lines == [
        "new: 1 of 2 messages would be labelled otherwise (1 spam to ham).", "id1  0.9990 -> 0.0010"
    ]  # fmt: skip
    plain = json.loads(run(state, "--json").stdout)
    assert plain["changed"] == [{"from": "spam", "to": "ham", "messages": 1}]
    assert plain["largest"][0]["id"] == "id1"
