"""The models page: what is here, how good each is, which one serves, and changing that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.activation import registry
from spamfilter.bundles import DEFAULT, Bundles
from spamfilter.classifier.bundle import BundleError, open_bundle
from spamfilter.config import Config, ConfigError
from spamfilter.console.aside import aside
from spamfilter.console.charts import Line, lines, percent
from spamfilter.console.operating_table import rows
from spamfilter.console.page import audited, form, needs, page, problem, see_other, services, user
from spamfilter.console.security.roles import Role
from spamfilter.model_report import describe, everything, figures, gate_report, known, short
from spamfilter.operating_point import bundle_path
from spamfilter.shadow import Differences, chosen, found_until_now, put

CARD = "MODEL_CARD.md"
SAID = {
    "activated": "{} is activated. The daemon takes it over in a moment, while mail passes.",
    "serves": "{} is the current model already; nothing has changed.",
    "back": "Back to {}. The daemon takes it over in a moment, while mail passes.",
    "shadow": "{} scores a share of the mail from now on; nothing is decided by it.",
    "ended": "No model is in the shadow now; what was noted stays.",
}
_MOST_CARD_CHARACTERS = 100_000
_HISTORY_SHOWN = 20


@needs(Role.ADMIN)
async def index(request: Request) -> Response:
    """The models that are here, the one in use first, and how the one in the shadow does."""
    found = await aside(_overview, services(request).config)
    did, name = request.query_params.get("did", ""), request.query_params.get("name", "")
    known_name = name if name in {one["name"] for one in found["models"]} else "The model"
    return page(request, "models.html", **found, notice=SAID.get(did, "").format(known_name))


@needs(Role.ADMIN)
async def show(request: Request) -> Response:
    """All that is known of one model."""
    try:
        found = await aside(_everything, services(request).config, request.path_params["name"])
    except BundleError as error:
        return problem(request, 404, str(error))
    return page(request, "model.html", **found)


@needs(Role.ADMIN)
async def compare(request: Request) -> Response:
    """Two models side by side, figure by figure."""
    config = services(request).config
    names = [request.query_params.get(key, DEFAULT) for key in ("a", "b")]
    try:
        found = [await aside(_everything, config, name) for name in names]
    except BundleError as error:
        return problem(request, 404, str(error))
    both = [dict(figures(side["model"]["metrics"])) for side in found]
    keys = dict.fromkeys(key for side in both for key in side)
    compared = [(key, *(short(side[key]) if key in side else "–" for side in both)) for key in keys]
    shared = [row for row in compared if "–" not in row[1:]]
    alone = [row for row in compared if "–" in row[1:]]
    caught = [
        Line(side["name"], style, [(row.ham_lost, row.caught) for row in side["table"] if row.caught is not None])
        for side, style in zip(found, ("accent", "unsure"), strict=True)
    ]
    curve = lines("Spam caught for ham lost", caught, x="ham lost", shown=percent, shown_x=percent)
    return page(request, "model_compare.html", sides=found, shared=shared, alone=alone, curve=curve)


@needs(Role.ADMIN)
async def activate(request: Request) -> Response:
    """Make a model serve, after a self-test; the daemon takes it over in a moment."""
    config, name = services(request).config, request.path_params["name"]
    why = (await form(request)).get("why", "")[:200]
    try:
        changed = await aside(lambda: registry(config).activate(name, why, user(request).name))
    except (BundleError, ConfigError) as error:
        return problem(request, 409, str(error))
    if changed:
        await audited(request, "model.activate", name, why or None)
    return see_other(f"/models?did={'activated' if changed else 'serves'}&name={name}")


@needs(Role.ADMIN)
async def rollback(request: Request) -> Response:
    """Go back to the model that served before."""
    config, why = services(request).config, (await form(request)).get("why", "")[:200]
    try:
        name = await aside(lambda: registry(config).rollback(why, user(request).name))
    except (BundleError, ConfigError) as error:
        return problem(request, 409, str(error))
    await audited(request, "model.rollback", name, why or None)
    return see_other(f"/models?did=back&name={name}")


@needs(Role.ADMIN)
async def shadow(request: Request) -> Response:
    """Let a model score beside the one that serves, or end that where no name is given."""
    config, name = services(request).config, (await form(request)).get("name", "")
    try:
        await aside(put, config.state_dir.absolute(), name or None)
    except (BundleError, OSError) as error:
        return problem(request, 409, str(error))
    await audited(request, "model.shadow" if name else "model.shadow_off", name)
    return see_other(f"/models?did=shadow&name={name}" if name else "/models?did=ended")


def _overview(config: Config) -> dict[str, Any]:
    bundles, used = Bundles(config.state_dir.absolute()), bundle_path(config)
    history = bundles.history()
    activated = {one.name: one.time for one in history}
    installed = set(bundles.names())
    found: list[dict[str, Any]] = []
    for name, path in known(config):
        more = {"used": path == used, "installed": name in installed, "activated": activated.get(name)}
        told = describe(name, path)
        said = {"made": _moment(told.get("created")), "gate": (gate_report(path) or {}).get("sentence")}
        found.append({**told, **more, **said})
    found.sort(key=lambda one: not one["used"])
    return {
        "models": found,
        "before": bundles.before()[:1],
        "history": [*reversed(history)][:_HISTORY_SHOWN],
        "pinned": "" if config.model.bundle == DEFAULT else config.model.bundle,
        "shadow": chosen(config.state_dir.absolute()),
        "share": config.model.shadow_share,
        "changes": _shadowed(config),
    }


def _moment(written: object) -> datetime | None:
    """The time that a manifest says, if it says one."""
    try:
        return datetime.fromisoformat(str(written)).astimezone(UTC)
    except ValueError:
        return None


def _shadowed(config: Config) -> Differences | str | None:
    """What the model in the shadow would have decided otherwise; a sentence where that cannot be said."""
    name = chosen(config.state_dir.absolute())
    if name is None:
        return None
    try:
        return found_until_now(config, name)
    except (BundleError, ConfigError) as error:
        return str(error)


def _everything(config: Config, name: str) -> dict[str, Any]:
    """Raises BundleError."""
    path = next((path for one, path in known(config) if one == name), None)
    if path is None:
        raise BundleError(f"no model {name!r} is here")
    bundle, bundles = open_bundle(path), Bundles(config.state_dir.absolute())
    table = rows(bundle)
    caught = [(row.ham_lost, row.caught) for row in table if row.caught is not None]
    model = everything(config, name, bundle, bundles.history())
    try:
        card = (path / CARD).read_text("utf-8", "replace")[:_MOST_CARD_CHARACTERS]
    except OSError:
        card = ""
    return {
        "name": name,
        "model": model,
        "figures": [(key, short(value)) for key, value in model["metrics"].items()],
        "training": [(key, short(value)) for key, value in figures(model["training"])],
        "card": card,
        "table": table,
        "curve": lines("Spam caught for ham lost", [Line("spam caught", "accent", caught)], x="ham lost",
                       shown=percent, shown_x=percent) if caught else "",
        "used": path == bundle_path(config),
        "activatable": config.model.bundle == DEFAULT and name in (DEFAULT, *bundles.names()),
    }  # fmt: skip


routes = [
    Route("/models", index),
    Route("/models/compare", compare),
    Route("/models/rollback", rollback, methods=["POST"]),
    Route("/models/shadow", shadow, methods=["POST"]),
    Route("/models/of/{name}/activate", activate, methods=["POST"]),
    Route("/models/of/{name:path}", show),
]
