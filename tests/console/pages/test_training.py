"""The training page: begins a process, follows it, stops it; and shows what a run has learnt."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spamfilter.console import training_steps
from spamfilter.console.pages import training
from spamfilter.console.training import Training
from spamfilter.console.training_steps import Step
from spamfilter.retrainings import Outcome
from spamfilter.store.labels import LabelStore
from spamfilter.verdict import Label
from tests.console.serving import Browser, Served
from tests.store.labelling import ALICE, example, mail


@pytest.fixture
async def client(served: Served, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    """An admin's client of a console whose trainer learns nothing; what still runs at the end is stopped."""
    monkeypatch.setattr(training_steps, "_TRAINER", (sys.executable, "-m", "tests.console.slow_trainer"))
    monkeypatch.setattr(training_steps, "find_spec", lambda name: object())

    def step(self: training_steps.Workflow, name: str, run: Path, more: tuple[str, ...], folder: Path | None) -> Step:
        return Step(name, (*training_steps._TRAINER, str(folder), *more), folder, {})

    monkeypatch.setattr(training_steps.Workflow, "_step", step)
    found = await served.client("admin")
    assert isinstance(found, Browser)
    yield found
    await found.post_form("/training/stop")
    await until(found, 'data-running="no"')


async def until(client: Browser, text: str) -> str:
    """The live part of the page, once it holds `text`."""
    async with asyncio.timeout(60):
        while True:
            page = (await client.get("/training/live")).text
            if text in page:
                return page
            await asyncio.sleep(0.05)


async def test_it_begins_is_followed_and_stopped(served: Served, client: Browser) -> None:
    answer = await client.post_form("/training/step", step="pretrain", run="one", tokens_m="")
    assert (answer.status_code, answer.headers["location"]) == (303, "/training")
    page = await until(client, "training loss")
    assert 'data-running="yes"' in page
    assert "step 4, 0.0 of 0 million tokens" in page
    assert 'value="0.5"' in page
    assert "Begun by admin" in page
    assert (await client.post_form("/training/step", step="pretrain", run="two")).status_code == 409
    await client.post_form("/training/stop")
    assert "was stopped by admin" in await until(client, 'data-running="no"')
    assert [note.action for note in served.audit.notes] == ["training.start", "training.stop"]
    assert "loss in nats" in (await client.get("/training/runs/one/pretrain")).text


@pytest.mark.parametrize(
    "fields",
    [
        {"step": "evaluate", "run": "one"},
        {"step": "pretrain", "run": "../one"},
        {"step": "pretrain", "run": "--help"},
        {"step": "finetune", "run": "one", "strategy": "x"},
        {},
    ],
)
async def test_what_is_not_offered_is_not_begun(served: Served, client: Browser, fields: dict[str, str]) -> None:
    assert (await client.post_form("/training/step", **fields)).status_code == 409
    assert Training(served.config.state_dir).current() is None


@pytest.mark.parametrize("path", ["/training/runs/one/none", "/training/runs/..%2Fone/pretrain", "/training/runs/x/.."])
async def test_runs_that_are_not_there_are_not_found(client: Browser, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_a_log_of_strangers_is_text(served: Served, client: Browser) -> None:
    folder = Training(served.config.state_dir).folder
    folder.mkdir(parents=True, exist_ok=True)
    job = {"step": "retrain", "command": [], "folder": "", "by": "<i>", "started": "2026-01-01T00:00:00+00:00",
           "group": 1, "ended": "2026-01-01T00:01:00+00:00", "code": 0, "stopped_by": "", "running": False}  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    told = {"outcome": {"sentence": "Passed: <b>x</b>."}}
    (folder / "job.log").write_text(f"<script>x</script>\u202e\n{json.dumps(told)}\n")
    page = (await client.get("/training")).text
    assert "Passed: &lt;b&gt;x&lt;/b&gt;." in page
    assert "&lt;script&gt;x" in page
    assert "\u202e" not in page
    assert "Begun by &lt;i&gt;" in page


async def test_a_training_that_cannot_be_says_why(served: Served, client: Browser) -> None:
    folder = Training(served.config.state_dir).folder
    folder.mkdir(parents=True, exist_ok=True)
    job = {"step": "retrain", "command": [], "folder": "", "by": "ann", "started": "2026-01-01T00:00:00+00:00",
           "group": 1, "ended": "2026-01-01T00:01:00+00:00", "code": 2, "stopped_by": "", "running": False}  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "job.log").write_text("error: there are no <labels> yet\n")
    page = (await client.get("/training/live")).text
    assert '<p class="notice bad">there are no &lt;labels&gt; yet</p>' in page


async def test_what_a_retraining_saw_is_not_new(served: Served, client: Browser) -> None:
    labels = LabelStore(served.services.database)
    labels.open()
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    labels.record(example(mail("seen")), Label.SPAM, ALICE, time=seen)
    labels.record(example(mail("new")), Label.HAM, ALICE, time=seen + timedelta(seconds=1))
    labels.close()
    ended = Outcome(seen, seen, 1, "new", "old", True, "Passed.", None, False)
    folder = served.config.state_dir / "retrain" / "20260101T000000"
    folder.mkdir(parents=True)
    (folder / "outcome.json").write_text(json.dumps(ended.as_json()))
    assert "New labels: 0 spam, 1 ham." in (await client.get("/training")).text


async def test_it_writes(served: Served, client: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    (served.config.path("runs") / "one" / "pretrain").mkdir(parents=True)
    (served.config.path("runs") / "one" / "pretrain" / "final.pt").touch()
    (served.config.path("runs") / "one" / "pretrain" / "metrics.jsonl").touch()
    command = [sys.executable, "-c", "print('subject: <b>')"]
    monkeypatch.setattr(training, "command_for", lambda workflow, given: command)
    page = (await client.post_form("/training/sample", run="one", prompt="subject: ")).text
    assert "subject: &lt;b&gt;" in page
    headers = {"accept": "application/json", "x-csrf-token": client.csrf}
    assert (await client.post("/training/sample", data={}, headers=headers)).json() == {"text": "subject: <b>\n"}


async def test_a_run_without_a_bundle_is_not_installed(client: Browser) -> None:
    answer = await client.post_form("/training/install", run="one")
    assert answer.status_code == 409
    assert "no bundle there" in answer.text


@pytest.mark.parametrize("path", ["retrain", "step", "stop", "install", "sample"])
async def test_only_admins_train(served: Served, path: str) -> None:
    assert (await (await served.client("operator")).post_form(f"/training/{path}")).status_code == 403
    assert (await (await served.client("admin")).post(f"/training/{path}")).status_code == 403


async def test_a_host_without_the_trainer_says_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_steps, "find_spec", lambda name: None)
    client = await served.client("admin")
    page = (await client.get("/training")).text
    assert "not installed on this host" in page
    answer = await client.post_form("/training/retrain")
    assert answer.status_code == 409
    assert "pip install" in answer.text
