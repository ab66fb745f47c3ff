"""What is known of a bundle, as plain values and as lines for people: the `model` commands and the console show it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spamfilter.bundles import Activation
    from spamfilter.classifier.bundle import Bundle
    from spamfilter.config import Config

_METRICS_SHOWN = 4
_WHOLE = ": ensemble.roc_auc"


def known(config: Config) -> Iterator[tuple[str, Path]]:
    """Names and folders of the models that are here: the shipped one, those in state_dir/models, the one in use."""
    from spamfilter.bundles import DEFAULT, Bundles
    from spamfilter.operating_point import bundle_path

    bundles = Bundles(config.state_dir)
    found = [(name, bundles.path(name)) for name in (DEFAULT, *bundles.names())]
    yield from found
    used = bundle_path(config)
    if used not in [path for _, path in found]:
        yield used.name if config.model.bundle == DEFAULT else config.model.bundle, used


def describe(name: str, path: Path) -> dict[str, Any]:
    """What a bundle's manifest says of it; `error` where it cannot be opened."""
    from spamfilter.classifier.bundle import BundleError, open_bundle

    described: dict[str, Any] = {"name": name, "path": str(path), "error": None}
    try:
        manifest = open_bundle(path).manifest
    except BundleError as error:
        return {**described, "error": str(error)}
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {
        **described,
        "model": manifest.get("model_id"),
        "created": manifest.get("created"),
        "bytes": size,
        "metrics": dict(figures(manifest.get("metrics", {}))),
    }


def everything(config: Config, name: str, bundle: Bundle, activations: list[Activation]) -> dict[str, Any]:
    """All that is known of a model, as JSON values: manifest, operating point here, gate report, when it served."""
    from spamfilter.config import ConfigError
    from spamfilter.operating_point import resolve_policy

    point: dict[str, Any] | str
    try:
        thresholds = resolve_policy(config.policy, bundle).thresholds
        point = {"unsure_at": thresholds.unsure_at, "spam_at": thresholds.spam_at}
    except ConfigError as error:
        point = str(error)
    return {
        **describe(name, bundle.path),
        "extraction": bundle.manifest["extraction"],
        "training": bundle.manifest.get("training", {}),
        "operating_point": point,
        "thresholds": bundle.manifest["thresholds"],
        "cascade": bundle.manifest.get("cascade", {}).get("measured", {}),
        "gate": gate_report(bundle.path),
        "activations": [one.as_json() for one in activations if one.name == name],
        "files": bundle.manifest["files"],
    }


def gate_report(path: Path) -> dict[str, Any] | None:
    """How it did against the model that served when it was made; None where that was never asked, or is unreadable."""
    from spamfilter.bundles import GATE_REPORT

    try:
        report = json.loads((path / GATE_REPORT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def lines(shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What `everything` found, as headings and values for people, in reading order."""
    point = shown["operating_point"]
    if not isinstance(point, str):
        point = f"unsure from {point['unsure_at']:.4f}, spam from {point['spam_at']:.4f}"
    yield "name", shown["name"]
    yield "model", str(shown["model"])
    yield "folder", f"{shown['path']} ({shown['bytes'] / 1e6:.1f} MB in {len(shown['files'])} files)"
    yield "created", str(shown["created"] or "not said")
    yield "extraction", str(shown["extraction"])
    yield "policy", point
    yield from (("served from", _served(one)) for one in shown["activations"])
    for heading in ("training", "gate"):
        yield from ((f"{heading}: {key}", short(value)) for key, value in figures(shown[heading] or {}))
    for kind, measured in shown["cascade"].items():
        for origin, one in measured.get("origins", {}).items():
            asked, turned = one.get("asked", 0.0), one.get("turned", 0.0)
            yield f"cascade: {kind}, {origin}", f"the GPT is asked for {asked:.1%}, and {turned:.2%} would turn"
    for row in shown["thresholds"]:
        recall = f", finds {row['recall']:.1%} of spam" if "recall" in row else ""
        yield f"threshold: ham lost {row['false_positive_rate']:.2%}", f"{row['probability']:.4f}{recall}"
    yield from ((f"measured: {key}", short(value)) for key, value in shown["metrics"].items())


def _served(one: Mapping[str, Any]) -> str:
    how = "back to it, " if one["kind"] == "rollback" else ""
    why = f": {one['why']}" if one["why"] else ""
    return f"{one['time'][:19]} after {one['before']}, {how}by {one['by']}{why}"


def few(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What the table has room for: how well the ensemble ranks each set of mails, else the first few figures."""
    whole = {key: value for key, value in metrics.items() if key.endswith(_WHOLE)}
    if whole:
        yield from (f"ROC AUC {value:.5f}  {key.removesuffix(_WHOLE)}" for key, value in whole.items())
    else:
        yield from (f"{key} {short(value)}" for key, value in islice(metrics.items(), _METRICS_SHOWN))


def short(value: Any) -> str:
    """A figure with four digits; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figures(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values as dotted names and single values."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from figures(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield from figures({str(index): one for index, one in enumerate(value)}, f"{prefix}{key}.")
        elif isinstance(value, int | float | str):
            yield f"{prefix}{key}", value
