"""The models page: reports as text, activation and the way back, and the shadow, each for admins only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import default_bundle
from spamfilter.shadow import Pair, chosen, shadow_file
from tests.console.conftest import Serve
from tests.console.serving import Served

GATE = {
    "passed": False,
    "sentence": "Refused: <b>worse</b>.",
    "rows": [{"set": "golden", "figure": "ham lost", "messages": 10, "current": 0.0, "candidate": 0.1, "low": -0.01,
              "high": 0.2}],
    "singles": [{"set": "canary", "name": "<i>", "current": 0.1, "current_label": "ham", "candidate": 0.9,
                 "candidate_label": "spam"}],
}  # fmt: skip


@pytest.fixture
def bundles(served: Served) -> Bundles:
    """The registry of the console, with a second model that a gate has judged."""
    found = Bundles(served.config.state_dir.absolute())
    found.install(default_bundle(), keep_name="other")
    (found.path("other") / "gate.json").write_text(json.dumps(GATE))
    return found


async def test_alone_the_shipped_model_says_how_another_comes(served: Served) -> None:
    page = (await (await served.client("admin")).get("/models")).text
    assert "Only one model is here" in page
    assert "in service" in page
    assert "/activate" not in page


async def test_a_report_holds_table_gate_and_card(served: Served, bundles: Bundles) -> None:
    page = (await (await served.client("admin")).get("/models/of/other")).text
    assert "Refused: &lt;b&gt;worse&lt;/b&gt;." in page
    assert "&lt;i&gt;" in page
    assert "# Model card" in page
    assert "10.00 %" in page
    assert "Activate" in page


async def test_two_are_compared_figure_by_figure(served: Served, bundles: Bundles) -> None:
    page = (await (await served.client("admin")).get("/models/compare?a=default&b=other")).text
    assert "SpamAssassin test: ensemble.roc_auc" in page
    assert 'class="differs"' not in page, "they are the same model"
    assert "only one of them has" not in page


async def test_figures_of_one_alone_are_folded_away(served: Served, bundles: Bundles) -> None:
    manifest = bundles.path("other") / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "metrics": {}}))
    page = (await (await served.client("admin")).get("/models/compare?a=default&b=other")).text
    assert "No figure was measured for both." in page
    assert '<a href="/models/of/other">gate measured of other</a>' in page
    assert "figures that only one of them has" in page
    listed = (await (await served.client("admin")).get("/models")).text
    assert "Refused: &lt;b&gt;worse&lt;/b&gt;." in listed and "not measured on the corpora" in listed


@pytest.mark.parametrize("path", ["/models/of/none", "/models/of/../../etc", "/models/compare?a=default&b=%2Fetc"])
async def test_what_is_not_here_is_not_found(served: Served, path: str) -> None:
    assert (await (await served.client("admin")).get(path)).status_code == 404


async def test_activation_and_the_way_back(served: Served, bundles: Bundles) -> None:
    client = await served.client("admin")
    answer = await client.post_form("/models/of/other/activate", why="a test")
    assert bundles.link() == "other"
    page = (await client.get(answer.headers["location"])).text
    assert "other is activated" in page
    assert "a test" in page
    again = await client.post_form("/models/of/other/activate")
    assert "nothing has changed" in (await client.get(again.headers["location"])).text
    back = await client.post_form("/models/rollback")
    assert bundles.link() == "default"
    assert "Back to default" in (await client.get(back.headers["location"])).text
    assert [(note.action, note.subject) for note in served.audit.notes] == [
        ("model.activate", "other"),
        ("model.rollback", "default"),
    ]
    assert bundles.history()[-1].by == "admin"


async def test_a_damaged_model_is_not_activated(served: Served, bundles: Bundles) -> None:
    (bundles.path("other") / "gpt.onnx").write_bytes(b"")
    answer = await (await served.client("admin")).post_form("/models/of/other/activate")
    assert answer.status_code == 409
    assert "gpt.onnx" in answer.text
    assert bundles.link() is None


async def test_where_a_bundle_is_pinned_nothing_is_activated(serve: Serve, tmp_path: Path) -> None:
    served = await serve(model__bundle=str(default_bundle()))
    client = await served.client("admin")
    page = (await client.get("/models")).text
    assert "serves whatever is activated here" in page
    assert (await client.post_form("/models/of/default/activate")).status_code == 409
    assert (await client.post_form("/models/rollback")).status_code == 409


async def test_the_shadow_begins_tells_and_ends(served: Served, bundles: Bundles) -> None:
    from datetime import UTC, datetime

    state_dir = served.config.state_dir.absolute()
    client = await served.client("admin")
    await client.post_form("/models/shadow", name="other")
    assert chosen(state_dir) == "other"
    shadow_file(state_dir, "other").write(Pair(datetime.now(UTC), "m1", "a", 0.01, "b", 0.9999))
    page = (await client.get("/models")).text
    assert "1 of 1 messages would be labelled otherwise (1 ham to spam)." in page
    assert "/decisions/m1" in page
    await client.post_form("/models/shadow")
    assert chosen(state_dir) is None
    assert (await client.post_form("/models/shadow", name="none")).status_code == 409
    assert [note.action for note in served.audit.notes] == ["model.shadow", "model.shadow_off"]


@pytest.mark.parametrize("path", ["/models/of/other/activate", "/models/rollback", "/models/shadow"])
async def test_operators_change_no_model(served: Served, bundles: Bundles, path: str) -> None:
    assert (await (await served.client("operator")).post_form(path, name="other")).status_code == 403
    client = await served.client("admin")
    assert (await client.post(path, data={"name": "other"})).status_code == 403
    assert (bundles.link(), chosen(served.config.state_dir)) == (None, None)
